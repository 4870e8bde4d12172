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
        : base(layers, batch, heads, context, headDim, room: 1, ScalarType.Float32, device: null)
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
    public long DenseBytes => AttentionCost.CacheBytes(1, _heads[0].Length, _taken.Sum(t => (long)t), _headDim);

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
        if (count > 0 && count < Packed) throw new InvalidOperationException($"{Packed} tokens are packed, and their dense keys and values are gone: the cache can keep 0, or {Packed} to {Count} tokens, not {count}.");
        base.Truncate(count);
        for (int layer = 0; layer < _heads.Length; layer++)
        {
            foreach (PrunedHead head in _heads[layer])
            {
                if (count == 0) head.Clear();
                else head.Cut(_taken[layer] - count);
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

    /// <summary>Takes keys and values of a block in without an attention, as if they were a prompt: for experiments without a model.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <param name="keys">[batch, heads, tokens, headDim], Float32 on the CPU.</param>
    /// <param name="values">The same shape.</param>
    /// <exception cref="ArgumentException">Another shape, NaN or infinity, more tokens than the context, or tokens in the block already.</exception>
    public void Fill(int layer, Tensor keys, Tensor values)
    {
        CheckLayer(layer);
        AttentionShape shape = AttentionShape.Of(keys, keys, values, causal: true);
        if (shape.Batch * shape.Heads != _heads[layer].Length || shape.HeadDim != _headDim || shape.ValueDim != _headDim || keys.dtype != ScalarType.Float32)
            throw new ArgumentException($"keys are {keys.dtype} [{string.Join(", ", keys.shape)}]; the cache has {_heads[layer].Length / _keyValueHeads} sequences and {_keyValueHeads} heads of {_headDim}.", nameof(keys));
        if (_taken[layer] > 0) throw new ArgumentException($"Block {layer} holds {_taken[layer]} tokens already.", nameof(layer));
        if (shape.Tokens > Context) throw new ArgumentException($"{shape.Tokens} tokens are more than the context of {Context}.", nameof(keys));
        Take(layer, keys, values, shape);
    }

    /// <summary>Attention of one query over what a block holds, from the packed form.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <param name="q">[batch, heads, 1, headDim]; heads is a multiple of the cache's.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <returns>[batch, heads, 1, headDim].</returns>
    /// <exception cref="ArgumentException">Another shape, an empty block, a scale that is not finite, NaN or infinity, or products that leave the range of Float32.</exception>
    public Tensor Read(int layer, Tensor q, double? scale = null)
    {
        CheckLayer(layer);
        ArgumentNullException.ThrowIfNull(q);
        if (q.dim() != 4 || q.shape[2] != 1 || q.shape[3] != _headDim || q.shape[0] * _keyValueHeads != _heads[layer].Length || q.shape[1] % _keyValueHeads != 0 || q.dtype != ScalarType.Float32)
            throw new ArgumentException($"q is {q.dtype} [{string.Join(", ", q.shape)}]; [{_heads[layer].Length / _keyValueHeads}, a multiple of {_keyValueHeads}, 1, {_headDim}] of Float32 is needed.", nameof(q));
        if (_taken[layer] == 0) throw new ArgumentException($"Block {layer} is empty.", nameof(layer));
        if (scale is { } factor && !float.IsFinite((float)factor)) throw new ArgumentOutOfRangeException(nameof(scale), scale, "scale must be finite in float32.");
        CheckQueries(q);
        using DisposeScope scope = NewDisposeScope();
        Tensor qs = q.detach().contiguous(), output = zeros_like(qs);
        nint q0 = TensorMemory.StartOf(qs), o0 = TensorMemory.StartOf(output);
        int group = (int)q.shape[1] / _keyValueHeads, bad = 0;
        IndependentWork.For(_heads[layer].Length, h =>
        {
            if (!Attend(_heads[layer][h], q0, o0, (long)h * group, group, 1, (float)(scale ?? 1 / Math.Sqrt(_headDim)))) Interlocked.Exchange(ref bad, 1);
        }, CancellationToken.None);
        GC.KeepAlive(qs);
        return bad == 0 ? scope.MoveToOuter(output) : throw OutOfRange();
    }

    /// <inheritdoc/>
    internal override bool AttendsItself => true;

    /// <inheritdoc/>
    internal override Tensor? Attend(int layer, Tensor q, Tensor k, Tensor v, double scale)
    {
        AttentionShape shape = AttentionShape.Of(q, k, v, causal: true);
        if (_taken[layer] != Count) throw new InvalidOperationException($"Block {layer} holds {_taken[layer]} tokens, the cache {Count}: a pass was broken off, or the block was filled by hand. Truncate it to {Count} first.");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        if (_taken[layer] == 0)
        {
            Tensor exact = ExactAttention.Attend(q, k, v, scale: scale).Output;
            Take(layer, k, v, shape);
            return scope.MoveToOuter(exact);
        }

        int tokens = shape.Tokens, bad = 0;
        CheckQueries(q);
        (Tensor ks, Tensor vs) = Checked(k, v);
        Tensor qs = q.detach().contiguous(), output = zeros_like(qs);
        nint k0 = TensorMemory.StartOf(ks), v0 = TensorMemory.StartOf(vs), q0 = TensorMemory.StartOf(qs), o0 = TensorMemory.StartOf(output);
        IndependentWork.For(_heads[layer].Length, h =>
        {
            PrunedHead head = _heads[layer][h];
            for (int t = 0; t < tokens; t++)
            {
                long row = ((long)h * tokens) + t;
                head.Append(TensorMemory.Part<float>(k0, row * _headDim, _headDim), TensorMemory.Part<float>(v0, row * _headDim, _headDim));
                if (!Attend(head, q0, o0, ((long)h * shape.Group * tokens) + t, shape.Group, tokens, (float)scale)) Interlocked.Exchange(ref bad, 1);
                head.Pack();
            }
        }, CancellationToken.None);
        foreach (Tensor held in new[] { ks, vs, qs }) GC.KeepAlive(held);
        _taken[layer] += tokens;
        return bad == 0 ? scope.MoveToOuter(output) : throw OutOfRange();
    }

    private static (Tensor Keys, Tensor Values) Checked(Tensor k, Tensor v)
    {
        if (!TensorInput.IsFinite(k) || !TensorInput.IsFinite(v)) throw new ArgumentException("Keys or values hold NaN or infinity.", nameof(k));
        return (k.detach().contiguous(), v.detach().contiguous());
    }

    private static void CheckQueries(Tensor q)
    {
        if (!TensorInput.IsFinite(q)) throw new ArgumentException("Queries hold NaN or infinity.", nameof(q));
    }

    /// <summary>Appends and packs a prompt.</summary>
    private void Take(int layer, Tensor k, Tensor v, AttentionShape shape)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor ks, Tensor vs) = Checked(k, v);
        nint k0 = TensorMemory.StartOf(ks), v0 = TensorMemory.StartOf(vs);
        int numbers = shape.Keys * _headDim;
        IndependentWork.For(_heads[layer].Length, h =>
        {
            _heads[layer][h].Append(TensorMemory.Part<float>(k0, (long)h * numbers, numbers), TensorMemory.Part<float>(v0, (long)h * numbers, numbers));
            _heads[layer][h].Pack();
        }, CancellationToken.None);
        GC.KeepAlive(ks);
        GC.KeepAlive(vs);
        _taken[layer] = shape.Keys;
    }

    /// <summary>The queries that share a head, at places <paramref name="apart"/> from each other.</summary>
    private bool Attend(PrunedHead head, nint q0, nint o0, long first, int group, int apart, float scale)
    {
        bool finite = true;
        float[] scratch = System.Buffers.ArrayPool<float>.Shared.Rent(head.Scratch);
        for (int g = 0; g < group; g++)
        {
            long query = first + ((long)g * apart);
            finite &= head.Attend(TensorMemory.Part<float>(q0, query * _headDim, _headDim), scale, TensorMemory.Part<float>(o0, query * _headDim, _headDim), scratch);
        }

        System.Buffers.ArrayPool<float>.Shared.Return(scratch);
        return finite;
    }

    private static ArgumentException OutOfRange() => new("The products of queries and keys leave the range of Float32.", "q");

    private void CheckLayer(int layer)
    {
        if (layer < 0 || layer >= _heads.Length) throw new ArgumentOutOfRangeException(nameof(layer), layer, $"The cache has blocks 0 to {_heads.Length - 1}.");
    }

    private Tensor Unpacked(int layer, bool keys)
    {
        CheckLayer(layer);
        int batch = _heads[layer].Length / _keyValueHeads, tokens = _heads[layer][0].Packed + _heads[layer][0].Dense;
        float[] all = new float[(long)_heads[layer].Length * tokens * _headDim];
        for (int h = 0; h < _heads[layer].Length; h++) _heads[layer][h].Unpack(all.AsSpan(h * tokens * _headDim, tokens * _headDim), keys);
        return tensor(all, [batch, _keyValueHeads, tokens, _headDim]);
    }
}
