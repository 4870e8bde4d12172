using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Caching;

/// <summary>Among which elements of a cache the largest stay.</summary>
public enum PruneAxis
{
    /// <summary>Those of one token: every vector keeps as many.</summary>
    Token,

    /// <summary>Those of one channel within a group of tokens: every channel keeps as many.</summary>
    Channel,
}

/// <summary>How many elements stay.</summary>
public enum KeepRule
{
    /// <summary>n - floor(s n), ties to the lower index.</summary>
    Exact,

    /// <summary>Those not below the floor(s n)-th smallest magnitude, as the released code has it: one more, and all ties.</summary>
    AsPublished,
}

/// <summary>Unstructured pruning of keys and values (Mustafar, Joo et al. 2025) and the rules it was compared with. What stays keeps its value.</summary>
public static class CachePruning
{
    /// <summary>Zeros the smallest elements.</summary>
    /// <param name="x">Keys or values [batch, keyValueHeads, tokens, headDim].</param>
    /// <param name="sparsity">Share s that goes, from 0 to below 1.</param>
    /// <param name="axis">Among which elements. Default those of a token.</param>
    /// <param name="weights">Factors of the magnitudes, of a shape that fits x: output-aware scores. Default null, none.</param>
    /// <param name="group">Tokens that compete in a channel; tokens behind the last whole group stay. Default 32; matters to <see cref="PruneAxis.Channel"/> alone.</param>
    /// <param name="rule">How many stay. Default exactly n - floor(s n).</param>
    /// <returns>A tensor of the same shape.</returns>
    /// <exception cref="ArgumentException">Another shape, a share out of range or that leaves nothing, NaN or infinity, or fewer tokens than a group.</exception>
    public static Tensor Prune(Tensor x, double sparsity, PruneAxis axis = PruneAxis.Token, Tensor? weights = null, int group = 32, KeepRule rule = KeepRule.Exact)
    {
        CheckCache(x, nameof(x));
        CheckShare(sparsity);
        if (!Enum.IsDefined(axis)) throw new ArgumentOutOfRangeException(nameof(axis), axis, "axis is none that is known.");
        if (!Enum.IsDefined(rule)) throw new ArgumentOutOfRangeException(nameof(rule), rule, "rule is none that is known.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(group);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor values = x.detach(), scores = values.abs();
        if (weights is not null)
        {
            long[] fits = weights.shape;
            if (fits.Length > 4 || Enumerable.Range(1, fits.Length).Any(d => fits[^d] != 1 && fits[^d] != x.shape[^d]))
                throw new ArgumentException($"weights are [{string.Join(", ", fits)}], which does not fit [{string.Join(", ", x.shape)}].", nameof(weights));
            if (weights.lt(0).any().item<bool>() || !TensorInput.IsFinite(weights)) throw new ArgumentException("weights must be finite and not negative.", nameof(weights));
            scores = scores * weights;
        }

        if (axis == PruneAxis.Token) return scope.MoveToOuter(Only(values, Kept(scores, sparsity, rule)));
        long tokens = x.shape[2], whole = tokens / group * group;
        if (whole == 0) throw new ArgumentException($"{tokens} tokens are fewer than a group of {group}.", nameof(group));
        Tensor groups = scores.narrow(2, 0, whole).reshape(x.shape[0], x.shape[1], whole / group, group, x.shape[3]).transpose(3, 4);
        Tensor kept = Kept(groups, sparsity, rule).transpose(3, 4).reshape(x.shape[0], x.shape[1], whole, x.shape[3]);
        return scope.MoveToOuter(cat([Only(values.narrow(2, 0, whole), kept), values.narrow(2, whole, tokens - whole)], 2));
    }

    /// <summary>Elements at random, as many of each token: what choosing by size must beat.</summary>
    /// <param name="x">Keys or values [batch, keyValueHeads, tokens, headDim].</param>
    /// <param name="sparsity">Share that goes, from 0 to below 1.</param>
    /// <param name="seed">Seed. Default 1.</param>
    public static Tensor Random(Tensor x, double sparsity, long seed = 1)
    {
        CheckCache(x, nameof(x));
        CheckShare(sparsity);
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator(unchecked((ulong)seed));
        return scope.MoveToOuter(Only(x.detach(), Kept(rand(x.shape, generator: generator), sparsity, KeepRule.Exact).to(x.device)));
    }

    /// <summary>Weights of key channels by the queries that will read them: of each channel the mean of |q| over the last queries, summed over the query heads that share the keys.</summary>
    /// <param name="queries">[batch, heads, tokens, headDim].</param>
    /// <param name="keyValueHeads">Key heads; divides heads.</param>
    /// <param name="last">Last queries. Default 32.</param>
    /// <returns>[batch, keyValueHeads, 1, headDim].</returns>
    /// <exception cref="ArgumentException">Another shape, or heads that do not divide.</exception>
    public static Tensor OutputAwareWeights(Tensor queries, int keyValueHeads, int last = 32)
    {
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(Recent(queries, keyValueHeads, last).abs().mean([3L]).sum(2).unsqueeze(2));
    }

    /// <summary>Whole channels of the keys go (ThinK, Xu et al. 2024): those with the smallest mean of squared queries times mean of squared keys, the same for all tokens of a head.</summary>
    /// <param name="keys">[batch, keyValueHeads, tokens, headDim].</param>
    /// <param name="sparsity">Share of the channels that goes, from 0 to below 1.</param>
    /// <param name="queries">[batch, heads, tokens, headDim]; null, the default, for the keys' squares alone, as is done with values.</param>
    /// <param name="last">Last queries that count. Default 32.</param>
    /// <exception cref="ArgumentException">Shapes or numbers that do not fit.</exception>
    public static Tensor WholeChannels(Tensor keys, double sparsity, Tensor? queries = null, int last = 32)
    {
        CheckCache(keys, nameof(keys));
        CheckShare(sparsity);
        using DisposeScope scope = NewDisposeScope();
        if (queries is not null && (queries.dim() != 4 || queries.shape[0] != keys.shape[0] || queries.shape[3] != keys.shape[3]))
            throw new ArgumentException($"queries are [{string.Join(", ", queries.shape)}], where [{keys.shape[0]}, heads, tokens, {keys.shape[3]}] is needed.", nameof(queries));

        // In double precision: squares of 1e-30 and of 1e20 leave single precision, and equal scores would go to the first channels.
        Tensor scores = keys.detach().to(ScalarType.Float64).square().mean([2L]);
        if (queries is not null) scores = scores * Recent(queries, (int)keys.shape[1], last).to(ScalarType.Float64).square().mean([3L]).mean([2L]);
        return scope.MoveToOuter(Only(keys.detach(), Kept(scores, sparsity, KeepRule.Exact).unsqueeze(2)));
    }

    /// <summary>Elements that stay of n: n - floor(s n), with 0.7 * 128 = 89.6 -> 89 as the decimal number says.</summary>
    /// <param name="count">n.</param>
    /// <param name="sparsity">s.</param>
    public static int KeptOf(int count, double sparsity) => count - (int)Math.Floor((sparsity * count) + 1e-9);

    private static Tensor Recent(Tensor queries, int keyValueHeads, int last)
    {
        CheckCache(queries, nameof(queries));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(last);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(keyValueHeads);
        if (queries.shape[1] % keyValueHeads != 0) throw new ArgumentException($"{queries.shape[1]} query heads are no multiple of {keyValueHeads} key heads.", nameof(keyValueHeads));
        long count = Math.Min(last, queries.shape[2]);
        return queries.detach().narrow(2, queries.shape[2] - count, count).reshape(queries.shape[0], keyValueHeads, queries.shape[1] / keyValueHeads, count, queries.shape[3]);
    }

    /// <summary>What stays, and plain zeros: a product with 0 would leave -0.0 of what was negative, which a bitmap keeps as a number.</summary>
    private static Tensor Only(Tensor values, Tensor kept) => values.masked_fill(kept.eq(0), 0);

    /// <summary>1 where an element of a last dimension stays.</summary>
    private static Tensor Kept(Tensor scores, double sparsity, KeepRule rule)
    {
        int n = (int)scores.shape[^1], kept = KeptOf(n, sparsity);
        Tensor rows = scores.contiguous();
        if (rule == KeepRule.Exact || kept == n) return Select.Mask(rows, Budget.PerRow(kept)).to(scores.dtype);
        (Tensor smallest, _) = rows.topk(n - kept, dim: -1, largest: false);
        return rows.ge(smallest.amax([-1L], keepdim: true)).to(scores.dtype);
    }

    internal static void CheckShare(double sparsity)
    {
        if (!(sparsity >= 0 && sparsity < 1)) throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, "sparsity must be from 0 to below 1.");
    }

    private static void CheckCache(Tensor x, string name)
    {
        ArgumentNullException.ThrowIfNull(x, name);
        if (x.dim() != 4 || x.numel() == 0) throw new ArgumentException($"{name} must be [batch, heads, tokens, headDim] and not empty, but is [{string.Join(", ", x.shape)}].", name);
        // NaN wins no comparison and would vanish without a word.
        if (!TensorInput.IsFinite(x)) throw new ArgumentException($"{name} holds NaN or infinity.", name);
    }
}
