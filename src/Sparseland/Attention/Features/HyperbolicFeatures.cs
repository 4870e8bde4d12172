using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Features;

/// <summary>
/// Hyperbolic features of the softmax kernel: exp(W x) and exp(-W x), times exp(-norm(x)^2 / 2) / sqrt(M), two for each direction (Choromanski et al. 2021). Positive, unbiased, MSE
/// exp(q . k)^2 (cosh z - 1) / rows with z = norm(q + k)^2: the features of Scatterbrain.
/// </summary>
public sealed class HyperbolicFeatures : RandomFeatures
{
    /// <summary>Draws the directions.</summary>
    /// <param name="headDim">Width of queries and keys.</param>
    /// <param name="count">Features M, even: twice the directions.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <param name="orthogonal">Whether directions are orthogonal in blocks of headDim. Default true.</param>
    /// <param name="offset">Added to each feature after its largest exponent was taken out, which biases the estimate. Default 0; the published code of long sequences has 1e-4.</param>
    /// <exception cref="ArgumentException">A number is not positive, count is odd, or the offset negative or not finite.</exception>
    public HyperbolicFeatures(int headDim, int count, long seed = 1, bool orthogonal = true, double offset = 0)
        : base(headDim, count, Half(count), seed, orthogonal) =>
        Offset = Finite.NotNegative(offset);

    /// <inheritdoc/>
    public override double Offset { get; }

    /// <inheritdoc/>
    public override RandomFeatures Redraw(long seed) => new HyperbolicFeatures(HeadDim, Count, seed, Orthogonal, Offset);

    private protected override (Tensor Values, Tensor LogScale) Mapped(Tensor x, Tensor products, FeatureScale scale)
    {
        (Tensor values, Tensor log) = Exponential(cat([products, products.neg()], -1), HalfSquare(x), scale);
        return (values.div(Math.Sqrt(Count)), log);
    }
}
