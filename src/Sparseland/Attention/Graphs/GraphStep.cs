using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Graphs;

/// <summary>
/// One step of message passing over weighted neighbourhoods, without trained weights: rows of A are nodes, columns their neighbours. Softmax attention is the step A V with rows of sum one, a weighted mean;
/// <see cref="Gin"/> (Xu et al. 2019) adds the node itself to a sum, <see cref="Pna"/> (Corso et al. 2020) joins several statistics.
/// </summary>
public static class GraphStep
{
    private const long CellsAtOnce = 1 << 22;

    /// <summary>Z = epsilon X + A X, or (1 + epsilon) X + A X: what the MLP of a graph isomorphism network is given.</summary>
    /// <param name="x">Node features [..., tokens, width].</param>
    /// <param name="a">Adjacency [..., tokens, tokens], with the same leading dimensions.</param>
    /// <param name="options">Says which self term; null, the default, for that of the record.</param>
    /// <param name="epsilon">One number; null, the default, for 0.</param>
    /// <returns>[..., tokens, width].</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit, a value is not finite, or an option is out of its range.</exception>
    public static Tensor Gin(Tensor x, Tensor a, GinOptions? options = null, Tensor? epsilon = null)
    {
        Check(x, a, nameof(x));
        options ??= new();
        options.Validate();
        if (epsilon is not null)
        {
            if (epsilon.numel() != 1) throw new ArgumentException($"epsilon must be one number, but is [{string.Join(", ", epsilon.shape)}].", nameof(epsilon));
            using DisposeScope read = NewDisposeScope();
            if (epsilon.detach().to(ScalarType.Float64).item<double>() is var number && !double.IsFinite(number)) throw new ArgumentException($"epsilon is {number}; it must be finite.", nameof(epsilon));
        }

        // A tensor of another type would make the result one.
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(Summed(x, a, options.SelfTerm, epsilon?.to(x.dtype)));
    }

    /// <summary>
    /// Statistics of each node's neighbours N(i) = {j : A_ij above 0}, side by side in the order of the enumeration: sum A V; mean A V / deg with deg_i = sum_j A_ij; variance
    /// A V^2 / deg - mean^2, at least 0; the largest value channel by channel; the neighbours of largest and of smallest norm.
    /// </summary>
    /// <param name="v">Node features [..., tokens, width].</param>
    /// <param name="a">Adjacency [..., tokens, tokens], with the same leading dimensions and no negative cell.</param>
    /// <param name="options">Which statistics; null, the default, for those of the record.</param>
    /// <returns>[..., tokens, statistics * width]. A node without neighbours has sum, mean and variance 0, and itself as largest.</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit, a value is not finite, a cell is negative, or an option is out of its range.</exception>
    public static Tensor Pna(Tensor v, Tensor a, PnaOptions? options = null)
    {
        Check(v, a, nameof(v));
        options ??= new();
        options.Validate();
        using (DisposeScope read = NewDisposeScope())
        {
            if (a.detach().min().to(ScalarType.Float64).item<double>() is < 0 and var low) throw new ArgumentException($"The adjacency has a cell of {low}; a degree needs cells that are not negative.", nameof(a));
        }

        return Statistics(v, a, options);
    }

    /// <summary>The largest value over each node's neighbours N(i) = {j : A_ij above 0}, channel by channel; of a node without neighbours its own. The gradient goes to the neighbour that has it.</summary>
    /// <param name="v">Node features [..., tokens, width].</param>
    /// <param name="a">Adjacency [..., tokens, tokens], with the same leading dimensions.</param>
    /// <returns>[..., tokens, width].</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or a value is not finite.</exception>
    public static Tensor Max(Tensor v, Tensor a)
    {
        Check(v, a, nameof(v));
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(NeighbourMax(v, a.detach().gt(0)));
    }

    /// <summary>The same without checks, for layers that made the adjacency themselves.</summary>
    internal static Tensor Summed(Tensor x, Tensor a, SelfTerm self, Tensor? epsilon)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor z = a.MatMul(x);
        if (self == SelfTerm.OnePlusEpsilon) z = z.add(x);
        return scope.MoveToOuter(epsilon is null ? z : z.add(x.mul(epsilon)));
    }

    /// <summary>The same without checks.</summary>
    internal static Tensor Statistics(Tensor v, Tensor a, PnaOptions options)
    {
        using DisposeScope scope = NewDisposeScope();
        PnaAggregators wanted = options.Aggregators;
        var parts = new List<Tensor>();
        Tensor sum = a.MatMul(v), degree = a.sum(-1, keepdim: true);
        degree = degree.masked_fill(degree.eq(0), 1);
        Tensor mean = sum.div(degree), near = a.detach().gt(0);
        if (wanted.HasFlag(PnaAggregators.Sum)) parts.Add(sum);
        if (wanted.HasFlag(PnaAggregators.Mean)) parts.Add(mean);
        if (wanted.HasFlag(PnaAggregators.Max)) parts.Add(options.Max == PnaMax.Neighbours ? NeighbourMax(v, near) : v);
        if (wanted.HasFlag(PnaAggregators.Variance)) parts.Add(Variance(v, a));
        if (wanted.HasFlag(PnaAggregators.LargestNorm)) parts.Add(ByNorm(v, near, largest: true));
        if (wanted.HasFlag(PnaAggregators.SmallestNorm)) parts.Add(ByNorm(v, near, largest: false));
        return scope.MoveToOuter(cat([.. parts], -1));
    }

    /// <summary>A V^2 / deg - mean^2. In double precision and from the first node on: far from 0 the two squares are all that single precision holds. No later node changes a digit of it.</summary>
    private static Tensor Variance(Tensor v, Tensor a)
    {
        Tensor shares = a.to(ScalarType.Float64), degree = shares.sum(-1, keepdim: true), apart = v.to(ScalarType.Float64).sub(v.detach().narrow(-2, 0, 1));
        shares = shares.div(degree.masked_fill(degree.eq(0), 1));
        return shares.MatMul(apart.square()).sub(shares.MatMul(apart).square()).clamp_min(0).to(v.dtype);
    }

    private static Tensor NeighbourMax(Tensor v, Tensor near)
    {
        // Where every node sees itself and all before it, as behind a softmax, the largest so far is meant.
        long tokens = v.shape[^2], width = v.shape[^1];
        bool all;
        using (NewDisposeScope()) all = near.eq(ones(tokens, tokens, dtype: ScalarType.Bool, device: v.device).tril()).all().item<bool>();
        if (all) return v.cummax(-2).values;

        Tensor flat = v.reshape(-1, tokens, width), flatNear = near.reshape(-1, tokens, tokens);
        long rows = Math.Clamp(CellsAtOnce / Math.Max(1, flat.shape[0] * tokens * width), 1, tokens);
        var places = new List<Tensor>();
        using (no_grad())
        {
            for (long from = 0; from < tokens; from += rows)
            {
                using DisposeScope scope = NewDisposeScope();
                long count = Math.Min(rows, tokens - from);
                Tensor part = flatNear.narrow(1, from, count), seen = flat.detach().unsqueeze(1).masked_fill(part.logical_not().unsqueeze(-1), double.NegativeInfinity);
                Tensor own = arange(from, from + count, dtype: ScalarType.Int64, device: v.device).view(1, count, 1);
                places.Add(scope.MoveToOuter(where(part.any(-1, keepdim: true), seen.argmax(2), own)));
            }
        }

        return flat.gather(1, cat([.. places], 1)).view(v.shape);
    }

    /// <summary>The whole vector of the neighbour whose norm is largest or smallest; a node's own where it has none.</summary>
    private static Tensor ByNorm(Tensor v, Tensor near, bool largest)
    {
        // In double precision: squares of 1e-30 and of 1e20 leave single precision, and all neighbours would be equal.
        Tensor sizes = v.detach().to(ScalarType.Float64).norm(-1).unsqueeze(-2).expand(near.shape), hidden = near.logical_not();
        Tensor best = largest ? sizes.masked_fill(hidden, double.NegativeInfinity).argmax(-1) : sizes.masked_fill(hidden, double.PositiveInfinity).argmin(-1);
        Tensor own = arange(v.shape[^2], dtype: ScalarType.Int64, device: v.device).expand(best.shape);
        Tensor at = where(near.any(-1), best, own).unsqueeze(-1);
        return v.gather(-2, at.expand(v.shape));
    }

    private static void Check(Tensor x, Tensor a, string name)
    {
        ArgumentNullException.ThrowIfNull(x, name);
        ArgumentNullException.ThrowIfNull(a);
        if (x.dim() < 2 || x.numel() == 0) throw new ArgumentException($"{name} must be [..., tokens, width] and not empty, but is [{string.Join(", ", x.shape)}].", name);
        if (a.dim() != x.dim() || a.shape[^1] != x.shape[^2] || a.shape[^2] != x.shape[^2] || !a.shape[..^2].SequenceEqual(x.shape[..^2]))
            throw new ArgumentException($"The adjacency must be [{string.Join(", ", x.shape[..^1])}, {x.shape[^2]}], but is [{string.Join(", ", a.shape)}].", nameof(a));
        if (x.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"{name} is {x.dtype}; it must be Float32 or Float64.", name);
        if (a.dtype != x.dtype) throw new ArgumentException($"The adjacency is {a.dtype}, the features {x.dtype}.", nameof(a));
        foreach ((string what, Tensor t) in new[] { (name, x), (nameof(a), a) })
        {
            if (!TensorInput.IsFinite(t)) throw new ArgumentException($"{what} has a value that is not finite.", what);
        }
    }
}
