using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Estimation;

/// <summary>
/// Attention on estimated columns in the place of a decoder's own (SEA): the estimate names the columns, exact scores are computed there alone, and what lies elsewhere is stood for by the mean of
/// the values so far. Linear in tokens, and causal.
/// </summary>
/// <remarks>The estimate is used for the choice alone, never as weights. The estimators remain the caller's. On the CPU only: other devices are refused.</remarks>
public sealed class SeaAttention : IAttentionMethod
{
    private readonly SeaEstimator?[] _estimators;

    /// <summary>Takes one estimator for each block.</summary>
    /// <param name="estimators">Of the blocks in order; null for a block that keeps its own attention.</param>
    /// <param name="columns">Columns of a head and row on average, k, positive. Default 16; it may be another than in training.</param>
    /// <param name="scale">Whether the sparse rows are scaled by sigmoid(s0). Default true.</param>
    /// <param name="mix">Whether the running mean is mixed in by sigmoid(s1). Default true.</param>
    /// <exception cref="ArgumentException">No estimator, or k not positive.</exception>
    public SeaAttention(IReadOnlyList<SeaEstimator?> estimators, int columns = 16, bool scale = true, bool mix = true)
    {
        ArgumentNullException.ThrowIfNull(estimators);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(columns);
        if (estimators.Count == 0) throw new ArgumentException("There is no estimator.", nameof(estimators));
        (_estimators, Columns, Scales, Mixes) = ([.. estimators], columns, scale, mix);
    }

    /// <summary>Columns of a head and row on average, k.</summary>
    public int Columns { get; }

    /// <summary>Whether the sparse rows are scaled by sigmoid(s0).</summary>
    public bool Scales { get; }

    /// <summary>Whether the running mean is mixed in by sigmoid(s1).</summary>
    public bool Mixes { get; }

    /// <summary>Cells of queries and keys that were computed in all calls so far, over sequences and heads.</summary>
    public long Selected { get; private set; }

    /// <summary>Causal cells that there were.</summary>
    public long Allowed { get; private set; }

    /// <summary>Computed over causal cells of all calls so far.</summary>
    public double Density => Allowed == 0 ? 0 : (double)Selected / Allowed;

    /// <summary>The attention of one block: estimate, choice, exact scores on the chosen columns, scale and mix.</summary>
    /// <param name="call">Block, scale, and what may be seen: a causal model without padding.</param>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, tokens, headDim].</param>
    /// <param name="v">Values [batch, keyValueHeads, tokens, headDim].</param>
    /// <returns>[batch, heads, tokens, headDim]; null in a block without an estimator.</returns>
    /// <exception cref="ArgumentException">More blocks than estimators, heads that do not fit, an encoder, padding or a cache, another device than the CPU, or values that are not finite.</exception>
    public Tensor? Attend(AttentionCall call, Tensor q, Tensor k, Tensor v)
    {
        if (!call.Causal || call.Stands is not null) throw new ArgumentException("These estimates are of causal models without padding.", nameof(call));
        if (call.Layer < 0 || call.Layer >= _estimators.Length) throw new ArgumentException($"Block {call.Layer} has no estimator; there are {_estimators.Length}.", nameof(call));
        if (_estimators[call.Layer] is not { } estimator) return null;
        AttentionShape.Of(q, k, v, causal: true);
        HeadInput.OnCpu(q, nameof(SeaAttention));
        using DisposeScope scope = NewDisposeScope();
        using SeaEstimate estimate = estimator.Estimate(q, k, v);
        AttentionSupport support = SeaMask.FromCells(estimate, Columns);
        (Selected, Allowed) = (Selected + support.Selected, Allowed + support.Allowed);
        Tensor sparse = SparseAttention.Attend(q, k, v, support, call.Scale, emptyRows: true).Output;
        return scope.MoveToOuter(Mixed(sparse, v, estimate, Scales, Mixes));
    }

    /// <summary>Steps 8 and 9: sigmoid(s1) sigmoid(s0) sparse + (1 - sigmoid(s1)) mean of the values so far.</summary>
    /// <param name="sparse">Output over the kept columns [batch, heads, tokens, headDim].</param>
    /// <param name="v">Values [batch, keyValueHeads, tokens, headDim].</param>
    /// <param name="estimate">Where s0 and s1 stand.</param>
    /// <param name="scale">Whether the sparse rows are scaled. Default true.</param>
    /// <param name="mix">Whether the mean is mixed in; without, the sparse rows are all. Default true.</param>
    /// <returns>[batch, heads, tokens, headDim].</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit.</exception>
    public static Tensor Mixed(Tensor sparse, Tensor v, SeaEstimate estimate, bool scale = true, bool mix = true)
    {
        ArgumentNullException.ThrowIfNull(sparse);
        ArgumentNullException.ThrowIfNull(v);
        ArgumentNullException.ThrowIfNull(estimate);
        long[] s = sparse.shape;
        if (s.Length != 4 || !s[..3].SequenceEqual(estimate.Scale.shape)) throw new ArgumentException($"sparse [{string.Join(", ", s)}] does not fit an estimate of [{string.Join(", ", estimate.Scale.shape)}].", nameof(sparse));
        if (v.dim() != 4 || v.shape[0] != s[0] || v.shape[1] == 0 || s[1] % v.shape[1] != 0 || v.shape[2] != s[2] || v.shape[3] != s[3])
            throw new ArgumentException($"v [{string.Join(", ", v.shape)}] does not fit an output of [{string.Join(", ", s)}].", nameof(v));
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(Together(sparse, HeadInput.Shared(RunningMean.Of(v), (int)(s[1] / v.shape[1])), estimate.Scale, estimate.Mix, scale, mix));
    }

    /// <summary><see cref="Mixed"/> with the mean at hand; in the current scope.</summary>
    internal static Tensor Together(Tensor sparse, Tensor mean, Tensor s0, Tensor s1, bool scale, bool mix)
    {
        if (scale) sparse = sparse.mul(s0.sigmoid().unsqueeze(3).to(sparse.dtype));
        if (!mix) return scale ? sparse : sparse.clone();
        Tensor share = s1.sigmoid().unsqueeze(3).to(sparse.dtype);
        return sparse.mul(share).add(mean.mul(share.neg().add(1)));
    }
}
