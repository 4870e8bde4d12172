using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>The sum of the singular values of a matrix, a convex stand-in for its rank.</summary>
public static class NuclearNorm
{
    /// <summary>The norm.</summary>
    /// <param name="matrix">[rows, columns], Float32 or Float64, finite.</param>
    /// <exception cref="ArgumentException">No such matrix.</exception>
    public static double Value(Tensor matrix)
    {
        TensorInput.CheckMatrix(matrix, nameof(matrix), "[rows, columns]");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return linalg.svdvals(matrix.detach()).to(ScalarType.Float64).sum().item<double>();
    }

    /// <summary>U V^T over the singular values that are not zero: the gradient where all are distinct and none is zero, else the smallest of the subgradients. Zero for a matrix of zeros.</summary>
    /// <param name="matrix">[rows, columns], Float32 or Float64, finite.</param>
    /// <exception cref="ArgumentException">No such matrix.</exception>
    public static Tensor Subgradient(Tensor matrix)
    {
        TensorInput.CheckMatrix(matrix, nameof(matrix), "[rows, columns]");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor plain = matrix.detach();
        (Tensor u, Tensor s, Tensor v) = linalg.svd(plain, fullMatrices: false);
        double largest = s.max().to(ScalarType.Float64).item<double>(), unit = plain.dtype == ScalarType.Float64 ? Math.ScaleB(1, -52) : Math.ScaleB(1, -23);
        if (largest == 0) return zeros_like(plain).MoveToOuterDisposeScope();
        Tensor kept = s.gt(largest * unit * Math.Max(plain.shape[0], plain.shape[1])).to(plain.dtype);
        return (u * kept).mm(v).MoveToOuterDisposeScope();
    }
}
