using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Selection;

/// <summary>
/// Selection where the scores are, in libtorch operations: used on CUDA. A stable descending sort keeps equal scores in
/// the order of their indices, which is the tie rule; libtorch's own topk promises no order among ties. Only the
/// chosen indices travel to the CPU.
/// </summary>
internal static class TorchTopK
{
    /// <summary>The budget must fit the shape (<see cref="Budget.CountFor"/> has been called).</summary>
    /// <param name="scores">[rows, columns] of float32 or float64.</param>
    /// <param name="budget">What may stay.</param>
    internal static Support Select(Tensor scores, Budget budget)
    {
        using DisposeScope scope = NewDisposeScope();
        RefuseNaN(scores);
        // Some sorts order -0.0 below 0.0; adding 0.0 leaves no -0.0.
        return Apply(scores + 0.0, budget);
    }

    private static Support Apply(Tensor scores, Budget budget)
    {
        int rows = (int)scores.shape[0], columns = (int)scores.shape[1];
        return budget switch
        {
            PerRowBudget b => PerRow(scores, rows, columns, b.K),
            RowCountsBudget b => RowCounts(scores, rows, columns, b),
            PerColumnBudget b => MatrixTopK<float>.FromColumns(HighestOfRows(scores.t(), b.M), rows, columns, MatrixTopK<float>.EvenOffsets(columns, b.M)),
            ColumnCountsBudget b => ColumnCounts(scores, rows, columns, b),
            GlobalBudget b => MatrixTopK<float>.FromFlat(HighestOfRows(scores.reshape(1, -1), b.K), rows, columns),
            NofMBudget b => NofM(scores, rows, columns, b),
            BlocksBudget b => Blocks(scores, rows, columns, b),
            AndBudget b => Apply(scores, b.First).Intersect(Apply(scores, b.Second)),
            _ => throw new ArgumentException($"Unknown budget {budget}.", nameof(budget)),
        };
    }

    private static Support PerRow(Tensor scores, int rows, int columns, int k) =>
        Support.Trusted(rows, columns, MatrixTopK<float>.EvenOffsets(rows, k), HighestOfRows(scores, k));

    private static Support RowCounts(Tensor scores, int rows, int columns, RowCountsBudget budget)
    {
        int[] starts = MatrixTopK<float>.OffsetsOf(budget.Counts);
        if (starts[^1] == 0) return Support.Empty(rows, columns);
        return Support.Trusted(rows, columns, starts, Ranked(scores, budget.Counts, starts));
    }

    /// <summary>Of each row of scores its own number of highest, ascending.</summary>
    private static int[] Ranked(Tensor scores, IReadOnlyList<int> counts, int[] starts)
    {
        int most = counts.Max();
        int[] chosen = new int[starts[^1]];

        // In the order of their scores, so that each row can stop at its own number.
        (_, Tensor order) = scores.sort(1, descending: true, stable: true);
        ReadOnlySpan<int> ranked = MemoryMarshal.Cast<byte, int>(order.narrow(1, 0, most).to(ScalarType.Int32).cpu().contiguous().bytes);
        for (int row = 0; row < counts.Count; row++)
        {
            Span<int> part = chosen.AsSpan(starts[row], counts[row]);
            ranked.Slice(row * most, part.Length).CopyTo(part);
            part.Sort();
        }

        return chosen;
    }

    private static Support ColumnCounts(Tensor scores, int rows, int columns, ColumnCountsBudget budget)
    {
        int[] starts = MatrixTopK<float>.OffsetsOf(budget.Counts);
        return starts[^1] == 0 ? Support.Empty(rows, columns) : MatrixTopK<float>.FromColumns(Ranked(scores.t(), budget.Counts, starts), rows, columns, starts);
    }

    private static Support NofM(Tensor scores, int rows, int columns, NofMBudget budget)
    {
        int runs = columns / budget.M;
        int[] selected = HighestOfRows(scores.reshape((long)rows * runs, budget.M), budget.N);
        for (int i = 0; i < selected.Length; i++)
            selected[i] += i / budget.N % runs * budget.M;
        return Support.Trusted(rows, columns, MatrixTopK<float>.EvenOffsets(rows, runs * budget.N), selected);
    }

    private static Support Blocks(Tensor scores, int rows, int columns, BlocksBudget budget)
    {
        int down = rows / budget.Rows, across = columns / budget.Cols;
        Tensor sums = scores.to(ScalarType.Float64).reshape(down, budget.Rows, across, budget.Cols).sum([1, 3]);
        if (FirstNaN(sums) is (long blockRow, long blockColumn))
            throw MatrixTopK<float>.UndefinedSum(blockRow, blockColumn);
        Support blocks = budget.PerBlockRow
            ? PerRow(sums, down, across, budget.K)
            : MatrixTopK<float>.FromFlat(HighestOfRows(sums.reshape(1, -1), budget.K), down, across);
        return MatrixTopK<float>.ExpandBlocks(blocks, rows, columns, budget);
    }

    /// <summary>Indices of the k highest of each row, ascending within the row.</summary>
    /// <returns>[rows * k].</returns>
    private static int[] HighestOfRows(Tensor scores, int k)
    {
        if (k == 0 || scores.NumberOfElements == 0)
            return [];
        (_, Tensor order) = scores.sort(1, descending: true, stable: true);
        (Tensor chosen, _) = order.narrow(1, 0, k).contiguous().sort(1);
        Tensor indices = chosen.to(ScalarType.Int32).cpu().contiguous();
        return MemoryMarshal.Cast<byte, int>(indices.bytes).ToArray();
    }

    private static void RefuseNaN(Tensor scores)
    {
        if (FirstNaN(scores) is (long row, long column))
            throw Selection.Select.NaNAt(row * scores.shape[1] + column, (int)scores.shape[1]);
    }

    private static (long Row, long Column)? FirstNaN(Tensor scores)
    {
        Tensor nan = scores.isnan();
        if (!nan.any().item<bool>())
            return null;
        Tensor places = nan.nonzero();
        return (places[0, 0].item<long>(), places[0, 1].item<long>());
    }
}
