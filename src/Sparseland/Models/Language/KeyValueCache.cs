using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>
/// Keys and values of the tokens that a decoder has seen, so that each new token costs one step. Memory doubles when it is full, up to
/// the context, so most steps copy nothing but their own keys and values.
/// </summary>
public class KeyValueCache : IDisposable
{
    private const int FirstTokens = 256;
    private readonly Tensor[] _keys;
    private readonly Tensor[] _values;

    /// <summary>An empty cache.</summary>
    /// <param name="layers">Blocks.</param>
    /// <param name="batch">Sequences.</param>
    /// <param name="heads">Key and value heads.</param>
    /// <param name="context">Most tokens.</param>
    /// <param name="headDim">Width of a head.</param>
    /// <param name="type">Element type. Default Float32.</param>
    /// <param name="device">Where it lives; CPU when null.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is not positive.</exception>
    public KeyValueCache(int layers, long batch, int heads, int context, int headDim, ScalarType type = ScalarType.Float32, Device? device = null)
        : this(layers, batch, heads, context, headDim, FirstTokens, type, device)
    {
    }

    /// <summary>The same with room for so many tokens at first: caches that hold keys and values in a form of their own need next to none.</summary>
    private protected KeyValueCache(int layers, long batch, int heads, int context, int headDim, int room, ScalarType type, Device? device)
    {
        foreach ((string name, long value) in new[] { (nameof(layers), layers), (nameof(batch), batch), (nameof(heads), heads), (nameof(context), context), (nameof(headDim), headDim) })
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value, name);
        Tensor New() => empty([batch, heads, Math.Min(context, room), headDim], dtype: type, device: device).DetachFromDisposeScope();
        (_keys, _values, Context) = ([.. Enumerable.Range(0, layers).Select(_ => New())], [.. Enumerable.Range(0, layers).Select(_ => New())], context);
    }

    /// <summary>Tokens held.</summary>
    public int Count { get; private set; }

    /// <summary>Most tokens.</summary>
    public int Context { get; }

    /// <summary>Sequences.</summary>
    public long Batch => _keys[0].shape[0];

    /// <summary>Forgets all tokens from a place on; the memory stays.</summary>
    /// <param name="count">Tokens to keep, at most <see cref="Count"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">More tokens than there are.</exception>
    public virtual void Truncate(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Count);
        Count = count;
    }

    /// <summary>Of the tokens from a place on keeps some and forgets the others; those kept move up. So a path of a <see cref="TokenTree"/> becomes a text.</summary>
    /// <param name="start">Tokens before, which stay.</param>
    /// <param name="kept">Places behind them, from 0, strictly ascending.</param>
    /// <exception cref="ArgumentException">A place is out of range or order.</exception>
    public virtual void Keep(int start, IReadOnlyList<int> kept)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, Count);
        ArgumentNullException.ThrowIfNull(kept);
        for (int i = 0; i < kept.Count; i++)
        {
            if (kept[i] < (i == 0 ? 0 : kept[i - 1] + 1) || kept[i] >= Count - start)
                throw new ArgumentException($"kept has {kept[i]} at {i}: places ascend strictly within 0 to {Count - start - 1}.", nameof(kept));
        }

        if (kept.Count > 0 && kept[^1] != kept.Count - 1)
        {
            using IDisposable off = no_grad();
            foreach (Tensor held in _keys.Concat(_values))
            {
                using DisposeScope scope = NewDisposeScope();
                Tensor places = tensor(kept.Select(k => (long)(start + k)).ToArray(), device: held.device);
                held.narrow(2, start, kept.Count).copy_(held.index_select(2, places));
            }
        }

        Count = start + kept.Count;
    }

    /// <summary>A copy of a block's keys, positions applied.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <returns>[batch, heads, <see cref="Count"/>, headDim].</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such block.</exception>
    public virtual Tensor KeysOf(int layer) => Copy(_keys, layer);

    /// <summary>A copy of a block's values.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <returns>[batch, heads, <see cref="Count"/>, headDim].</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such block.</exception>
    public virtual Tensor ValuesOf(int layer) => Copy(_values, layer);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the tensors.</summary>
    /// <param name="disposing">Whether <see cref="Dispose()"/> calls.</param>
    protected virtual void Dispose(bool disposing)
    {
        if (!disposing) return;
        foreach (Tensor tensor in _keys.Concat(_values)) tensor.Dispose();
    }

    /// <summary>Refuses a cache that was made for another model or another number of sequences.</summary>
    internal void CheckFits(int layers, long batch, int heads, int headDim)
    {
        long[] shape = _keys[0].shape;
        if (_keys.Length != layers || shape[0] != batch || shape[1] != heads || shape[3] != headDim)
        {
            throw new ArgumentException(
                $"The cache is for {_keys.Length} blocks, {shape[0]} sequences and {shape[1]} heads of {shape[3]}; {layers} blocks, {batch} sequences and {heads} heads of {headDim} are needed.", "cache");
        }
    }

    /// <summary>Whether the cache computes the attention by itself.</summary>
    internal virtual bool AttendsItself => false;

    /// <summary>Takes the new tokens of a block in and computes their attention by itself: caches that do not hold keys and values as tensors. Null where <see cref="Extend(int, Tensor, Tensor)"/> is to be called.</summary>
    internal virtual Tensor? Attend(int layer, Tensor q, Tensor k, Tensor v, double scale) => null;

    /// <summary>Stores the new tokens of a block and returns all keys and values up to them.</summary>
    internal (Tensor Keys, Tensor Values) Extend(int layer, Tensor keys, Tensor values) => (Extend(ref _keys[layer], keys), Extend(ref _values[layer], values));

    internal void Advance(int tokens) => Count += tokens;

    private Tensor Copy(Tensor[] from, int layer)
    {
        if (layer < 0 || layer >= from.Length) throw new ArgumentOutOfRangeException(nameof(layer), layer, $"The cache has blocks 0 to {from.Length - 1}.");
        using Tensor part = from[layer].narrow(2, 0, Count);
        return part.clone();
    }

    private Tensor Extend(ref Tensor held, Tensor added)
    {
        using IDisposable off = no_grad();
        long all = Count + added.shape[2];
        if (all > held.shape[2])
        {
            Tensor larger = empty([held.shape[0], held.shape[1], Math.Min(Context, Math.Max(all, 2 * held.shape[2])), held.shape[3]], dtype: held.dtype, device: held.device).DetachFromDisposeScope();
            using Tensor old = held.narrow(2, 0, Count), begin = larger.narrow(2, 0, Count);
            begin.copy_(old);
            held.Dispose();
            held = larger;
        }

        using Tensor place = held.narrow(2, Count, added.shape[2]);
        place.copy_(added);
        return held.narrow(2, 0, all);
    }
}
