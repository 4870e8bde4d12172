using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Features;

/// <summary>
/// Trigonometric features of the softmax kernel: cos(W x) and sin(W x), times exp(norm(x)^2 / 2) / sqrt(rows), two for each direction (Rahimi and Recht 2007). Unbiased, MSE
/// e^z exp(q . k)^-2 (1 - e^-u)^2 / (2 rows) with z = norm(q + k)^2, u = norm(q - k)^2: exact for equal vectors, worst for small entries, and an estimate may be negative.
/// </summary>
public sealed class TrigonometricFeatures : RandomFeatures
{
    /// <summary>Draws the directions.</summary>
    /// <param name="headDim">Width of queries and keys.</param>
    /// <param name="count">Features M, even: twice the directions.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <param name="orthogonal">Whether directions are orthogonal in blocks of headDim. Default true.</param>
    /// <exception cref="ArgumentException">A number is not positive, or count is odd.</exception>
    public TrigonometricFeatures(int headDim, int count, long seed = 1, bool orthogonal = true)
        : base(headDim, count, Half(count), seed, orthogonal)
    {
    }

    /// <inheritdoc/>
    public override bool Positive => false;

    /// <inheritdoc/>
    public override RandomFeatures Redraw(long seed) => new TrigonometricFeatures(HeadDim, Count, seed, Orthogonal);

    private protected override (Tensor Values, Tensor LogScale) Mapped(Tensor x, Tensor products, FeatureScale scale)
    {
        (Tensor lengths, Tensor log) = Exponential(HalfSquare(x), null, scale);
        return (cat([products.cos(), products.sin()], -1).mul(lengths).div(Math.Sqrt(Rows)), log);
    }
}
