using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Features;

/// <summary>What the feature maps share: random directions w, the rows of W, drawn once and independent of the data.</summary>
/// <remarks>The directions are held as numbers, not as a tensor: a map needs no disposal and works on every device.</remarks>
public abstract class RandomFeatures : IFeatureMap
{
    private readonly double[] _directions;

    private protected RandomFeatures(int headDim, int count, int rows, long seed, bool orthogonal)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(headDim);
        (HeadDim, Count, Rows, Seed, Orthogonal) = (headDim, count, rows, seed, orthogonal);
        _directions = RandomDirections.Draw(rows, headDim, seed, orthogonal);
    }

    /// <inheritdoc/>
    public int HeadDim { get; }

    /// <inheritdoc/>
    public int Count { get; }

    /// <summary>Directions: as many as features, or half as many where two features come from one direction.</summary>
    public int Rows { get; }

    /// <summary>Seed of the draw.</summary>
    public long Seed { get; }

    /// <summary>Whether directions within a block of headDim are orthogonal, with the lengths of independent Gaussian vectors.</summary>
    public bool Orthogonal { get; }

    /// <inheritdoc/>
    public virtual bool EstimatesSoftmax => true;

    /// <inheritdoc/>
    public virtual bool Positive => true;

    /// <inheritdoc/>
    public virtual double Offset => 0;

    /// <summary>The directions.</summary>
    /// <returns>[rows, headDim], Float64; the caller's to dispose.</returns>
    public Tensor Directions() => tensor(_directions, [Rows, HeadDim]);

    /// <summary>The same map with another draw.</summary>
    /// <param name="seed">Seed of the new draw.</param>
    public abstract RandomFeatures Redraw(long seed);

    /// <inheritdoc/>
    public (Tensor Values, Tensor LogScale) Map(Tensor x, FeatureScale scale = FeatureScale.None)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (!Enum.IsDefined(scale)) throw new ArgumentOutOfRangeException(nameof(scale), scale, "Not a scale of features.");
        if (x.dim() < 2 || x.shape[^1] != HeadDim || x.numel() == 0)
            throw new ArgumentException($"The features were drawn for vectors of width {HeadDim}: x must be [..., tokens, {HeadDim}] and not empty, but is [{string.Join(", ", x.shape)}].", nameof(x));
        if (x.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"x is {x.dtype}; it must be Float32 or Float64.", nameof(x));
        using var scope = NewDisposeScope();
        Tensor W = Directions().to(x.dtype).to(x.device);
        (Tensor values, Tensor log) = Mapped(x, nn.functional.linear(x, W), scale);
        if (Offset > 0) values = values.add(Offset);
        return (scope.MoveToOuter(values), scope.MoveToOuter(log));
    }

    /// <summary>The features of vectors.</summary>
    /// <param name="x">[..., tokens, headDim].</param>
    /// <param name="products">W x [..., tokens, rows].</param>
    /// <param name="scale">Over what the largest exponent is taken out.</param>
    private protected abstract (Tensor Values, Tensor LogScale) Mapped(Tensor x, Tensor products, FeatureScale scale);

    /// <summary>norm(x)^2 / 2 [..., tokens, 1].</summary>
    private protected static Tensor HalfSquare(Tensor x) => x.square().sum(-1, keepdim: true).mul(0.5);

    /// <summary>
    /// exp(exponents - half) divided by the exponential of the largest one, of each vector or of all; the largest needs no gradient, since it cancels. Half the square of the norm, one number of each vector, is no part
    /// of a vector's own differences: long vectors would lose them beside it.
    /// </summary>
    private protected static (Tensor Values, Tensor LogScale) Exponential(Tensor exponents, Tensor? half, FeatureScale scale)
    {
        if (half is not null && scale != FeatureScale.PerVector) (exponents, half) = (exponents.sub(half), null);
        Tensor largest = Largest(exponents, scale);
        return (exponents.sub(largest).exp(), half is null ? largest : largest.sub(half));
    }

    /// <summary>The largest exponent of each vector, of all vectors, or 0.</summary>
    private protected static Tensor Largest(Tensor exponents, FeatureScale scale) => scale switch
    {
        FeatureScale.PerVector => exponents.detach().amax([-1L], keepdim: true),
        FeatureScale.PerSet => exponents.detach().amax([-2L, -1L], keepdim: true),
        _ => zeros_like(exponents.detach().narrow(-1, 0, 1).narrow(-2, 0, 1)),
    };

    /// <summary>The number of directions of maps that make two features of each.</summary>
    private protected static int Half(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        return count % 2 == 0 ? count / 2 : throw new ArgumentException($"{count} features: each direction makes two, so their number must be even.", nameof(count));
    }

    /// <summary>A number of features, checked.</summary>
    private protected static int Whole(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        return count;
    }
}
