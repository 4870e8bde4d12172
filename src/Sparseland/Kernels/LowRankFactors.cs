using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>The best copy of a matrix of some rank, W ~ (U S) V^T with the largest singular values, as two thin factors. All lower ranks are leading parts of it.</summary>
public sealed class LowRankFactors : IDisposable
{
    private readonly NativeSize _size;

    private LowRankFactors(Tensor left, Tensor right, double[] singular) => (Left, Right, SingularValues, _size) = (left, right, singular, NativeSize.Of(left, right));

    /// <summary>U S [out, rank].</summary>
    public Tensor Left { get; }

    /// <summary>V^T [rank, in], orthonormal rows.</summary>
    public Tensor Right { get; }

    /// <summary>All min(in, out) singular values of the matrix, falling; of factors made elsewhere only what they hold.</summary>
    public IReadOnlyList<double> SingularValues { get; }

    /// <summary>Rank of the factors.</summary>
    public int Rank => (int)Left.shape[1];

    /// <summary>Columns of the matrix.</summary>
    public int Inputs => (int)Right.shape[1];

    /// <summary>Rows of the matrix.</summary>
    public int Outputs => (int)Left.shape[0];

    /// <summary>Factors of a matrix, computed in float64.</summary>
    /// <param name="weight">W [out, in], finite; Float32 or Float64.</param>
    /// <param name="rank">From 0 to min(in, out); null, the default, for all.</param>
    /// <exception cref="ArgumentException">Another shape or type, NaN or infinity, or a rank that there is not.</exception>
    public static LowRankFactors Of(Tensor weight, int? rank = null)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (weight.dim() != 2 || weight.numel() == 0) throw new ArgumentException($"weight must be [out, in] and not empty, but is [{string.Join(", ", weight.shape)}].", nameof(weight));
        if (weight.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"weight is {weight.dtype}; it must be Float32 or Float64.", nameof(weight));
        long most = Math.Min(weight.shape[0], weight.shape[1]);
        if (rank < 0 || rank > most) throw new ArgumentOutOfRangeException(nameof(rank), rank, $"rank must be from 0 to {most}.");
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor wide = weight.detach().cpu().to(ScalarType.Float64);
        if (!TensorInput.IsFinite(wide)) throw new ArgumentException("weight holds NaN or infinity.", nameof(weight));
        (Tensor u, Tensor s, Tensor vt) = linalg.svd(wide, fullMatrices: false);
        long r = rank ?? most;
        Tensor left = (u * s).narrow(1, 0, r).to(weight.dtype).contiguous().to(weight.device), right = vt.narrow(0, 0, r).to(weight.dtype).contiguous().to(weight.device);
        return new(left.DetachFromDisposeScope(), right.DetachFromDisposeScope(), s.contiguous().data<double>().ToArray());
    }

    /// <summary>Takes factors that were made elsewhere, the strongest rank first.</summary>
    /// <param name="left">[out, rank]; copied.</param>
    /// <param name="right">[rank, in], of the same type; copied.</param>
    /// <returns>Its <see cref="SingularValues"/> are the norms of the columns of left, which they are where the rows of right are orthonormal and the columns of left orthogonal.</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit each other.</exception>
    public static LowRankFactors From(Tensor left, Tensor right)
    {
        ArgumentNullException.ThrowIfNull(left);
        ArgumentNullException.ThrowIfNull(right);
        if (left.dim() != 2 || right.dim() != 2 || left.shape[1] != right.shape[0] || left.dtype != right.dtype)
            throw new ArgumentException($"left must be [out, rank] and right [rank, in] of one type, but they are [{string.Join(", ", left.shape)}] of {left.dtype} and [{string.Join(", ", right.shape)}] of {right.dtype}.", nameof(right));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        double[] norms = left.detach().cpu().to(ScalarType.Float64).square().sum([0L]).sqrt().contiguous().data<double>().ToArray();
        return new(left.detach().contiguous().clone().DetachFromDisposeScope(), right.detach().contiguous().clone().DetachFromDisposeScope(), norms);
    }

    /// <summary>(U S)_r (V_r^T x) of the leading ranks.</summary>
    /// <param name="x">[..., in], of the factors' type.</param>
    /// <param name="rank">From 0 to <see cref="Rank"/>; null, the default, for all.</param>
    /// <returns>[..., out].</returns>
    /// <exception cref="ArgumentException">Another width, type or device, or a rank that there is not.</exception>
    public Tensor Apply(Tensor x, int? rank = null)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.dim() == 0 || x.shape[^1] != Inputs) throw new ArgumentException($"x must be [..., {Inputs}], but is [{string.Join(", ", x.shape)}].", nameof(x));
        if (x.dtype != Left.dtype || x.device_type != Left.device_type) throw new ArgumentException($"x is {x.dtype} on {x.device_type}; the factors are {Left.dtype} on {Left.device_type}.", nameof(x));
        int r = rank ?? Rank;
        if (r < 0 || r > Rank) throw new ArgumentOutOfRangeException(nameof(rank), rank, $"rank must be from 0 to {Rank}.");
        using DisposeScope scope = NewDisposeScope();
        Tensor result = r == 0 ? zeros([.. x.shape[..^1], Outputs], dtype: x.dtype, device: x.device)
            : nn.functional.linear(nn.functional.linear(x, Right.narrow(0, 0, r)), Left.narrow(1, 0, r));
        return result.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Left.Dispose();
        Right.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"LowRankFactors [{Outputs}, {Inputs}] of rank {Rank}";
}
