using System.Numerics.Tensors;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Attention.Prefill;

/// <summary>Columns and slashes of one head.</summary>
/// <param name="Columns">Keys that every later query sees, ascending.</param>
/// <param name="Slashes">Distances at which every query sees a key, ascending.</param>
public sealed record ColumnsAndSlashes(IReadOnlyList<int> Columns, IReadOnlyList<int> Slashes)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Columns.Count} columns, {Slashes.Count} slashes";
}

/// <summary>
/// Finds the columns and slashes of heads from a strip of queries, and turns them into cells or into what a kernel computes (MInference, section 3 and appendix; its
/// "vertical-slash" pattern). Each step is public.
/// </summary>
public static class VerticalSlashIndex
{
    /// <summary>Attention weights of a strip of queries at the end of the text, in float32.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, tokens, headDim].</param>
    /// <param name="queries">Queries of the strip; at most as many as there are.</param>
    /// <param name="end">Queries at the end that are left out. Default 0.</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <returns>[batch, heads, queries, tokens]; row r belongs to the query at tokens - end - queries + r.</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit, or a strip without queries.</exception>
    public static Tensor Strip(Tensor q, Tensor k, int queries, int end = 0, double? scale = null)
    {
        AttentionShape shape = AttentionShape.Of(q, k, k, causal: true);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(queries);
        ArgumentOutOfRangeException.ThrowIfNegative(end);
        int last = shape.Tokens - end, count = Math.Min(queries, last);
        if (count < 1) throw new ArgumentOutOfRangeException(nameof(end), end, $"No query is left of {shape.Tokens} without the last {end}.");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();

        // Keys behind the last query of the strip have no weight.
        Tensor part = q.detach().narrow(2, last - count, count).to(ScalarType.Float32), seen = k.detach().narrow(2, 0, shape.Offset + last).to(ScalarType.Float32);
        Tensor weights = ExactAttention.Pattern(part, seen, scale: shape.Scale(scale, ScalarType.Float32));
        return scope.MoveToOuter(end == 0 ? weights : nn.functional.pad(weights, [0, end]));
    }

    /// <summary>Sums of a strip down its columns and along its diagonals: a_j = sum_i A[i, j], b_o = sum_i A[i, i - o] for distances o of at least 0.</summary>
    /// <param name="strip">Weights [batch, heads, queries, keys], of <see cref="Strip"/>.</param>
    /// <param name="end">Queries at the end that the strip leaves out. Default 0.</param>
    /// <returns>Columns [batch, heads, keys] and slashes [batch, heads, keys]; far distances are sums of fewer rows, as published.</returns>
    /// <exception cref="ArgumentException">Another number of dimensions, or more queries than keys.</exception>
    public static (Tensor Columns, Tensor Slashes) Scores(Tensor strip, int end = 0)
    {
        ArgumentNullException.ThrowIfNull(strip);
        ArgumentOutOfRangeException.ThrowIfNegative(end);
        if (strip.dim() != 4 || strip.shape[2] + end > strip.shape[3]) throw new ArgumentException($"strip must be [batch, heads, queries, keys] with at least as many keys as queries, but is [{string.Join(", ", strip.shape)}].", nameof(strip));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor dense = strip.to(ScalarType.Float32).cpu().contiguous(), slashes = zeros([strip.shape[0], strip.shape[1], strip.shape[3]]);
        (int rows, int keys) = ((int)strip.shape[2], (int)strip.shape[3]);
        nint from = TensorMemory.StartOf(dense), to = TensorMemory.StartOf(slashes);
        IndependentWork.For((int)(strip.shape[0] * strip.shape[1]), head =>
        {
            Span<float> sums = TensorMemory.Part<float>(to, (long)head * keys, keys);
            float[] turned = new float[keys];
            for (int r = 0; r < rows; r++)
            {
                // The query at place p sees the key at p - o: its row, read backwards from p.
                int place = keys - end - rows + r;
                Span<float> row = turned.AsSpan(0, place + 1);
                TensorMemory.Part<float>(from, (((long)head * rows) + r) * keys, place + 1).CopyTo(row);
                row.Reverse();
                TensorPrimitives.Add<float>(sums[..row.Length], row, sums[..row.Length]);
            }
        }, CancellationToken.None);
        GC.KeepAlive(dense);
        return (scope.MoveToOuter(dense.sum(2)), scope.MoveToOuter(slashes));
    }

    /// <summary>The heaviest columns and slashes of each head, forced ones among them.</summary>
    /// <param name="columns">Sums down the columns [batch, heads, keys].</param>
    /// <param name="slashes">Sums along the diagonals [batch, heads, keys].</param>
    /// <param name="pattern">How many of each; raised to the forced numbers where it is below them.</param>
    /// <param name="options">How many first columns and nearest slashes are forced; null for the defaults.</param>
    /// <returns>Of each head of each sequence, sequence after sequence.</returns>
    /// <exception cref="ArgumentException">Shapes that differ, or more columns or slashes than keys.</exception>
    public static IReadOnlyList<ColumnsAndSlashes> Choose(Tensor columns, Tensor slashes, VerticalSlash pattern, MInferenceOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(columns);
        ArgumentNullException.ThrowIfNull(slashes);
        ArgumentNullException.ThrowIfNull(pattern);
        options ??= new();
        options.Validate();
        if (columns.dim() != 3 || !columns.shape.SequenceEqual(slashes.shape)) throw new ArgumentException($"Sums must be [batch, heads, keys] both, but are [{string.Join(", ", columns.shape)}] and [{string.Join(", ", slashes.shape)}].", nameof(slashes));
        int keys = (int)columns.shape[2], heads = (int)(columns.shape[0] * columns.shape[1]);
        pattern.Validate(keys);
        Support down = Highest(columns.reshape(heads, keys), Math.Min(keys, options.ForcedColumns), pattern.Columns), along = Highest(slashes.reshape(heads, keys), Math.Min(keys, options.ForcedSlashes), pattern.Slashes);
        return [.. Enumerable.Range(0, heads).Select(h => new ColumnsAndSlashes(down.Row(h).ToArray(), along.Row(h).ToArray()))];
    }

    /// <summary>The cells themselves: j in columns, or i - j in slashes.</summary>
    /// <param name="tokens">Tokens of the text.</param>
    /// <param name="index">Columns and slashes.</param>
    public static Support ToExact(int tokens, ColumnsAndSlashes index)
    {
        ArgumentNullException.ThrowIfNull(index);
        return AttentionPatterns.VerticalSlash(tokens, index.Columns, index.Slashes);
    }

    /// <summary>
    /// What a kernel computes: for the queries [a, a + block) a slash of distance d is the range of keys [a - d, a - d + block), cut at 0. Overlapping ranges are joined, so slashes
    /// near each other are nearly free, and columns inside them are swallowed; all other columns stay single.
    /// </summary>
    /// <param name="tokens">Tokens of the text.</param>
    /// <param name="index">Columns and slashes, ascending, each once.</param>
    /// <param name="block">Queries of a block. Default 64.</param>
    /// <exception cref="ArgumentException">A number out of range, out of order or named twice.</exception>
    public static BlockSupport ToBlocks(int tokens, ColumnsAndSlashes index, int block = 64)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(block);
        ArgumentNullException.ThrowIfNull(index);
        int[] columns = Ascending(index.Columns, tokens, nameof(index.Columns)), slashes = Ascending(index.Slashes, tokens, nameof(index.Slashes));
        int rows = (int)(((long)tokens + block - 1) / block);
        var ranges = new IReadOnlyList<KeyRange>[rows];
        var single = new IReadOnlyList<int>[rows];
        for (int r = 0; r < rows; r++)
        {
            int a = r * block, height = Math.Min(block, tokens - a);
            List<KeyRange> row = [];
            for (int s = slashes.Length - 1; s >= 0; s--)
            {
                // From the farthest to the nearest: the ranges ascend.
                int from = Math.Max(0, a - slashes[s]), to = a - slashes[s] + height;
                if (to <= 0) continue;
                if (row.Count > 0 && row[^1].To >= from) row[^1] = row[^1] with { To = Math.Max(row[^1].To, to) };
                else row.Add(new(from, to));
            }

            List<int> left = [];
            int at = 0;
            foreach (int column in columns)
            {
                if (column >= a + height) break;
                while (at < row.Count && row[at].To <= column) at++;
                if (at == row.Count || row[at].From > column) left.Add(column);
            }

            (ranges[r], single[r]) = (row, left);
        }

        return new(tokens, block, ranges, single);
    }

    private static Support Highest(Tensor sums, int forced, int count)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor scores = sums.clone();
        if (forced > 0) scores.narrow(1, 0, forced).fill_(double.PositiveInfinity);
        return Select.TopK(scores, Budget.PerRow(Math.Max(count, forced)));
    }

    private static int[] Ascending(IReadOnlyList<int> places, int tokens, string name)
    {
        ArgumentNullException.ThrowIfNull(places, name);
        for (int i = 1; i < places.Count; i++)
        {
            if (places[i] < places[i - 1]) throw new ArgumentException($"{name} has {places[i]} behind {places[i - 1]}; they ascend.", name);
        }

        return AttentionPatterns.Places(places, tokens, name);
    }
}
