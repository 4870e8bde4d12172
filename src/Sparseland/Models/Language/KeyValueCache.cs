using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>
/// Keys and values of the tokens that a decoder has seen, so that each new token costs one step. Memory for the whole context is
/// taken once, so a step copies nothing but its own keys and values.
/// </summary>
public sealed class KeyValueCache : IDisposable
{
    private readonly Tensor[] _keys;
    private readonly Tensor[] _values;

    /// <summary>An empty cache.</summary>
    /// <param name="layers">Blocks.</param>
    /// <param name="batch">Sequences.</param>
    /// <param name="heads">Key and value heads.</param>
    /// <param name="context">Most tokens.</param>
    /// <param name="headDim">Width of a head.</param>
    /// <param name="type">Element type.</param>
    public KeyValueCache(int layers, long batch, int heads, int context, int headDim, ScalarType type = ScalarType.Float32)
    {
        Tensor New() => empty([batch, heads, context, headDim], dtype: type).DetachFromDisposeScope();
        (_keys, _values, Context) = ([.. Enumerable.Range(0, layers).Select(_ => New())], [.. Enumerable.Range(0, layers).Select(_ => New())], context);
    }

    /// <summary>Tokens held.</summary>
    public int Count { get; private set; }

    /// <summary>Most tokens.</summary>
    public int Context { get; }

    /// <summary>Forgets all tokens from a place on; the memory stays.</summary>
    /// <param name="count">Tokens to keep, at most <see cref="Count"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">More tokens than there are.</exception>
    public void Truncate(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Count);
        Count = count;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Tensor tensor in _keys.Concat(_values)) tensor.Dispose();
    }

    /// <summary>Stores the new tokens of a block and returns all keys and values up to them.</summary>
    internal (Tensor Keys, Tensor Values) Extend(int layer, Tensor keys, Tensor values)
    {
        long added = keys.shape[2];
        using (no_grad())
        {
            using Tensor k = _keys[layer].narrow(2, Count, added), v = _values[layer].narrow(2, Count, added);
            k.copy_(keys);
            v.copy_(values);
        }

        return (_keys[layer].narrow(2, 0, Count + added), _values[layer].narrow(2, 0, Count + added));
    }

    internal void Advance(int tokens) => Count += tokens;
}
