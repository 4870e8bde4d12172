using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Dashboards;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using Sparseland.Tests.Autoencoders.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders.Dashboards;

/// <summary>A model of the 256 bytes, a merge and a special token, and a text for it.</summary>
internal static class DashboardBed
{
    public const int Vocabulary = 258;

    public static TextTokenizer Tokenizer() =>
        new(new BpeModel(
            [.. Enumerable.Range(0, 256).Select(b => ByteAlphabet.Of((byte)b).ToString()), "ab", "<|end|>"], [("a", "b")], ["<|end|>"], BpeModel.Gpt2Pattern));

    public static TinyLM Model()
    {
        var model = new TinyLM(new LlamaConfig { Vocabulary = Vocabulary, Width = 16, Layers = 3, Heads = 2, KeyValueHeads = 1, MlpWidth = 24, Context = 12 }, seed: 3);
        using IDisposable off = no_grad();
        model.Embeddings.mul_(20);
        model.parameters().First(p => p.dim() == 1).uniform_(0.5, 2, new Generator(4));
        return model;
    }

    /// <summary>Windows of 12 tokens; the second half of the text repeats the first, so that surroundings repeat.</summary>
    public static TokenText Text(int windows = 20)
    {
        var random = new Random(5);
        int[] half = [.. Enumerable.Range(0, windows / 2 * 12).Select(_ => random.Next(97, 109))];
        return new TokenText([.. half, .. half, 97]);
    }

    public static LatentDashboard Dashboard(TinyLM model, SparseAutoencoder autoencoder, LatentDashboardOptions? options = null, TokenText? text = null) =>
        LatentDashboard.Of(model, Tokenizer(), autoencoder, MetricsBed.Site, text ?? Text(), options);

    /// <summary>The codes as a matrix [tokens, latents] of all windows.</summary>
    public static float[,] Dense(TinyLM model, SparseAutoencoder autoencoder, TokenText text, int skip = 0)
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        int windows = (text.Count - 1) / 12;
        (Tensor ids, _) = text.Windows([.. Enumerable.Range(0, windows).Select(w => w * 12)], 12);
        using var recorder = new ActivationRecorder(MetricsBed.Site);
        model.Visit(ids, recorder);
        using SparseCode code = autoencoder.Encode(recorder[MetricsBed.Site].reshape(-1, 16));
        float[] flat = code.ToDense().data<float>().ToArray();
        var dense = new float[windows * 12, autoencoder.Latents];
        for (int t = 0; t < windows * 12; t++)
        {
            for (int i = 0; i < autoencoder.Latents; i++) dense[t, i] = t % 12 < skip ? float.NaN : flat[(t * autoencoder.Latents) + i];
        }

        return dense;
    }
}
