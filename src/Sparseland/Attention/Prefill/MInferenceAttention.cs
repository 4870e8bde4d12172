using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Prefill;

/// <summary>
/// MInference 1.0 (Jiang et al. 2024): reading a prompt, each head computes the cells of its own shape alone, whose indices are estimated from the prompt. New tokens behind it see
/// everything. The strip that is estimated from knows the end of the prompt, so that this is causal for a fixed prompt only: a loss measured inside of it is optimistic.
/// </summary>
public sealed class MInferenceAttention : IAttentionMethod
{
    private readonly HeadPatternMap? _map;
    private readonly HeadPattern[]? _all;

    /// <summary>A shape for each head.</summary>
    /// <param name="map">The shapes.</param>
    /// <param name="options">How indices are estimated; null for the defaults.</param>
    public MInferenceAttention(HeadPatternMap map, MInferenceOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(map);
        (_map, Options) = (map, options ?? new());
        Options.Validate();
    }

    /// <summary>One shape for all heads.</summary>
    /// <param name="pattern">The shape.</param>
    /// <param name="options">How indices are estimated; null for the defaults.</param>
    public MInferenceAttention(HeadPattern pattern, MInferenceOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        (_all, Options) = ([pattern], options ?? new());
        Options.Validate();
    }

    /// <summary>How indices are estimated.</summary>
    public MInferenceOptions Options { get; }

    /// <summary>Whether outputs never know later tokens: no, the indices are estimated from the end of the prompt.</summary>
    public bool Causal => false;

    /// <summary>Selected or, without <see cref="MInferenceOptions.Exact"/>, computed cells of all prompts so far.</summary>
    public long Cells { get; private set; }

    /// <summary>Causal cells of all prompts so far.</summary>
    public long Allowed { get; private set; }

    /// <summary>Cells over causal cells of all prompts so far.</summary>
    public double Density => Allowed == 0 ? 0 : (double)Cells / Allowed;

    /// <inheritdoc/>
    public Tensor? Attend(AttentionCall call, Tensor q, Tensor k, Tensor v)
    {
        // A token behind the prompt, or a piece of text behind a cache: dense, as published.
        if (q.shape[2] == 1 || k.shape[2] != q.shape[2]) return null;
        if (!call.Causal || call.Stands is not null) throw new NotSupportedException("MInference is for decoders, and for texts without padding.");
        IReadOnlyList<HeadPattern> patterns = _all ?? (call.Layer < _map!.Layers.Count ? _map.Layers[call.Layer] : throw new ArgumentException($"The map has {_map.Layers.Count} blocks; the model asks for block {call.Layer}.", "map"));
        Allowed += q.shape[0] * q.shape[1] * AttentionCost.Cells(q.shape[2]);
        (Tensor output, Tensor logSumExp) = Options.Exact ? Cellwise(patterns, call, q, k, v) : Blockwise(patterns, call, q, k, v);
        logSumExp.Dispose();
        return output;
    }

    private (Tensor, Tensor) Cellwise(IReadOnlyList<HeadPattern> patterns, AttentionCall call, Tensor q, Tensor k, Tensor v)
    {
        AttentionSupport support = PatternEstimator.Select(patterns, q, k, Options, call.Scale);
        Cells += support.Selected;
        return SparseAttention.Attend(q, k, v, support, call.Scale, emptyRows: true);
    }

    private (Tensor, Tensor) Blockwise(IReadOnlyList<HeadPattern> patterns, AttentionCall call, Tensor q, Tensor k, Tensor v)
    {
        IReadOnlyList<BlockSupport> blocks = PatternEstimator.Estimate(patterns, q, k, Options, call.Scale);
        Cells += blocks.Sum(b => b.Computed);
        return SparseAttention.Attend(q, k, v, blocks, call.Scale);
    }
}
