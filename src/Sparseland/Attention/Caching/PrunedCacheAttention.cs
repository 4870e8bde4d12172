using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Caching;

/// <summary>
/// What a pruned cache costs, in one pass over a text: every query sees the keys and values of its last tokens as they are, and pruned ones behind them, with one softmax. So a loss can be
/// measured without generating token by token. Harsher than a real cache: the hidden states of older tokens have been computed with pruned caches too.
/// </summary>
/// <param name="prune">From keys, values and queries of a block to pruned keys and values of the same shape.</param>
/// <param name="residual">Newest tokens that are dense for each query, its own included. Default 32.</param>
public sealed class PrunedCacheAttention(Func<Tensor, Tensor, Tensor, (Tensor Keys, Tensor Values)> prune, int residual = 32) : IAttentionMethod
{
    private readonly Func<Tensor, Tensor, Tensor, (Tensor Keys, Tensor Values)> _prune = prune ?? throw new ArgumentNullException(nameof(prune));
    private readonly int _residual = residual >= 0 ? residual : throw new ArgumentOutOfRangeException(nameof(residual), residual, "residual must not be negative.");

    /// <inheritdoc/>
    public Tensor? Attend(AttentionCall call, Tensor q, Tensor k, Tensor v)
    {
        AttentionShape shape = AttentionShape.Of(q, k, v, causal: true);
        if (!call.Causal || shape.Offset != 0) throw new NotSupportedException("A pruned cache is judged on whole texts, by a decoder.");
        using DisposeScope scope = NewDisposeScope();
        (Tensor keys, Tensor values) = _prune(k, v, q);
        if (!keys.shape.SequenceEqual(k.shape) || !values.shape.SequenceEqual(v.shape)) throw new ArgumentException($"Pruned keys are [{string.Join(", ", keys.shape)}] and values [{string.Join(", ", values.shape)}], where [{string.Join(", ", k.shape)}] is needed.", "prune");

        // New tokens are those at a distance below the residual; all others are read from the pruned cache.
        Tensor seen = ones([shape.Tokens, shape.Tokens], dtype: ScalarType.Bool, device: q.device).tril(), old = seen.tril(-_residual), recent = seen.logical_and(old.logical_not());
        Tensor Wide(Tensor x) => HeadInput.Shared(x, shape.Group);
        Tensor Scores(Tensor to) => q.mul(call.Scale).flatten(0, 1).bmm(Wide(to).flatten(0, 1).transpose(1, 2));
        Tensor weights = where(recent, Scores(k), Scores(keys)).masked_fill(seen.logical_not(), double.NegativeInfinity).softmax(-1);
        Tensor output = (weights * recent).bmm(Wide(v).flatten(0, 1)) + (weights * old).bmm(Wide(values).flatten(0, 1));
        return scope.MoveToOuter(output.view(q.shape));
    }
}
