using System.Buffers;
using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Caching;

/// <summary>
/// A cache from which tokens of the prompt have been evicted, each head its own: what <see cref="SnapKv"/> and <see cref="AdaSnapKv"/> leave. New tokens are appended to every head, and their positions
/// count on from the prompt as it was. The cache it is made from can be disposed of, which is what gives the memory back. Float32 on the CPU.
/// </summary>
public sealed class SelectedKeyValueCache : KeyValueCache
{
    private readonly SelectedHead[][] _heads;
    private readonly int[] _taken;
    private readonly int _headDim, _keyValueHeads;
    private int _prompt;

    private SelectedKeyValueCache(KeyValueCache filled, IReadOnlyList<CacheSelection> selections, int headDim)
        : base(selections.Count, filled.Batch, selections[0].Heads, filled.Context, headDim, room: 1, ScalarType.Float32, device: null)
    {
        (_headDim, _keyValueHeads, _prompt) = (headDim, selections[0].Heads, filled.Count);
        _taken = [.. Enumerable.Repeat(filled.Count, selections.Count)];
        _heads = new SelectedHead[selections.Count][];
        for (int layer = 0; layer < _heads.Length; layer++)
        {
            using DisposeScope scope = NewDisposeScope();
            _heads[layer] = Gather(filled.KeysOf(layer), filled.ValuesOf(layer), selections[layer], headDim);
        }

        Advance(filled.Count);
    }

    /// <summary>Tokens of the prompt as it was; 0 once it has been forgotten.</summary>
    public int Prompt => _prompt;

    /// <summary>Bytes of keys and values that are held.</summary>
    public long Bytes => 2L * sizeof(float) * _headDim * _heads.Sum(layer => layer.Sum(h => (long)h.Count));

    /// <summary>Bytes that a cache of all tokens holds.</summary>
    public long DenseBytes => AttentionCost.CacheBytes(1, _heads[0].Length, _taken.Sum(t => (long)t), _headDim);

    /// <summary>What is left of a filled cache.</summary>
    /// <param name="filled">Keys and values of a prompt; it stays as it is.</param>
    /// <param name="selections">Of each block what each key-value head keeps.</param>
    /// <exception cref="ArgumentException">An empty cache, another type than Float32 on the CPU, or selections of other sizes.</exception>
    public static SelectedKeyValueCache Of(KeyValueCache filled, IReadOnlyList<CacheSelection> selections)
    {
        ArgumentNullException.ThrowIfNull(filled);
        ArgumentNullException.ThrowIfNull(selections);
        if (filled.AttendsItself) throw new ArgumentException($"A {filled.GetType().Name} is not evicted from: it does not hold whole keys and values of all tokens.", nameof(filled));
        if (filled.Count == 0) throw new ArgumentException("The cache is empty: read the prompt first.", nameof(filled));
        if (selections.Count == 0) throw new ArgumentException("There is no selection; one for each block is needed.", nameof(selections));
        foreach (CacheSelection selection in selections) ArgumentNullException.ThrowIfNull(selection, nameof(selections));
        using DisposeScope scope = NewDisposeScope();
        Tensor keys = filled.KeysOf(0);
        if (keys.dtype != ScalarType.Float32 || keys.device_type != DeviceType.CPU) throw new ArgumentException($"The cache is {keys.dtype} on {keys.device_type}; this is for Float32 on the CPU.", nameof(filled));
        foreach (CacheSelection selection in selections)
        {
            if (selection.Tokens != filled.Count || selection.Batch != filled.Batch || selection.Heads != keys.shape[1])
            {
                throw new ArgumentException(
                    $"A selection is of {selection.Batch} sequences, {selection.Heads} heads and {selection.Tokens} tokens; the cache holds {filled.Batch}, {keys.shape[1]} and {filled.Count}.", nameof(selections));
            }
        }

        int headDim = (int)keys.shape[3];
        filled.CheckFits(selections.Count, filled.Batch, selections[0].Heads, headDim);
        return new(filled, selections, headDim);
    }

    /// <summary>Places of the prompt that a head keeps, ascending; tokens behind the prompt are all kept.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <param name="sequence">From 0.</param>
    /// <param name="head">Key-value head, from 0.</param>
    public IReadOnlyList<int> KeptOf(int layer, int sequence, int head) => [.. At(layer, sequence, head).Kept];

    /// <summary>Tokens that a head holds.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <param name="sequence">From 0.</param>
    /// <param name="head">Key-value head, from 0.</param>
    public int LengthOf(int layer, int sequence, int head) => At(layer, sequence, head).Count;

    /// <summary>Keys that a head holds.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <param name="sequence">From 0.</param>
    /// <param name="head">Key-value head, from 0.</param>
    /// <returns>[tokens held, headDim].</returns>
    public Tensor KeysOf(int layer, int sequence, int head) => Rows(At(layer, sequence, head), h => h.Keys);

    /// <summary>Values that a head holds.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <param name="sequence">From 0.</param>
    /// <param name="head">Key-value head, from 0.</param>
    /// <returns>[tokens held, headDim].</returns>
    public Tensor ValuesOf(int layer, int sequence, int head) => Rows(At(layer, sequence, head), h => h.Values);

    /// <summary>Not served: heads hold different numbers of tokens.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override Tensor KeysOf(int layer) => throw new NotSupportedException("The heads of a cache after an eviction hold different tokens: ask for one head.");

    /// <summary>Not served: heads hold different numbers of tokens.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override Tensor ValuesOf(int layer) => throw new NotSupportedException("The heads of a cache after an eviction hold different tokens: ask for one head.");

    /// <summary>Forgets tokens behind the prompt from a place on; 0 forgets all, and the cache then is an ordinary empty one.</summary>
    /// <param name="count">Tokens to keep, counted with the evicted ones: 0, or from <see cref="Prompt"/> on.</param>
    /// <exception cref="ArgumentOutOfRangeException">More tokens than there are.</exception>
    /// <exception cref="InvalidOperationException">The place lies within the prompt: another selection would have been made of a shorter one.</exception>
    public override void Truncate(int count)
    {
        if (count > 0 && count < _prompt) throw new InvalidOperationException($"Tokens were evicted from a prompt of {_prompt}: the cache can keep 0, or {_prompt} to {Count} tokens, not {count}.");
        base.Truncate(count);
        for (int layer = 0; layer < _heads.Length; layer++)
        {
            foreach (SelectedHead head in _heads[layer])
            {
                if (count == 0) head.Clear();
                else head.Cut(_taken[layer] - count);
            }

            _taken[layer] = count;
        }

        if (count == 0) _prompt = 0;
    }

    /// <summary>Not served: evicted tokens have no place that could move.</summary>
    /// <param name="start">Tokens before.</param>
    /// <param name="kept">Places behind them.</param>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override void Keep(int start, IReadOnlyList<int> kept) => throw new NotSupportedException("A cache after an eviction keeps no branches of trees.");

    /// <inheritdoc/>
    internal override bool AttendsItself => true;

    /// <inheritdoc/>
    internal override unsafe Tensor? Attend(int layer, Tensor q, Tensor k, Tensor v, double scale)
    {
        AttentionShape shape = AttentionShape.Of(q, k, v, causal: true);
        if (_taken[layer] != Count) throw new InvalidOperationException($"Block {layer} holds {_taken[layer]} tokens, the cache {Count}: a pass was broken off. Truncate it to {Count} first.");
        if (q.dtype != ScalarType.Float32 || q.device_type != DeviceType.CPU) throw new ArgumentException($"q is {q.dtype} on {q.device_type}; this cache is for Float32 on the CPU.", nameof(q));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        if (!TensorInput.IsFinite(k) || !TensorInput.IsFinite(v)) throw new ArgumentException("Keys or values hold NaN or infinity.", nameof(k));
        Tensor ks = k.detach().contiguous(), vs = v.detach().contiguous(), qs = q.detach().contiguous(), output = empty_like(qs);
        nint k0 = TensorMemory.StartOf(ks), v0 = TensorMemory.StartOf(vs), q0 = TensorMemory.StartOf(qs), o0 = TensorMemory.StartOf(output);
        int tokens = shape.Tokens, d = _headDim, bad = 0;
        IndependentWork.For(_heads[layer].Length, h =>
        {
            SelectedHead head = _heads[layer][h];
            int before = head.Count;
            head.Append(TensorMemory.Part<float>(k0, (long)h * tokens * d, tokens * d), TensorMemory.Part<float>(v0, (long)h * tokens * d, tokens * d));
            float[] scores = ArrayPool<float>.Shared.Rent(head.Count);
            fixed (float* keys = head.Keys, values = head.Values)
            {
                // New tokens see what was kept, those before them, and themselves.
                for (int row = 0; row < shape.Group * tokens; row++)
                {
                    long at = (((long)h * shape.Group * tokens) + row) * d;
                    if (!DecodeKernel.Attend(TensorMemory.Part<float>(q0, at, d), keys, d, values, d, [], (float)scale, scores.AsSpan(0, before + (row % tokens) + 1), TensorMemory.Part<float>(o0, at, d)))
                        Interlocked.Exchange(ref bad, 1);
                }
            }

            ArrayPool<float>.Shared.Return(scores);
        }, CancellationToken.None);
        foreach (Tensor held in new[] { ks, vs, qs }) GC.KeepAlive(held);
        _taken[layer] += tokens;
        return bad == 0 ? scope.MoveToOuter(output) : throw new ArgumentException("Queries hold NaN or infinity, or their products leave the range of Float32.", nameof(q));
    }

    private static unsafe SelectedHead[] Gather(Tensor keys, Tensor values, CacheSelection selection, int headDim)
    {
        if (!TensorInput.IsFinite(keys) || !TensorInput.IsFinite(values)) throw new ArgumentException("The cache holds NaN or infinity.", "filled");
        HeadMemory ks = HeadMemory.Of(keys, 1, out Tensor k0), vs = HeadMemory.Of(values, 1, out Tensor v0);
        SelectedHead[] heads = new SelectedHead[selection.Batch * selection.Heads];
        for (int h = 0; h < heads.Length; h++)
        {
            (int batch, int head) = (h / selection.Heads, h % selection.Heads);
            int[] kept = selection.Kept(batch, head).ToArray();
            float[] rows = new float[kept.Length * headDim], others = new float[rows.Length];
            for (int j = 0; j < kept.Length; j++)
            {
                new ReadOnlySpan<float>(ks.Head(batch, head) + (kept[j] * ks.Row), headDim).CopyTo(rows.AsSpan(j * headDim));
                new ReadOnlySpan<float>(vs.Head(batch, head) + (kept[j] * vs.Row), headDim).CopyTo(others.AsSpan(j * headDim));
            }

            heads[h] = new(headDim, kept);
            heads[h].Append(rows, others);
        }

        GC.KeepAlive(k0);
        GC.KeepAlive(v0);
        return heads;
    }

    private Tensor Rows(SelectedHead head, Func<SelectedHead, float[]> rows) => tensor(rows(head).AsSpan(0, head.Count * _headDim).ToArray(), [head.Count, _headDim]);

    private SelectedHead At(int layer, int sequence, int head)
    {
        if (layer < 0 || layer >= _heads.Length) throw new ArgumentOutOfRangeException(nameof(layer), layer, $"The cache has blocks 0 to {_heads.Length - 1}.");
        if (sequence < 0 || sequence >= Batch) throw new ArgumentOutOfRangeException(nameof(sequence), sequence, $"The cache has sequences 0 to {Batch - 1}.");
        if (head < 0 || head >= _keyValueHeads) throw new ArgumentOutOfRangeException(nameof(head), head, $"The cache has heads 0 to {_keyValueHeads - 1}.");
        return _heads[layer][(sequence * _keyValueHeads) + head];
    }
}
