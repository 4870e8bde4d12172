using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>A Monarch matrix by its two factors, W[(l, j), (k, i)] = sum_r L[j, l, (k, r)] R[k, (r, j), i]. It owns them.</summary>
public sealed class MonarchMatrix : IDisposable
{
    private readonly NativeSize _size;

    /// <summary>Takes two factors.</summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="right">R, <see cref="MonarchShape.RightShape"/>; it belongs to the matrix from now on.</param>
    /// <param name="left">L, <see cref="MonarchShape.LeftShape"/>, of the same type; it too.</param>
    /// <exception cref="ArgumentException">Other shapes or types.</exception>
    public MonarchMatrix(MonarchShape shape, Tensor right, Tensor left)
    {
        ArgumentNullException.ThrowIfNull(shape);
        shape.CheckFactors(right, left);
        (Shape, Right, Left, _size) = (shape, right.DetachFromDisposeScope(), left.DetachFromDisposeScope(), NativeSize.Of(right, left));
    }

    /// <summary>The sizes.</summary>
    public MonarchShape Shape { get; }

    /// <summary>R [K, b J, I].</summary>
    public Tensor Right { get; }

    /// <summary>L [J, outputs of a group, K b].</summary>
    public Tensor Left { get; }

    /// <summary>W x for each row x of a batch.</summary>
    /// <param name="x">[..., in], of the factors' type; real numbers are taken by complex factors.</param>
    /// <returns>[..., out].</returns>
    public Tensor Multiply(Tensor x) => Monarch.Multiply(Fit(x), Right, Left, Shape);

    /// <summary>W^* y, with W^* the conjugate transpose, for each row y of a batch.</summary>
    /// <param name="y">[..., out].</param>
    /// <returns>[..., in].</returns>
    public Tensor MultiplyAdjoint(Tensor y) => Monarch.MultiplyAdjoint(Fit(y), Right, Left, Shape);

    /// <summary>W [out, in].</summary>
    public Tensor ToDense() => Monarch.Dense(Right, Left, Shape);

    /// <inheritdoc/>
    public void Dispose()
    {
        Right.Dispose();
        Left.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"MonarchMatrix [{Shape.Outputs}, {Shape.Inputs}] of {Shape.InputBlocks} x {Shape.OutputBlocks} slices of rank {Shape.BlockRank}, {Shape.ParameterCount} numbers";

    private Tensor Fit(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        return Right.is_complex() && !x.is_complex() ? x.to(Right.dtype) : x;
    }
}

/// <summary>The nearest Monarch matrix to a dense one.</summary>
/// <param name="Matrix">Its factors; dispose them with this.</param>
/// <param name="SquaredError">||W - M||^2, the sum of all squared singular values of the slices but the b largest of each.</param>
/// <param name="SquaredNorm">||W||^2.</param>
/// <param name="RelativeError">||W - M||^2 / ||W||^2; 0 for a matrix of zeros. Also right where the squares themselves leave the range of float64.</param>
public sealed record MonarchProjection(MonarchMatrix Matrix, double SquaredError, double SquaredNorm, double RelativeError) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => Matrix.Dispose();

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
