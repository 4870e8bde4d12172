using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Features;

/// <summary>Positive features of the softmax kernel, exp(W x - norm(x)^2 / 2) / sqrt(M) (Choromanski et al. 2021, FAVOR+): unbiased, MSE exp(q . k)^2 (e^z - 1) / M with z = norm(q + k)^2.</summary>
public sealed class PositiveFeatures : RandomFeatures
{
    /// <summary>Draws the directions.</summary>
    /// <param name="headDim">Width of queries and keys.</param>
    /// <param name="count">Features M, as many as directions.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <param name="orthogonal">Whether directions are orthogonal in blocks of headDim. Default true.</param>
    /// <param name="offset">Added to each feature after its largest exponent was taken out, which biases the estimate. Default 0; the published code of long sequences has 1e-4.</param>
    /// <exception cref="ArgumentException">A number is not positive, or the offset negative or not finite.</exception>
    public PositiveFeatures(int headDim, int count, long seed = 1, bool orthogonal = true, double offset = 0)
        : base(headDim, Whole(count), count, seed, orthogonal) =>
        Offset = Finite.NotNegative(offset);

    /// <inheritdoc/>
    public override double Offset { get; }

    /// <inheritdoc/>
    public override RandomFeatures Redraw(long seed) => new PositiveFeatures(HeadDim, Count, seed, Orthogonal, Offset);

    private protected override (Tensor Values, Tensor LogScale) Mapped(Tensor x, Tensor products, FeatureScale scale)
    {
        (Tensor values, Tensor log) = Exponential(products, HalfSquare(x), scale);
        return (values.div(Math.Sqrt(Rows)), log);
    }
}
