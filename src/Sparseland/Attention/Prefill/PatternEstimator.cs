using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Prefill;

/// <summary>From the shape of a head's sparsity to its indices in one text.</summary>
public static class PatternEstimator
{
    /// <summary>What is computed of each head.</summary>
    /// <param name="patterns">One shape for all heads, or one for each.</param>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, tokens, headDim]: every query head has indices of its own, keys are shared.</param>
    /// <param name="options">How it is estimated; null for the defaults.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <returns>[batch * heads], sequence after sequence.</returns>
    /// <exception cref="ArgumentException">Shapes, numbers or patterns that do not fit.</exception>
    public static IReadOnlyList<BlockSupport> Estimate(IReadOnlyList<HeadPattern> patterns, Tensor q, Tensor k, MInferenceOptions? options = null, double? scale = null) =>
        Each(patterns, q, k, options ??= new(), scale, (pattern, tokens, index, blocks) => pattern switch
        {
            VerticalSlash => VerticalSlashIndex.ToBlocks(tokens, index!, options.Block),
            BlockTopK => BlockSupport.FromBlocks(tokens, options.Block, blocks!),
            AShape a => SinksAndWindow(tokens, a, options.Block),
            _ => BlockSupport.Full(tokens, block: options.Block),
        });

    /// <summary>The selected cells of each head, and no others.</summary>
    /// <param name="patterns">One shape for all heads, or one for each.</param>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, tokens, headDim].</param>
    /// <param name="options">How it is estimated; null for the defaults.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <returns>A support of batch * heads heads.</returns>
    /// <exception cref="ArgumentException">Shapes, numbers or patterns that do not fit.</exception>
    public static AttentionSupport Select(IReadOnlyList<HeadPattern> patterns, Tensor q, Tensor k, MInferenceOptions? options = null, double? scale = null) =>
        new(Each(patterns, q, k, options ??= new(), scale, (pattern, tokens, index, blocks) => pattern switch
        {
            VerticalSlash => VerticalSlashIndex.ToExact(tokens, index!),
            BlockTopK => BlockSupport.FromBlocks(tokens, options.Block, blocks!).ToSupport(),
            AShape a => AttentionPatterns.SinksAndWindow(tokens, a.Sinks, a.Window),
            _ => AttentionPatterns.Full(tokens),
        }));

    /// <summary>Blocks of keys whose mean is most alike to that of a block of queries, the diagonal one always among them. Means of a block know all of its tokens, so a query's choice knows later ones.</summary>
    /// <param name="q">Queries of one head [tokens, headDim].</param>
    /// <param name="k">Keys of its head [tokens, headDim].</param>
    /// <param name="blocks">Blocks of keys for a block of queries; in the first rows all that there are.</param>
    /// <param name="block">Tokens of a block; the last one may be shorter, and its mean is over its tokens alone.</param>
    /// <returns>[n, n] with n = ceil(tokens / block).</returns>
    /// <exception cref="ArgumentException">Shapes or numbers that do not fit.</exception>
    public static Support TopBlocks(Tensor q, Tensor k, int blocks, int block)
    {
        ArgumentNullException.ThrowIfNull(q);
        ArgumentNullException.ThrowIfNull(k);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(blocks);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(block);
        if (q.dim() != 2 || q.numel() == 0 || !q.shape.SequenceEqual(k.shape)) throw new ArgumentException($"q and k must be [tokens, headDim] both and not empty, but are [{string.Join(", ", q.shape)}] and [{string.Join(", ", k.shape)}].", nameof(k));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        long tokens = q.shape[0];
        block = (int)Math.Min(block, tokens);
        long n = (tokens + block - 1) / block, missing = (n * block) - tokens;

        // In double precision: products of means of 1e20 leave single precision, where no block is above another, not even the diagonal one.
        Tensor sizes = full([n, 1], block, dtype: ScalarType.Float64);
        sizes[n - 1] = block - missing;
        Tensor Mean(Tensor x) => nn.functional.pad(x.detach().to(ScalarType.Float64), [0, 0, 0, missing]).view(n, block, -1).sum(1) / sizes;
        Tensor scores = Mean(q).mm(Mean(k).t());
        scores.diagonal().fill_(double.PositiveInfinity);
        return AttentionPatterns.TopKPerRow(scores, (int)Math.Min(blocks, n));
    }

    /// <summary>First keys and a window, as a kernel computes them.</summary>
    internal static BlockSupport SinksAndWindow(int tokens, AShape shape, int block)
    {
        int rows = (int)(((long)tokens + block - 1) / block);
        IReadOnlyList<KeyRange> Row(int r)
        {
            int end = (int)Math.Min(tokens, (r + 1L) * block), local = Math.Max(0, (r * block) - shape.Window + 1), sinks = Math.Min(shape.Sinks, end);
            return sinks >= local ? [new(0, end)] : sinks == 0 ? [new(local, end)] : [new(0, sinks), new(local, end)];
        }

        return new(tokens, block, [.. Enumerable.Range(0, rows).Select(Row)]);
    }

    private static T[] Each<T>(IReadOnlyList<HeadPattern> patterns, Tensor q, Tensor k, MInferenceOptions options, double? scale, Func<HeadPattern, int, ColumnsAndSlashes?, Support?, T> make)
    {
        ArgumentNullException.ThrowIfNull(patterns);
        options.Validate();
        AttentionShape shape = AttentionShape.Of(q, k, k, causal: true);
        if (shape.Offset != 0) throw new ArgumentException($"Patterns are estimated of whole texts; here {shape.Offset} tokens stand before the first query.", nameof(k));
        if (patterns.Count != 1 && patterns.Count != shape.Heads) throw new ArgumentException($"There are patterns of {patterns.Count} heads; 1 or {shape.Heads} fit.", nameof(patterns));
        foreach (HeadPattern pattern in patterns)
        {
            ArgumentNullException.ThrowIfNull(pattern, nameof(patterns));
            pattern.Validate(shape.Tokens);
        }

        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (Tensor Columns, Tensor Slashes)? sums = null;
        if (patterns.Any(p => p is VerticalSlash)) sums = VerticalSlashIndex.Scores(VerticalSlashIndex.Strip(q, k, options.LastQueries, options.StripEnd, scale), options.StripEnd);
        T[] made = new T[shape.Batch * shape.Heads];
        for (int h = 0; h < made.Length; h++)
        {
            using DisposeScope inner = NewDisposeScope();
            (int batch, int head) = (h / shape.Heads, h % shape.Heads);
            HeadPattern pattern = patterns[patterns.Count == 1 ? 0 : head];
            Tensor One(Tensor x) => x.narrow(0, batch, 1).narrow(1, head, 1);
            ColumnsAndSlashes? index = pattern is VerticalSlash vertical ? VerticalSlashIndex.Choose(One(sums!.Value.Columns), One(sums.Value.Slashes), vertical, options)[0] : null;
            Support? blocks = pattern is BlockTopK top ? TopBlocks(q[batch, head], k[batch, head / shape.Group], top.Blocks, options.Block) : null;
            made[h] = make(pattern, shape.Tokens, index, blocks);
        }

        return made;
    }
}
