using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>The head of masked words in the files of a folder of Hugging Face.</summary>
internal static class VocabularyHeadFile
{
    private const string Prefix = "cls.predictions.", Decoder = Prefix + "decoder.";

    /// <summary>The head's tensors by their names in a file.</summary>
    public static Dictionary<string, Tensor> Tensors(VocabularyHead head) => head.named_parameters().ToDictionary(p => Prefix + p.name, p => (Tensor)p.parameter);

    /// <summary>Fills a head from a folder.</summary>
    /// <exception cref="InvalidDataException">A tensor is missing or of another shape, or the head has embeddings of its own.</exception>
    public static void Read(string folder, VocabularyHead head, Tensor embeddings)
    {
        using WeightFolder weights = WeightFolder.Open(folder);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        foreach ((string name, Parameter parameter) in head.named_parameters())
        {
            string plain = Prefix + name, older = plain.Replace("LayerNorm.weight", "LayerNorm.gamma", StringComparison.Ordinal).Replace("LayerNorm.bias", "LayerNorm.beta", StringComparison.Ordinal);
            Tensor? stored = weights.Find(plain) ?? weights.Find(older) ?? (name == "bias" ? weights.Find(Decoder + name) : null);
            if (stored is null) throw new InvalidDataException($"'{folder}' has no tensor '{plain}': it holds no head of masked words (BertForMaskedLM), which SPLADE needs.");
            if (!stored.shape.SequenceEqual(parameter.shape))
                throw new InvalidDataException($"'{folder}': tensor '{plain}' is [{string.Join(", ", stored.shape)}], but the model's sizes make it [{string.Join(", ", parameter.shape)}].");
            parameter.copy_(stored);
        }

        Tensor? own = weights.Find(Decoder + "weight");
        if (own is not null && (!own.shape.SequenceEqual(embeddings.shape) || own.ne(embeddings).any().item<bool>()))
            throw new InvalidDataException($"'{folder}': '{Decoder}weight' is not the encoder's embeddings; heads with a matrix of their own are not known here.");
    }
}
