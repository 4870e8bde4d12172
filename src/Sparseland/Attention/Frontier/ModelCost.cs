using Sparseland.Tensors;

namespace Sparseland.Attention.Frontier;

/// <summary>Sizes of a decoder with gated MLPs, as far as its cost depends on them.</summary>
/// <param name="Name">Name.</param>
/// <param name="Layers">Blocks.</param>
/// <param name="Width">Width of the residual stream.</param>
/// <param name="Heads">Query heads.</param>
/// <param name="KeyValueHeads">Key-value heads.</param>
/// <param name="HeadDim">Width of a head.</param>
/// <param name="MlpWidth">Width of the MLP.</param>
/// <param name="Vocabulary">Rows of the output head.</param>
public sealed record ModelShape(string Name, int Layers, int Width, int Heads, int KeyValueHeads, int HeadDim, int MlpWidth, int Vocabulary)
{
    /// <summary>Qwen2.5 with 7, 14, 32 and 72 thousand million parameters, from the published configurations.</summary>
    public static IReadOnlyList<ModelShape> Qwen25 { get; } =
    [
        new("7B", 28, 3584, 28, 4, 128, 18_944, 152_064), new("14B", 48, 5120, 40, 8, 128, 13_824, 152_064),
        new("32B", 64, 5120, 40, 8, 128, 27_648, 152_064), new("72B", 80, 8192, 64, 8, 128, 29_568, 152_064),
    ];

    /// <summary>N: numbers in the matrices of all blocks and of the output head. Embeddings are looked up, norms and biases are next to nothing.</summary>
    public long Parameters
    {
        get
        {
            long attention = 2L * Width * HeadDim * (Heads + KeyValueHeads), mlp = 3L * Width * MlpWidth;
            return (Layers * (attention + mlp)) + ((long)Width * Vocabulary);
        }
    }

    /// <summary>d h L: width of all query heads of all blocks.</summary>
    public long HeadWidth => (long)HeadDim * Heads * Layers;
}

/// <summary>Floating-point operations of a decoder with sparse attention; multiply-adds count two. What choosing the cells costs is not in it.</summary>
public static class ModelCost
{
    /// <summary>Reading a prompt: 2 N T + 4 d h L times the computed cells, density T^2 / 2.</summary>
    /// <param name="shape">The model.</param>
    /// <param name="tokens">T, positive.</param>
    /// <param name="density">Computed cells over causal ones, from 0 to 1. Default 1.</param>
    /// <exception cref="ArgumentException">A number out of its range.</exception>
    public static double Prefill(ModelShape shape, double tokens, double density = 1)
    {
        Check(shape, tokens, density);
        return (2.0 * shape.Parameters * tokens) + (4.0 * shape.HeadWidth * density * tokens * tokens / 2);
    }

    /// <summary>Writing one token: 2 N + 4 d h L times the keys that are read, density T.</summary>
    /// <param name="shape">The model.</param>
    /// <param name="tokens">T, tokens in the cache, positive.</param>
    /// <param name="density">Keys read over keys held, from 0 to 1. Default 1.</param>
    /// <exception cref="ArgumentException">A number out of its range.</exception>
    public static double DecodeToken(ModelShape shape, double tokens, double density = 1)
    {
        Check(shape, tokens, density);
        return (2.0 * shape.Parameters) + (4.0 * shape.HeadWidth * density * tokens);
    }

    /// <summary>Tokens at which dense attention costs as much as all else while a prompt is read: N / (d h L).</summary>
    /// <param name="shape">The model.</param>
    public static double EqualParts(ModelShape shape)
    {
        ArgumentNullException.ThrowIfNull(shape);
        return shape.Parameters / (double)shape.HeadWidth;
    }

    /// <summary>The density at which a larger model costs as much as a smaller dense one; below 0 where its weights alone cost more.</summary>
    /// <param name="larger">The sparse model.</param>
    /// <param name="smaller">The dense model.</param>
    /// <param name="tokens">T, positive.</param>
    /// <param name="phase">Whether a prompt is read or a token written.</param>
    /// <exception cref="ArgumentException">A number out of its range.</exception>
    public static double EqualDensity(ModelShape larger, ModelShape smaller, double tokens, FrontierPhase phase)
    {
        if (!Enum.IsDefined(phase)) throw new ArgumentOutOfRangeException(nameof(phase), phase, "phase is none that is known.");
        Func<ModelShape, double, double> cost = phase == FrontierPhase.Prefill ? (shape, density) => Prefill(shape, tokens, density) : (shape, density) => DecodeToken(shape, tokens, density);
        double weights = cost(larger, 0);
        return (cost(smaller, 1) - weights) / (cost(larger, 1) - weights);
    }

    private static void Check(ModelShape shape, double tokens, double density)
    {
        ArgumentNullException.ThrowIfNull(shape);
        Finite.Positive(tokens);
        if (!(density >= 0 && density <= 1)) throw new ArgumentOutOfRangeException(nameof(density), density, "density must be from 0 to 1.");
    }
}
