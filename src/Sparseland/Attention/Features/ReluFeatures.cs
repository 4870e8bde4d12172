using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Features;

/// <summary>relu(W x headDim^-1/4) + offset, "generalised attention" (Choromanski et al. 2021): a kernel of its own that estimates no softmax and has no exponential.</summary>
public sealed class ReluFeatures : RandomFeatures
{
    /// <summary>Draws the directions.</summary>
    /// <param name="headDim">Width of queries and keys.</param>
    /// <param name="count">Features M, as many as directions.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <param name="orthogonal">Whether directions are orthogonal in blocks of headDim. Default true.</param>
    /// <param name="offset">Added to each feature, so that no row is without weight. Default 1e-3.</param>
    /// <exception cref="ArgumentException">A number is not positive, or the offset negative or not finite.</exception>
    public ReluFeatures(int headDim, int count, long seed = 1, bool orthogonal = true, double offset = 1e-3)
        : base(headDim, Whole(count), count, seed, orthogonal) =>
        Offset = Finite.NotNegative(offset);

    /// <inheritdoc/>
    public override bool EstimatesSoftmax => false;

    /// <inheritdoc/>
    public override double Offset { get; }

    /// <inheritdoc/>
    public override RandomFeatures Redraw(long seed) => new ReluFeatures(HeadDim, Count, seed, Orthogonal, Offset);

    private protected override (Tensor Values, Tensor LogScale) Mapped(Tensor x, Tensor products, FeatureScale scale)
    {
        Tensor values = products.mul(Math.Pow(HeadDim, -0.25)).relu();
        return (values, scale == FeatureScale.PerVector ? zeros_like(values.detach().narrow(-1, 0, 1)) : zeros_like(values.detach().narrow(-1, 0, 1).narrow(-2, 0, 1)));
    }
}
