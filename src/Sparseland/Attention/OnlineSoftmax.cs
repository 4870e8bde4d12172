using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention;

/// <summary>
/// Attention over keys that come in pieces (online softmax; Milakov and Gimelshein 2018, Dao et al. 2022): only a maximum m, a sum l and a weighted sum a are kept of
/// each query. m' = max(m, max s), c = exp(m - m'), l' = c l + sum exp(s - m'), a' = c a + exp(s - m') V.
/// </summary>
public sealed class OnlineSoftmax : IDisposable
{
    private Tensor? _most, _sum, _weighted;

    /// <summary>Keys seen so far.</summary>
    public long Keys { get; private set; }

    /// <summary>The running maximum of each query's scores [..., tokens]; null before the first piece.</summary>
    public Tensor? Most => _most;

    /// <summary>Takes in some keys.</summary>
    /// <param name="scores">Scores of all queries with these keys [..., tokens, keys]; -infinity where a key is hidden.</param>
    /// <param name="values">Values of these keys [..., keys, valueDim].</param>
    /// <exception cref="ArgumentException">Shapes that do not fit each other or the pieces before, or NaN or +infinity among the scores.</exception>
    public void Add(Tensor scores, Tensor values)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(values);
        if (scores.dim() < 2 || values.dim() != scores.dim() || values.shape[^2] != scores.shape[^1] || !values.shape[..^2].SequenceEqual(scores.shape[..^2]))
            throw new ArgumentException($"scores [{string.Join(", ", scores.shape)}] and values [{string.Join(", ", values.shape)}] do not fit: [..., tokens, keys] and [..., keys, valueDim].", nameof(values));
        if (_most is not null && (!_most.shape.SequenceEqual(scores.shape[..^1]) || _weighted!.shape[^1] != values.shape[^1]))
            throw new ArgumentException($"scores [{string.Join(", ", scores.shape)}] are of other queries than those before [{string.Join(", ", _most.shape)}].", nameof(scores));
        using DisposeScope scope = NewDisposeScope();
        if (!scores.lt(double.PositiveInfinity).all().item<bool>()) throw new ArgumentException("scores hold NaN or +infinity.", nameof(scores));
        Tensor most = _most is null ? scores.amax([-1L]) : maximum(_most, scores.amax([-1L])), finite = most.masked_fill(most.detach().eq(double.NegativeInfinity), 0);
        Tensor weights = (scores - finite.unsqueeze(-1)).exp(), sum = weights.sum(-1), weighted = weights.reshape(-1, scores.shape[^2], scores.shape[^1]).bmm(values.reshape(-1, values.shape[^2], values.shape[^1])).view([.. scores.shape[..^1], values.shape[^1]]);
        if (_most is not null)
        {
            Tensor shrink = (_most - finite).exp();
            sum = (shrink * _sum!) + sum;
            weighted = (shrink.unsqueeze(-1) * _weighted!) + weighted;
        }

        Dispose();
        (_most, _sum, _weighted) = (most.DetachFromDisposeScope(), sum.DetachFromDisposeScope(), weighted.DetachFromDisposeScope());
        Keys += scores.shape[^1];
    }

    /// <summary>Attention over all keys so far.</summary>
    /// <returns>Output [..., tokens, valueDim] and log-sum-exp [..., tokens].</returns>
    /// <exception cref="InvalidOperationException">No keys yet.</exception>
    public (Tensor Output, Tensor LogSumExp) Result()
    {
        if (_most is null) throw new InvalidOperationException("No keys have been added.");
        using DisposeScope scope = NewDisposeScope();
        return (scope.MoveToOuter(_weighted! / _sum!.clamp_min(1e-30).unsqueeze(-1)), scope.MoveToOuter(_most + _sum.log()));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _most?.Dispose();
        _sum?.Dispose();
        _weighted?.Dispose();
    }
}
