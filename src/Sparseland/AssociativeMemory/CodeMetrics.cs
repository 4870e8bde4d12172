namespace Sparseland.AssociativeMemory;

/// <summary>How codes and inputs compare.</summary>
public static class CodeMetrics
{
    /// <summary>Share of modules in which two codes have the same winner.</summary>
    /// <param name="a">A code.</param>
    /// <param name="b">A code with as many modules.</param>
    /// <returns>0 to 1.</returns>
    /// <exception cref="ArgumentException">Lengths differ, or the codes are empty.</exception>
    public static double Overlap(ReadOnlySpan<int> a, ReadOnlySpan<int> b)
    {
        if (a.Length != b.Length || a.Length == 0)
            throw new ArgumentException($"The codes have {a.Length} and {b.Length} winners; they must be as long as each other and not empty.", nameof(b));
        int same = 0;
        for (int q = 0; q < a.Length; q++)
        {
            if (a[q] == b[q]) same++;
        }

        return (double)same / a.Length;
    }

    /// <summary>Active inputs that two inputs share, as a share of the larger of the two.</summary>
    /// <param name="a">Active inputs, each once, in any order.</param>
    /// <param name="b">Active inputs, each once, in any order.</param>
    /// <returns>0 to 1.</returns>
    /// <exception cref="ArgumentException">Both are empty.</exception>
    public static double InputOverlap(int[] a, int[] b)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        if (a.Length == 0 && b.Length == 0) throw new ArgumentException("Both inputs are empty.", nameof(a));
        return (double)a.Intersect(b).Count() / Math.Max(a.Length, b.Length);
    }

    /// <summary>Number of different codes.</summary>
    /// <param name="codes">Winners of each.</param>
    public static int Distinct(IReadOnlyList<int[]> codes)
    {
        ArgumentNullException.ThrowIfNull(codes);
        return codes.Select(code => string.Join(' ', code)).Distinct(StringComparer.Ordinal).Count();
    }

    /// <summary>Input overlap and code overlap of every pair, (0, 1), (0, 2), ...</summary>
    /// <param name="inputs">Active inputs of each item.</param>
    /// <param name="codes">Winners of each item.</param>
    /// <exception cref="ArgumentException">Not as many codes as inputs, or fewer than two.</exception>
    public static (double[] Input, double[] Code) Pairs(IReadOnlyList<int[]> inputs, IReadOnlyList<int[]> codes)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(codes);
        if (inputs.Count != codes.Count || inputs.Count < 2)
            throw new ArgumentException($"There are {inputs.Count} inputs and {codes.Count} codes; there must be as many, and at least two.", nameof(codes));
        var input = new List<double>();
        var code = new List<double>();
        for (int i = 0; i < inputs.Count; i++)
        {
            for (int j = i + 1; j < inputs.Count; j++)
            {
                input.Add(InputOverlap(inputs[i], inputs[j]));
                code.Add(Overlap(codes[i], codes[j]));
            }
        }

        return ([.. input], [.. code]);
    }

    /// <summary>Spearman's rank correlation: Pearson's of the ranks, equal values sharing their mean rank.</summary>
    /// <param name="a">Values.</param>
    /// <param name="b">As many values.</param>
    /// <returns>-1 to 1; NaN when all values of one are equal.</returns>
    /// <exception cref="ArgumentException">Lengths differ, fewer than two, or NaN.</exception>
    public static double Spearman(IReadOnlyList<double> a, IReadOnlyList<double> b)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        if (a.Count != b.Count || a.Count < 2)
            throw new ArgumentException($"There are {a.Count} and {b.Count} values; there must be as many, and at least two.", nameof(b));
        if (a.Any(double.IsNaN) || b.Any(double.IsNaN)) throw new ArgumentException("A value is NaN and has no rank.", a.Any(double.IsNaN) ? nameof(a) : nameof(b));
        double[] x = Ranks(a), y = Ranks(b);
        double mean = (a.Count + 1) / 2.0, xy = 0, xx = 0, yy = 0;
        for (int i = 0; i < x.Length; i++)
        {
            xy += (x[i] - mean) * (y[i] - mean);
            xx += (x[i] - mean) * (x[i] - mean);
            yy += (y[i] - mean) * (y[i] - mean);
        }

        return xy / Math.Sqrt(xx * yy);
    }

    private static double[] Ranks(IReadOnlyList<double> values)
    {
        int[] order = [.. Enumerable.Range(0, values.Count).OrderBy(i => values[i])];
        var ranks = new double[order.Length];
        for (int from = 0, to; from < order.Length; from = to)
        {
            for (to = from + 1; to < order.Length && values[order[to]] == values[order[from]]; to++)
            {
            }

            for (int i = from; i < to; i++) ranks[order[i]] = (from + to + 1) / 2.0;
        }

        return ranks;
    }
}
