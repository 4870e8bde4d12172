namespace Sparseland.Kernels;

/// <summary>A run of units (stored entries, groups or blocks) that one worker does.</summary>
/// <param name="From">The first.</param>
/// <param name="To">Behind the last.</param>
public readonly record struct WorkRange(int From, int To)
{
    /// <summary>Units in it.</summary>
    public int Count => To - From;
}

/// <summary>
/// How the units of a compressed matrix are handed to workers: whole rows to each (data-centric), or equal numbers of units whatever row they stand in
/// (task-centric in GQSA, Zeng et al. 2025; work-centric in Stream-K, Osama et al. 2023). It takes the row offsets of any format: entries of CSR, groups, blocks of BSR.
/// </summary>
public abstract class Schedule
{
    private Schedule()
    {
    }

    /// <summary>As many rows for each worker as for the others: row r goes to worker floor(r T / rows) or the one beside it.</summary>
    public static Schedule RowSplit { get; } = new Rows();

    /// <summary>ceil(N / T) units for each worker, the last ones what is left; a row may be cut, and its parts are added up in order.</summary>
    public static Schedule TaskCentric { get; } = new Tasks();

    /// <summary>The runs of all workers, in order and without gaps.</summary>
    /// <param name="rowOffsets">[rows + 1]: where each row's units begin, and the end; from 0 and not descending.</param>
    /// <param name="workers">T, at least 1.</param>
    /// <returns>T runs; some are empty where there are more workers than work.</returns>
    /// <exception cref="ArgumentException">No offsets, or offsets that descend or do not begin with 0.</exception>
    public WorkRange[] Cut(ReadOnlySpan<int> rowOffsets, int workers)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(workers, 1);
        if (rowOffsets.IsEmpty || rowOffsets[0] != 0) throw new ArgumentException("Row offsets begin with 0, and there is one more of them than rows.", nameof(rowOffsets));
        for (int row = 1; row < rowOffsets.Length; row++)
        {
            if (rowOffsets[row] < rowOffsets[row - 1]) throw new ArgumentException($"Offset {rowOffsets[row]} after row {row - 1} is less than the one before it, {rowOffsets[row - 1]}.", nameof(rowOffsets));
        }

        var ranges = new WorkRange[workers];
        for (int w = 0; w < workers; w++) ranges[w] = Range(rowOffsets, w, workers);
        return ranges;
    }

    /// <summary>Units of the worker with most of them: the time of the product, where workers are equally fast and wait for each other.</summary>
    /// <param name="rowOffsets">As for <see cref="Cut"/>.</param>
    /// <param name="workers">T, at least 1.</param>
    /// <exception cref="ArgumentException">As for <see cref="Cut"/>.</exception>
    public int Makespan(ReadOnlySpan<int> rowOffsets, int workers) => Cut(rowOffsets, workers).Max(range => range.Count);

    private protected abstract WorkRange Range(ReadOnlySpan<int> offsets, int worker, int workers);

    private sealed class Rows : Schedule
    {
        public override string ToString() => nameof(RowSplit);

        private protected override WorkRange Range(ReadOnlySpan<int> offsets, int worker, int workers)
        {
            long rows = offsets.Length - 1;
            return new(offsets[(int)(rows * worker / workers)], offsets[(int)(rows * (worker + 1) / workers)]);
        }
    }

    private sealed class Tasks : Schedule
    {
        public override string ToString() => nameof(TaskCentric);

        private protected override WorkRange Range(ReadOnlySpan<int> offsets, int worker, int workers)
        {
            long units = offsets[^1], each = (units + workers - 1) / workers;
            return new((int)Math.Min(units, each * worker), (int)Math.Min(units, each * (worker + 1)));
        }
    }
}
