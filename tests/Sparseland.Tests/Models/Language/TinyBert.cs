using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

/// <summary>A small encoder: 2 blocks, 4 heads of 4, MLP 24, 12 tokens.</summary>
internal static class TinyBert
{
    public static readonly string[] Vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "cat", "run", "##s", "##ning", ".", "big", "small", "the"];

    public static readonly BertConfig Config = new() { Vocabulary = 17, Width = 16, MlpWidth = 24, Layers = 2, Heads = 4, Context = 12 };

    /// <summary>Weights larger than a fresh model's, so that every part counts.</summary>
    public static BertEncoder New(long seed = 1, bool pooler = false) => Enlarged(new BertEncoder(Config, Vocabulary, seed, pooler));

    public static BertEncoder Enlarged(BertEncoder model)
    {
        using IDisposable off = no_grad();
        using var generator = new Generator(100);
        using var scope = NewDisposeScope();
        foreach (var parameter in model.parameters()) parameter.add_(randn(parameter.shape, generator: generator).mul_(0.3));
        model.eval();
        return model;
    }

    public static Tensor Ids(int batch = 2, int tokens = 5) => tensor(Enumerable.Range(0, batch * tokens).Select(i => ((i * 7L) + (i * i)) % 17).ToArray(), [batch, tokens]);
}
