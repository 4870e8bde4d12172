using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Caching;

/// <summary>
/// A cache whose old tokens are pruned element by element and packed (Mustafar, Joo et al. 2025): of every key and every value the largest magnitudes stay, as a bitmap and the
/// numbers; the newest tokens stay dense. A prompt is read with exact attention and pruned afterwards; new tokens attend over both parts with one softmax, computed from the packed form. Float32 on the CPU.
/// </summary>
public sealed class PrunedKeyValueCache : KeyValueCache
{
    private readonly PrunedHead[][] _heads;
    private readonly int[] _taken;
    private readonly int _headDim, _keyValueHeads;

    /// <summary>An empty cache.</summary>
    /// <param name="layers">Blocks.</param>
    /// <param name="batch">Sequences.</param>
    /// <param name="heads">Key and value heads.</param>
    /// <param name="context">Most tokens.</param>
    /// <param name="headDim">Width of a head.</param>
    /// <param name="options">How it prunes; null for the defaults.</param>
    /// <exception cref="ArgumentException">A size is not positive, or an option out of its range.</exception>
    public PrunedKeyValueCache(int layers, int batch, int heads, int context, int headDim, PrunedCacheOptions? options = null)
        : base(layers, batch, heads, context, headDim)
    {
        Options = options ?? new();
        Options.Validate();
        (_headDim, _keyValueHeads) = (headDim, heads);
        _heads = [.. Enumerable.Range(0, layers).Select(_ => Enumerable.Range(0, batch * heads).Select(_ => new PrunedHead(headDim, Options)).ToArray())];
        _taken = new int[layers];
    }

    /// <summary>How it prunes.</summary>
    public PrunedCacheOptions Options { get; }

    /// <summary>Bytes of keys and values that are held: maps, starts and numbers of what is packed, and the dense rest.</summary>
    public long Bytes => _heads.Sum(layer => layer.Sum(h => h.Bytes));

    /// <summary>Bytes that a dense cache of as many tokens holds.</summary>
    public long DenseBytes => AttentionCost.CacheBytes(_heads.Length, _heads[0].Length, Count, _headDim);

    /// <summary>Tokens that are packed, of every head.</summary>
    public int Packed => _heads[0][0].Packed;

    /// <summary>A cache for a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="options">How it prunes; null for the defaults.</param>
    /// <param name="batch">Sequences. Default 1.</param>
    /// <exception cref="ArgumentException">The model is not Float32 on the CPU.</exception>
    public static PrunedKeyValueCache For(LanguageModel model, PrunedCacheOptions? options = null, int batch = 1)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (model.Embeddings.dtype != ScalarType.Float32 || model.Embeddings.device_type != DeviceType.CPU) throw new ArgumentException($"The model is {model.Embeddings.dtype} on {model.Embeddings.device_type}; a pruned cache is for Float32 on the CPU.", nameof(model));
        (int heads, int headDim) = model.CacheShape;
        return new(model.Layers, batch, heads, model.Context, headDim, options);
    }

    /// <summary>Forgets tokens from a place on, as long as they are dense; 0 forgets all.</summary>
    /// <param name="count">Tokens to keep.</param>
    /// <exception cref="ArgumentOutOfRangeException">More tokens than there are.</exception>
    /// <exception cref="InvalidOperationException">The place lies among packed tokens, whose dense keys and values are gone.</exception>
    public override void Truncate(int count)
    {
        int before = Count;
        if (count > 0 && count < Packed) throw new InvalidOperationException($"{Packed} tokens are packed, and their dense keys and values are gone: the cache can keep 0, or {Packed} to {Count} tokens, not {count}.");
        base.Truncate(count);
        for (int layer = 0; layer < _heads.Length; layer++)
        {
            foreach (PrunedHead head in _heads[layer])
            {
                if (count == 0) head.Clear();
                else head.Cut(before - count);
            }

            _taken[layer] = count;
        }
    }

    /// <summary>Not served: packed tokens do not move.</summary>
    /// <param name="start">Tokens before.</param>
    /// <param name="kept">Places behind them.</param>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override void Keep(int start, IReadOnlyList<int> kept) => throw new NotSupportedException("A pruned cache keeps no branches of trees: packed tokens do not move.");

    /// <summary>Keys as they are now: pruned where they are packed.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <returns>[batch, heads, tokens, headDim].</returns>
    public override Tensor KeysOf(int layer) => Unpacked(layer, keys: true);

    /// <summary>Values as they are now: pruned where they are packed.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <returns>[batch, heads, tokens, headDim].</returns>
    public override Tensor ValuesOf(int layer) => Unpacked(layer, keys: false);

    /// <inheritdoc/>
    internal override Tensor? Attend(int layer, Tensor q, Tensor k, Tensor v, double scale)
    {
        AttentionShape shape = AttentionShape.Of(q, k, v, causal: true);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        PrunedHead[] heads = _heads[layer];
        int tokens = shape.Tokens;
        Tensor ks = k.detach().contiguous(), vs = v.detach().contiguous(), qs = q.detach().contiguous();
        if (!ks.isfinite().all().item<bool>() || !vs.isfinite().all().item<bool>()) throw new ArgumentException($"Keys or values of block {layer} hold NaN or infinity.", nameof(k));
        nint k0 = TensorMemory.StartOf(ks), v0 = TensorMemory.StartOf(vs), q0 = TensorMemory.StartOf(qs);
        Tensor output = zeros_like(qs);
        nint o0 = TensorMemory.StartOf(output);
        bool prompt = _taken[layer] == 0;
        if (prompt) output = ExactAttention.Attend(q, k, v, scale: scale).Output;
        IndependentWork.For(heads.Length, h =>
        {
            PrunedHead head = heads[h];
            if (prompt)
            {
                head.Append(TensorMemory.Part<float>(k0, (long)h * tokens * _headDim, tokens * _headDim), TensorMemory.Part<float>(v0, (long)h * tokens * _headDim, tokens * _headDim));
                head.Pack();
                return;
            }

            for (int t = 0; t < tokens; t++)
            {
                long row = ((long)h * tokens) + t;
                head.Append(TensorMemory.Part<float>(k0, row * _headDim, _headDim), TensorMemory.Part<float>(v0, row * _headDim, _headDim));
                float[] scratch = System.Buffers.ArrayPool<float>.Shared.Rent(head.Scratch);
                for (int g = 0; g < shape.Group; g++)
                {
                    long query = ((((long)h * shape.Group) + g) * tokens) + t;
                    head.Attend(TensorMemory.Part<float>(q0, query * _headDim, _headDim), (float)scale, TensorMemory.Part<float>(o0, query * _headDim, _headDim), scratch);
                }

                System.Buffers.ArrayPool<float>.Shared.Return(scratch);
                head.Pack();
            }
        }, CancellationToken.None);
        foreach (Tensor held in new[] { ks, vs, qs }) GC.KeepAlive(held);
        _taken[layer] += tokens;
        return scope.MoveToOuter(output);
    }

    private Tensor Unpacked(int layer, bool keys)
    {
        if (layer < 0 || layer >= _heads.Length) throw new ArgumentOutOfRangeException(nameof(layer), layer, $"The cache has blocks 0 to {_heads.Length - 1}.");
        int batch = _heads[layer].Length / _keyValueHeads, tokens = _heads[layer][0].Packed + _heads[layer][0].Dense;
        float[] all = new float[(long)_heads[layer].Length * tokens * _headDim];
        for (int h = 0; h < _heads[layer].Length; h++) _heads[layer][h].Unpack(all.AsSpan(h * tokens * _headDim, tokens * _headDim), keys);
        return tensor(all, [batch, _keyValueHeads, tokens, _headDim]);
    }
}
