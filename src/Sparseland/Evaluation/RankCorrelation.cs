namespace Sparseland.Evaluation;

/// <summary>How far two sequences agree in order.</summary>
public static class RankCorrelation
{
    /// <summary>
    /// Spearman's rank correlation: Pearson's correlation of the ranks, equal values sharing the mean of theirs (Spearman 1904). From -1 to 1;
    /// NaN where one of the sequences is constant and has no order.
    /// </summary>
    /// <param name="x">At least two finite values.</param>
    /// <param name="y">As many.</param>
    /// <exception cref="ArgumentException">There are fewer than two, the lengths differ, or a value is not finite.</exception>
    public static double Spearman(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        if (x.Length < 2) throw new ArgumentException($"A rank correlation needs at least two values, not {x.Length}.", nameof(x));
        if (x.Length != y.Length) throw new ArgumentException($"There are {x.Length} values of x and {y.Length} of y; each x needs its y.", nameof(y));
        double[] a = Ranks(x, nameof(x)), b = Ranks(y, nameof(y));

        // The mean of ranks is the same with and without ties.
        double middle = (a.Length + 1) / 2.0, cross = 0, squaresA = 0, squaresB = 0;
        for (int i = 0; i < a.Length; i++)
        {
            cross += (a[i] - middle) * (b[i] - middle);
            squaresA += (a[i] - middle) * (a[i] - middle);
            squaresB += (b[i] - middle) * (b[i] - middle);
        }

        return squaresA == 0 || squaresB == 0 ? double.NaN : cross / Math.Sqrt(squaresA * squaresB);
    }

    private static double[] Ranks(ReadOnlySpan<double> values, string name)
    {
        double[] sorted = values.ToArray(), ranks = new double[values.Length];
        int bad = Array.FindIndex(sorted, v => !double.IsFinite(v));
        if (bad >= 0) throw new ArgumentException($"{name}[{bad}] is {sorted[bad]}; values to be ranked must be finite.", name);
        int[] order = [.. Enumerable.Range(0, ranks.Length)];
        Array.Sort(sorted, order);
        for (int start = 0; start < order.Length;)
        {
            int end = start + 1;
            while (end < order.Length && sorted[end] == sorted[start]) end++;
            for (int i = start; i < end; i++) ranks[order[i]] = (start + 1 + end) / 2.0;
            start = end;
        }

        return ranks;
    }
}
