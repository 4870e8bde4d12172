using Sparseland.Models.Language;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention;

/// <summary>
/// A pattern in the place of a model's attention, of a decoder or of an encoder, in one pass or token by token with a cache: <c>model.Logits(ids, attention: new
/// PatternAttention(call => AttentionPatterns.Window(call.Tokens, 64, call.Offset)))</c>.
/// </summary>
/// <param name="choose">The kept cells of a block; null for the model's own attention there.</param>
public sealed class PatternAttention(Func<PatternCall, AttentionSupport?> choose) : IAttentionMethod
{
    private readonly Func<PatternCall, AttentionSupport?> _choose = choose ?? throw new ArgumentNullException(nameof(choose));

    /// <summary>One pattern for all heads, given by its shape alone.</summary>
    /// <param name="choose">The kept cells of every head of a block.</param>
    public PatternAttention(Func<PatternCall, Support> choose)
        : this(call => AttentionSupport.Shared(choose(call), 1, call.Causal, call.Causal ? call.Offset : 0)) =>
        ArgumentNullException.ThrowIfNull(choose);

    /// <summary>Cells kept in all calls so far, over sequences and heads.</summary>
    public long Selected { get; private set; }

    /// <summary>Cells that there were.</summary>
    public long Allowed { get; private set; }

    /// <summary>Kept over allowed cells of all calls so far.</summary>
    public double Density => Allowed == 0 ? 0 : (double)Selected / Allowed;

    /// <inheritdoc/>
    public Tensor? Attend(AttentionCall call, Tensor q, Tensor k, Tensor v)
    {
        if (_choose(new(call, q, k, v)) is not { } support) return null;
        if (call.Stands is not null) throw new NotSupportedException("A pattern takes texts without padding: give an encoder one text, or texts of one length.");
        int together = (int)(q.shape[0] * q.shape[1]) / support.Heads.Count;
        (Selected, Allowed) = (Selected + (together * support.Selected), Allowed + (together * support.Allowed));
        (Tensor output, Tensor logSumExp) = SparseAttention.Attend(q, k, v, support, call.Scale);
        logSumExp.Dispose();
        return output;
    }
}

/// <summary>Computed blocks in the place of a decoder's attention: the fast form of <see cref="PatternAttention"/>.</summary>
/// <param name="choose">What is computed of each head of a block of the model; null for the model's own attention there.</param>
public sealed class BlockAttention(Func<PatternCall, IReadOnlyList<BlockSupport>?> choose) : IAttentionMethod
{
    private readonly Func<PatternCall, IReadOnlyList<BlockSupport>?> _choose = choose ?? throw new ArgumentNullException(nameof(choose));

    /// <summary>Cells computed in all calls so far, over sequences and heads.</summary>
    public long Computed { get; private set; }

    /// <summary>Causal cells that there were.</summary>
    public long Allowed { get; private set; }

    /// <summary>Computed over causal cells of all calls so far.</summary>
    public double Density => Allowed == 0 ? 0 : (double)Computed / Allowed;

    /// <inheritdoc/>
    public Tensor? Attend(AttentionCall call, Tensor q, Tensor k, Tensor v)
    {
        if (!call.Causal) throw new NotSupportedException("Blocks are those of a causal attention; for an encoder take PatternAttention.");
        if (_choose(new(call, q, k, v)) is not { } blocks) return null;
        long heads = q.shape[0] * q.shape[1];
        if (blocks.Count == 0 || heads % blocks.Count != 0) throw new ArgumentException($"choose gave blocks of {blocks.Count} heads for {heads}.", "choose");
        Computed += heads / blocks.Count * blocks.Sum(b => b.Computed);
        Allowed += heads * AttentionCost.Cells(q.shape[2], k.shape[2] - q.shape[2]);
        (Tensor output, Tensor logSumExp) = SparseAttention.Attend(q, k, v, blocks, call.Scale);
        logSumExp.Dispose();
        return output;
    }
}

/// <summary>What a pattern is chosen from.</summary>
/// <param name="call">Block, scale, and what may be seen.</param>
/// <param name="q">Queries.</param>
/// <param name="k">Keys.</param>
/// <param name="v">Values.</param>
public readonly struct PatternCall(AttentionCall call, Tensor q, Tensor k, Tensor v)
{
    /// <summary>Block of the model, from 0.</summary>
    public int Layer => call.Layer;

    /// <summary>Whether later keys are hidden.</summary>
    public bool Causal => call.Causal;

    /// <summary>Factor of the products.</summary>
    public double Scale => call.Scale;

    /// <summary>Queries [batch, heads, tokens, headDim].</summary>
    public Tensor Queries => q;

    /// <summary>Keys [batch, keyValueHeads, keys, headDim].</summary>
    public Tensor Keys => k;

    /// <summary>Values [batch, keyValueHeads, keys, headDim].</summary>
    public Tensor Values => v;

    /// <summary>Sequences.</summary>
    public int Batch => (int)q.shape[0];

    /// <summary>Query heads.</summary>
    public int Heads => (int)q.shape[1];

    /// <summary>Queries.</summary>
    public int Tokens => (int)q.shape[2];

    /// <summary>Tokens before the first query: those of a cache.</summary>
    public int Offset => (int)(k.shape[2] - q.shape[2]);
}
