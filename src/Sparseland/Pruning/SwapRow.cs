namespace Sparseland.Pruning;

/// <summary>What the rows of a layer share in <see cref="DSnoT"/>.</summary>
/// <param name="Sums">S of each input.</param>
/// <param name="Norms">Norm of each input.</param>
/// <param name="Divisor">V^p of each input.</param>
/// <param name="Run">M of an N:M pattern; 0 for none.</param>
/// <param name="Cycles">Most swaps of a row.</param>
/// <param name="Threshold">Expected errors up to this are left.</param>
/// <param name="Stop">When a row stops.</param>
internal sealed record SwapInputs(double[] Sums, double[] Norms, double[] Divisor, int Run, int Cycles, double Threshold, SwapStop Stop);

/// <summary>The swaps of one row. Candidates are sorted once, and each end of a list is a pointer that only moves on: a cycle costs a step, not a scan.</summary>
internal sealed class SwapRow(SwapInputs shared, int columns)
{
    private readonly double[] _contribution = new double[columns];
    private readonly int[] _up = new int[columns], _down = new int[columns], _negative = new int[columns], _positive = new int[columns];
    private readonly double[] _keys = new double[columns];
    private readonly bool[] _moved = new bool[columns];

    public (double Before, double After, int Swaps) Refine(ReadOnlySpan<double> weights, Span<byte> mask, List<double>? trajectory)
    {
        double error = 0;
        for (int j = 0; j < columns; j++)
        {
            _contribution[j] = weights[j] * shared.Sums[j];
            if (mask[j] == 0) error += _contribution[j];
        }

        double before = error;
        trajectory?.Add(error);
        if (Math.Abs(error) <= shared.Threshold || shared.Cycles == 0) return (before, error, 0);
        Array.Clear(_moved);

        // Removed weights of positive and of negative contribution, the most wanted first; kept ones likewise, the least important first. Ties keep the lower index.
        int up = Sort(_up, mask, kept: false, positive: true, weights), down = Sort(_down, mask, kept: false, positive: false, weights);
        int positive = shared.Run > 0 ? 0 : Sort(_positive, mask, kept: true, positive: true, weights), negative = shared.Run > 0 ? 0 : Sort(_negative, mask, kept: true, positive: false, weights);
        int atUp = 0, atDown = 0, atPositive = 0, atNegative = 0, swaps = 0;
        while (swaps < shared.Cycles && Math.Abs(error) > shared.Threshold)
        {
            bool rise = error > 0;
            int grow = rise ? Next(_up, up, ref atUp) : Next(_down, down, ref atDown);
            if (grow < 0) break;
            int prune = shared.Run > 0 ? WeakestOfRun(grow, weights, mask) : rise ? Next(_negative, negative, ref atNegative) : Next(_positive, positive, ref atPositive);
            if (prune < 0) break;
            double next = error - _contribution[grow] + _contribution[prune];
            if (shared.Run > 0 ? Math.Sign(next) != Math.Sign(error) : shared.Stop == SwapStop.Decrease && Math.Abs(next) >= Math.Abs(error)) break;
            if (shared.Run > 0 && shared.Stop == SwapStop.Decrease && Math.Abs(next) >= Math.Abs(error)) break;
            (mask[grow], mask[prune], _moved[grow], _moved[prune]) = (1, 0, true, true);
            error = next;
            swaps++;
            trajectory?.Add(error);
        }

        return (before, error, swaps);
    }

    private static int Next(int[] list, int count, ref int at) => at < count ? list[at++] : -1;

    /// <summary>Candidates of one kind, in the order in which they are taken.</summary>
    private int Sort(int[] list, ReadOnlySpan<byte> mask, bool kept, bool positive, ReadOnlySpan<double> weights)
    {
        int count = 0;
        for (int j = 0; j < columns; j++)
        {
            double c = _contribution[j];
            if ((mask[j] != 0) != kept || (positive ? c <= 0 : c >= 0)) continue;
            _keys[count] = kept ? Math.Abs(weights[j]) * shared.Norms[j] : -Math.Abs(c) / shared.Divisor[j];
            list[count++] = j;
        }

        // Array.Sort is not stable: equal keys are put in order by index afterwards.
        Array.Sort(_keys, list, 0, count);
        for (int from = 0; from < count;)
        {
            int to = from + 1;
            while (to < count && _keys[to] == _keys[from]) to++;
            if (to - from > 1) Array.Sort(list, from, to - from);
            from = to;
        }

        return count;
    }

    /// <summary>The kept weight of smallest Wanda score in the run of a grown one, whatever its sign; -1 where all have moved.</summary>
    private int WeakestOfRun(int grow, ReadOnlySpan<double> weights, ReadOnlySpan<byte> mask)
    {
        int first = grow / shared.Run * shared.Run, weakest = -1;
        double least = double.PositiveInfinity;
        for (int j = first; j < first + shared.Run; j++)
        {
            double score = Math.Abs(weights[j]) * shared.Norms[j];
            if (mask[j] == 0 || _moved[j] || score >= least) continue;
            (weakest, least) = (j, score);
        }

        return weakest;
    }
}
