using Sparseland.Selection;

namespace Sparseland.Tests.Selection;

/// <summary>Selection by plain sorting, as the definition reads: what every path of the library is compared with.</summary>
internal static class ReferenceTopK
{
    /// <summary>Whether each entry of a row-major matrix stays.</summary>
    internal static bool[] Mask(IReadOnlyList<double> scores, int rows, int columns, Budget budget)
    {
        bool[] mask = new bool[rows * columns];
        switch (budget)
        {
            case PerRowBudget b:
                for (int row = 0; row < rows; row++)
                    Keep(Enumerable.Range(row * columns, columns), b.K);
                break;
            case PerColumnBudget b:
                for (int column = 0; column < columns; column++)
                    Keep(Enumerable.Range(0, rows).Select(row => row * columns + column), b.M);
                break;
            case GlobalBudget b:
                Keep(Enumerable.Range(0, mask.Length), b.K);
                break;
            case NofMBudget b:
                for (int run = 0; run < mask.Length / b.M; run++)
                    Keep(Enumerable.Range(run * b.M, b.M), b.N);
                break;
            case BlocksBudget b:
                KeepBlocks(b);
                break;
            case AndBudget b:
                bool[] first = Mask(scores, rows, columns, b.First), second = Mask(scores, rows, columns, b.Second);
                return [.. first.Zip(second, (x, y) => x && y)];
            default:
                throw new ArgumentException(budget.ToString());
        }
        return mask;

        void Keep(IEnumerable<int> competing, int k)
        {
            // OrderByDescending is stable, and -0.0 + 0.0 is 0.0.
            foreach (int index in competing.OrderByDescending(i => scores[i] + 0.0).Take(k))
                mask[index] = true;
        }

        void KeepBlocks(BlocksBudget b)
        {
            int across = columns / b.Cols, down = rows / b.Rows;
            IEnumerable<int> Entries(int block) =>
                from r in Enumerable.Range(block / across * b.Rows, b.Rows)
                from c in Enumerable.Range(block % across * b.Cols, b.Cols)
                select r * columns + c;
            double[] sums = [.. Enumerable.Range(0, across * down).Select(block => Entries(block).Sum(i => scores[i]))];
            IEnumerable<IEnumerable<int>> sets = b.PerBlockRow
                ? Enumerable.Range(0, down).Select(d => Enumerable.Range(d * across, across))
                : [Enumerable.Range(0, sums.Length)];
            foreach (int index in sets.SelectMany(set => set.OrderByDescending(i => sums[i]).Take(b.K)).SelectMany(Entries))
                mask[index] = true;
        }
    }

    /// <summary>The mask as a support, through the checking constructor.</summary>
    internal static Support Select(IReadOnlyList<double> scores, int rows, int columns, Budget budget)
    {
        bool[] mask = Mask(scores, rows, columns, budget);
        int[] offsets = new int[rows + 1];
        var indices = new List<int>();
        for (int i = 0; i < mask.Length; i++)
        {
            if (mask[i])
                indices.Add(i % columns);
            offsets[i / columns + 1] = indices.Count;
        }
        return new Support(rows, columns, offsets, indices.ToArray());
    }
}
