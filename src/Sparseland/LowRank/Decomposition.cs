using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>Singular value decompositions as all of this room takes them: in float64, of finite matrices, with the matrix named where one fails.</summary>
internal static class Decomposition
{
    /// <summary>A checked copy in float64 on the CPU.</summary>
    public static Tensor Wide(Tensor matrix, string name, string? label = null)
    {
        ArgumentNullException.ThrowIfNull(matrix, name);
        string what = label is null ? name : $"{name} ({label})";
        if (matrix.dim() != 2 || matrix.numel() == 0) throw new ArgumentException($"{what} must be a matrix that is not empty, but is [{string.Join(", ", matrix.shape)}].", name);
        if (matrix.dtype is not (ScalarType.Float32 or ScalarType.Float64 or ScalarType.BFloat16 or ScalarType.Float16))
            throw new ArgumentException($"{what} is {matrix.dtype}; it must be of floating point.", name);
        Tensor wide = matrix.detach().cpu().to(ScalarType.Float64).contiguous();
        if (!double.IsFinite(TensorInput.LargestMagnitude(wide)))
            throw new ArgumentException($"{what} holds NaN or infinity, so it has no singular values; the usual cause is a training that diverged.", name);
        return wide;
    }

    /// <summary>U [out, m], S [m], V^T [m, in] of a float64 matrix, m = min(out, in).</summary>
    public static (Tensor U, Tensor S, Tensor Vt) Svd(Tensor wide, string name, string? label = null)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor scaled, double scale) = ToUnit(wide);
        (Tensor u, Tensor s, Tensor vt) = Converged(() => linalg.svd(scaled, fullMatrices: false), name, label);
        return (u.MoveToOuterDisposeScope(), s.mul_(scale).MoveToOuterDisposeScope(), vt.MoveToOuterDisposeScope());
    }

    /// <summary>S [m] alone, falling.</summary>
    public static double[] SingularValues(Tensor wide, string name, string? label = null)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor scaled, double scale) = ToUnit(wide);
        return [.. Converged(() => linalg.svdvals(scaled), name, label).mul_(scale).data<double>()];
    }

    /// <summary>A matrix over the power of two of its largest magnitude, so that neither squares nor sums overflow, and that power: exact both ways.</summary>
    public static (Tensor Scaled, double Scale) ToUnit(Tensor wide)
    {
        PowerOfTwoScale scale = PowerOfTwoScale.Of(TensorInput.LargestMagnitude(wide));
        return (scale.Down(wide), scale.Up(1));
    }

    private static T Converged<T>(Func<T> decompose, string name, string? label)
    {
        try
        {
            return decompose();
        }
        catch (System.Runtime.InteropServices.ExternalException error)
        {
            throw new ArgumentException($"The singular value decomposition of {label ?? name} did not converge.", name, error);
        }
    }

    /// <summary>Checks a rank.</summary>
    public static void CheckRank(int rank, Tensor matrix, string name = "rank") => CheckRank(rank, matrix.shape[0], matrix.shape[1], name);

    /// <summary>Checks a rank.</summary>
    public static void CheckRank(long rank, long outputs, long inputs, string name = "rank")
    {
        long most = Math.Min(outputs, inputs);
        if (rank < 1 || rank > most) throw new ArgumentOutOfRangeException(name, rank, $"The rank of a matrix [{outputs}, {inputs}] must be from 1 to {most}.");
    }

    /// <summary>Sum of squares of a tail.</summary>
    public static double TailEnergy(ReadOnlySpan<double> singular, int from)
    {
        double sum = 0;
        for (int i = singular.Length - 1; i >= from; i--) sum += singular[i] * singular[i];
        return sum;
    }
}
