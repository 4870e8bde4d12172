using Sparseland.Models.Language;
using Sparseland.Pruning;
using Sparseland.Training;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

/// <summary>A decoder of two blocks, a text and masks, for finetunings of some steps.</summary>
internal static class SmallDecoder
{
    public static readonly LlamaConfig Config = new() { Vocabulary = 40, Width = 32, Layers = 2, Heads = 2, KeyValueHeads = 1, MlpWidth = 48, Context = 16 };

    public static TinyLM New(long seed = 3, LlamaConfig? config = null) => new(config ?? Config, seed);

    public static Tensor Ids(int sequences = 3, int length = 12)
    {
        using var generator = new Generator(4);
        return randint(0, 40, [sequences, length], dtype: ScalarType.Int64, generator: generator);
    }

    public static RandomWindows Batches(long seed = 1) => new(new TokenText([.. Enumerable.Range(0, 400).Select(i => i * i % 37)]), 3, 12, seed);

    /// <summary>A decoder with 70 % of each block's matrices gone by magnitude, and its masks.</summary>
    public static (TinyLM Student, MaskSet Masks) Pruned()
    {
        TinyLM student = New();
        using BlockwiseResult pruned = BlockwisePruning.Run(student, null, new MagnitudePruner(), PruningPattern.PerLayer(0.7));
        return (student, pruned.Masks.Copy());
    }
}
