using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Attention.Caching;

/// <summary>
/// Finds the pages of a cache that a query must read (Quest, Tang et al. 2024): of each page of keys the smallest and the largest number of each channel are kept, and
/// sum_c max(q_c min_c, q_c max_c) is at least q . k for every key of the page. Nothing is forgotten; reading the bounds costs 2 / page of reading the keys. Float32 on the CPU.
/// </summary>
public sealed class QuestPages
{
    // Of each page its maxima, then its minima: with the positive and the negative part of a query a score is one product.
    private readonly float[][] _bounds;

    private QuestPages(int batch, int heads, int headDim, int page) =>
        (Batch, Heads, HeadDim, Page, _bounds) = (batch, heads, headDim, page, [.. Enumerable.Range(0, batch * heads).Select(_ => Array.Empty<float>())]);

    /// <summary>Sequences.</summary>
    public int Batch { get; }

    /// <summary>Key-value heads.</summary>
    public int Heads { get; }

    /// <summary>Width of a key.</summary>
    public int HeadDim { get; }

    /// <summary>Tokens of a page.</summary>
    public int Page { get; }

    /// <summary>Tokens seen.</summary>
    public int Tokens { get; private set; }

    /// <summary>Pages that compete: those before the current one, which holds the newest token and is always read.</summary>
    public int Complete => (Tokens - 1) / Page;

    /// <summary>Bytes of the bounds that a query reads.</summary>
    public long Bytes => (long)_bounds.Length * Complete * 2 * HeadDim * sizeof(float);

    /// <summary>Bounds of the keys of a cache.</summary>
    /// <param name="keys">[batch, keyValueHeads, tokens, headDim], Float32 on the CPU.</param>
    /// <param name="page">Tokens of a page. Default 16.</param>
    /// <exception cref="ArgumentException">Another shape or type, no page, NaN or infinity.</exception>
    public static QuestPages Build(Tensor keys, int page = 16)
    {
        CheckKeys(keys);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(page);
        QuestPages pages = new((int)keys.shape[0], (int)keys.shape[1], (int)keys.shape[3], page);
        pages.Update(keys);
        return pages;
    }

    /// <summary>Takes new tokens in.</summary>
    /// <param name="keys">[batch, keyValueHeads, new tokens, headDim], Float32 on the CPU.</param>
    /// <exception cref="ArgumentException">Another shape or type, NaN or infinity.</exception>
    public unsafe void Update(Tensor keys)
    {
        CheckKeys(keys);
        long[] shape = keys.shape;
        if (shape[0] != Batch || shape[1] != Heads || shape[3] != HeadDim) throw new ArgumentException($"keys are [{string.Join(", ", shape)}], where [{Batch}, {Heads}, tokens, {HeadDim}] is needed.", nameof(keys));
        using DisposeScope scope = NewDisposeScope();
        HeadMemory memory = HeadMemory.Of(keys.detach(), 1, out Tensor read);
        int added = checked((int)shape[2]), before = Tokens, width = 2 * HeadDim, needed = (before + added + Page - 1) / Page * width;
        IndependentWork.For(_bounds.Length, h =>
        {
            // Room for half as many again, so that token after token copies little.
            if (_bounds[h].Length < needed) Array.Resize(ref _bounds[h], before == 0 ? needed : needed + (needed / 2 / width * width) + width);
            float* rows = memory.Head(h / Heads, h % Heads);
            for (int t = 0; t < added; t++)
            {
                ReadOnlySpan<float> key = new(rows + (t * memory.Row), HeadDim);
                Span<float> most = _bounds[h].AsSpan((before + t) / Page * width, HeadDim), least = _bounds[h].AsSpan(((before + t) / Page * width) + HeadDim, HeadDim);
                if ((before + t) % Page == 0)
                {
                    key.CopyTo(most);
                    key.CopyTo(least);
                }
                else
                {
                    TensorPrimitives.Max(most, key, most);
                    TensorPrimitives.Min(least, key, least);
                }
            }
        }, CancellationToken.None);
        GC.KeepAlive(read);
        Tokens += added;
    }

    /// <summary>Scores of the complete pages for one query: upper bounds of q . k over each page, or their sums over the query heads that share keys.</summary>
    /// <param name="q">[batch, heads, 1, headDim]; heads is a multiple of <see cref="Heads"/>.</param>
    /// <param name="share">Whether the scores of heads that share keys are added. Default true.</param>
    /// <returns>[batch, keyValueHeads or heads, <see cref="Complete"/>].</returns>
    /// <exception cref="ArgumentException">Another shape or type, NaN or infinity.</exception>
    public Tensor Scores(Tensor q, bool share = true)
    {
        float[] queries = Queries(q, share, out int heads);
        float[] scores = new float[(long)Batch * heads * Complete];
        Each(heads, row => Score(row, heads, queries.AsSpan(row * 2 * HeadDim, 2 * HeadDim), scores.AsSpan(row * Complete, Complete)));
        return tensor(scores, [Batch, heads, Complete]);
    }

    /// <summary>The tokens to read for one query: those of the budget's highest complete pages, and the current page. Where there are no more complete pages, all tokens (<see cref="CacheSelection.IsWhole"/>).</summary>
    /// <param name="q">[batch, heads, 1, headDim]; heads is a multiple of <see cref="Heads"/>. Its own key must have been taken in.</param>
    /// <param name="budget">Tokens of complete pages, a positive multiple of <see cref="Page"/>.</param>
    /// <param name="share">Whether heads that share keys read the same tokens, so that a key is read once. Default true.</param>
    /// <returns>Tokens of each key-value head, or of each query head where they are not shared.</returns>
    /// <exception cref="ArgumentException">Another shape or type, NaN or infinity, or a budget that is no multiple of the page.</exception>
    public CacheSelection Select(Tensor q, int budget, bool share = true)
    {
        if (budget <= 0 || budget % Page != 0) throw new ArgumentOutOfRangeException(nameof(budget), budget, $"budget must be a positive multiple of the page of {Page} tokens.");
        float[] queries = Queries(q, share, out int heads);
        int complete = Complete, taken = budget / Page;
        if (complete <= taken) return CacheSelection.All(heads, Tokens, Batch);
        int[][] kept = new int[Batch * heads][];
        int current = complete * Page;
        Each(heads, row =>
        {
            float[] scores = new float[complete];
            Score(row, heads, queries.AsSpan(row * 2 * HeadDim, 2 * HeadDim), scores);
            int[] places = new int[budget + Tokens - current];
            int at = 0;
            foreach (int page in Sparseland.Selection.Select.TopK(scores, Budget.Global(taken)).ColumnIndices)
            {
                for (int t = 0; t < Page; t++) places[at++] = (page * Page) + t;
            }

            for (int t = current; t < Tokens; t++) places[at++] = t;
            kept[row] = places;
        });
        return CacheSelection.Trusted(heads, Tokens, kept);
    }

    /// <summary>Scores of the first pages of a head for a query that <see cref="Split"/> has written.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void Score(int row, int heads, ReadOnlySpan<float> query, Span<float> scores)
    {
        ReadOnlySpan<float> bounds = _bounds[(row / heads * Heads) + (row % heads / (heads / Heads))];
        for (int p = 0; p < scores.Length; p++) scores[p] = TensorPrimitives.Dot(query, bounds.Slice(p * query.Length, query.Length));
    }

    /// <summary>Adds the positive part of a query to the first half, and the negative one to the second: max(q m, q M) = max(q, 0) M + min(q, 0) m.</summary>
    internal static void Split(ReadOnlySpan<float> q, Span<float> to)
    {
        for (int c = 0; c < q.Length; c++) to[q[c] > 0 ? c : q.Length + c] += q[c];
    }

    private unsafe float[] Queries(Tensor q, bool share, out int heads)
    {
        ArgumentNullException.ThrowIfNull(q);
        long[] shape = q.shape;
        if (shape.Length != 4 || shape[0] != Batch || shape[1] % Heads != 0 || shape[1] == 0 || shape[2] != 1 || shape[3] != HeadDim)
            throw new ArgumentException($"q is [{string.Join(", ", shape)}], where [{Batch}, a multiple of {Heads}, 1, {HeadDim}] is needed.", nameof(q));
        if (q.dtype != ScalarType.Float32 || q.device_type != DeviceType.CPU) throw new ArgumentException($"q is {q.dtype} on {q.device_type}; pages are for Float32 on the CPU.", nameof(q));
        using DisposeScope scope = NewDisposeScope();
        int all = (int)shape[1], group = all / Heads;
        heads = share ? Heads : all;
        HeadMemory memory = HeadMemory.Of(q.detach(), 1, out Tensor read);
        float[] split = new float[Batch * heads * 2 * HeadDim];
        for (int h = 0; h < Batch * all; h++)
        {
            ReadOnlySpan<float> one = new(memory.Head(h / all, h % all), HeadDim);
            if (!float.IsFinite(TensorPrimitives.SumOfMagnitudes(one))) throw new ArgumentException("q holds NaN or infinity.", nameof(q));
            Split(one, split.AsSpan((share ? h / group : h) * 2 * HeadDim, 2 * HeadDim));
        }

        GC.KeepAlive(read);
        return split;
    }

    private void Each(int heads, Action<int> work) => IndependentWork.For(Batch * heads, work, CancellationToken.None);

    private static void CheckKeys(Tensor keys)
    {
        ArgumentNullException.ThrowIfNull(keys);
        if (keys.dim() != 4 || keys.numel() == 0) throw new ArgumentException($"keys must be [batch, keyValueHeads, tokens, headDim] and not empty, but are [{string.Join(", ", keys.shape)}].", nameof(keys));
        if (keys.dtype != ScalarType.Float32 || keys.device_type != DeviceType.CPU) throw new ArgumentException($"keys are {keys.dtype} on {keys.device_type}; pages are for Float32 on the CPU.", nameof(keys));
        if (!TensorInput.IsFinite(keys)) throw new ArgumentException("keys hold NaN or infinity.", nameof(keys));
    }
}
