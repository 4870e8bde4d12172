namespace Sparseland.Kernels;

/// <summary>A compressed matrix whose rows are lists of units (entries or groups), so that a product can be cut anywhere between two units.</summary>
public abstract unsafe class ScheduledMatrix : SparseMatrix
{
    // A run of so many stored weights outlasts the start of a task several times over.
    private const int WeightsPerTask = 1 << 15;
    private const int MostTasks = 64;

    private readonly int[] _offsets;

    private protected ScheduledMatrix(int rows, int columns, int[] offsets)
        : base(rows, columns) => _offsets = offsets;

    /// <summary>[rows + 1]: where each row's units begin, and the end.</summary>
    public ReadOnlySpan<int> RowOffsets => _offsets;

    /// <summary>y = W x under a schedule.</summary>
    /// <param name="x">[columns].</param>
    /// <param name="y">[rows]; overwritten, and apart from x.</param>
    /// <param name="schedule">How the work is cut.</param>
    /// <param name="workers">
    /// T, the runs that it is cut into; 0, the default, for a number that the size of the matrix sets (one for 32,768 stored weights, 64 at most). It is not the
    /// number of threads: these take run after run. A row that is cut is summed in parts, so another T may change last bits; more or fewer threads never do.
    /// </param>
    /// <exception cref="ArgumentException">A length does not fit, the two overlap, or T is negative.</exception>
    public void Multiply(ReadOnlySpan<float> x, Span<float> y, Schedule schedule, int workers = 0)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        ArgumentOutOfRangeException.ThrowIfNegative(workers);
        CheckVectors(x, y);
        WorkRange[] ranges = schedule.Cut(_offsets, workers == 0 ? (int)Math.Clamp(Count / WeightsPerTask, 1, MostTasks) : workers);
        y.Clear();
        float[] scratch = new float[ScratchLength];
        var ends = new (int Row, float Sum)[2 * ranges.Length];
        fixed (float* px = x, py = y, ps = scratch)
        {
            (nint ax, nint ay, nint s) = ((nint)px, (nint)py, (nint)ps);
            Prepare(px, ps);
            EachPiece(ranges.Length, Run);

            void Run(int worker) => (ends[2 * worker], ends[(2 * worker) + 1]) = Work((float*)ax, (float*)s, (float*)ay, ranges[worker]);
        }

        // The fix-up: parts of rows that were cut, in the order of the units.
        foreach ((int row, float sum) in ends)
        {
            if (row >= 0) y[row] += sum;
        }
    }

    /// <summary>The product of some units of one row.</summary>
    private protected abstract float Part(float* x, float* scratch, int from, int to);

    private protected sealed override void Products(float* x, float* scratch, float* y, int from, int to)
    {
        for (int row = from; row < to; row++) y[row] = Part(x, scratch, _offsets[row], _offsets[row + 1]);
    }

    /// <summary>Writes the rows that lie whole in a run, and gives the sums of the first and the last row where they are cut (row -1 for none).</summary>
    private ((int Row, float Sum) Head, (int Row, float Sum) Tail) Work(float* x, float* scratch, float* y, WorkRange range)
    {
        ((int, float) head, (int, float) tail) = ((-1, 0f), (-1, 0f));
        if (range.Count == 0) return (head, tail);
        int row = RowOf(range.From);
        if (_offsets[row] < range.From)
        {
            int end = Math.Min(range.To, _offsets[row + 1]);
            head = (row++, Part(x, scratch, range.From, end));
            if (end == range.To) return (head, tail);
        }

        for (; row < Rows && _offsets[row + 1] <= range.To; row++)
        {
            if (_offsets[row] < _offsets[row + 1]) y[row] = Part(x, scratch, _offsets[row], _offsets[row + 1]);
        }

        if (row < Rows && _offsets[row] < range.To) tail = (row, Part(x, scratch, _offsets[row], range.To));
        return (head, tail);
    }

    /// <summary>The row that holds a unit: the last one that begins at or before it, so never an empty one.</summary>
    private int RowOf(int unit)
    {
        int low = 0, high = Rows - 1;
        while (low < high)
        {
            int middle = low + ((high - low + 1) / 2);
            if (_offsets[middle] <= unit) low = middle;
            else high = middle - 1;
        }

        return low;
    }
}
