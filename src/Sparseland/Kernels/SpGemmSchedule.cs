using Sparseland.Tensors;

namespace Sparseland.Kernels;

/// <summary>How the work of a window is dealt to the threads of an accelerator.</summary>
public enum WorkGrain
{
    /// <summary>Rows in turn, whatever they hold: version 1 of SMASH.</summary>
    StaticRows,

    /// <summary>A queue of rows: whoever is done takes the next.</summary>
    RowTokens,

    /// <summary>A queue of A's entries, each with its row of B: version 2 of SMASH.</summary>
    EntryTokens,
}

/// <summary>Time of a product on many slow threads that wait for each other at the end of each window, in multiplications: a model, counted from the structure.</summary>
/// <param name="Time">Sum over the windows of the longest thread.</param>
/// <param name="Ideal">Multiplications over threads.</param>
/// <param name="Busy">Multiplications of each thread in each window [window][thread].</param>
public sealed record SpGemmSchedule(long Time, double Ideal, IReadOnlyList<IReadOnlyList<long>> Busy)
{
    /// <summary>How many times the ideal: 1 where no thread ever waits.</summary>
    public double Imbalance => Ideal == 0 ? 1 : Time / Ideal;

    /// <summary>Plays a product through.</summary>
    /// <param name="a">[rows, inner].</param>
    /// <param name="b">[inner, columns].</param>
    /// <param name="threads">Threads, at least 1.</param>
    /// <param name="capacity">Most multiplications of a window: a power of two.</param>
    /// <param name="grain">What is dealt.</param>
    /// <exception cref="ArgumentException">The inner sizes differ, or a number is out of its range.</exception>
    public static SpGemmSchedule Simulate(CsrMatrix a, CsrMatrix b, int threads, int capacity, WorkGrain grain)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        if (!Enum.IsDefined(grain)) throw new ArgumentOutOfRangeException(nameof(grain), grain, "grain is StaticRows, RowTokens or EntryTokens.");
        IReadOnlyList<SpGemmWindow> windows = SpGemmWindows.Of(a, b, capacity);
        int[] ka = a.ColumnArray(), kb = b.ColumnArray();
        var busy = new List<IReadOnlyList<long>>(windows.Count);
        long time = 0;
        foreach (SpGemmWindow window in windows)
        {
            long[] work = new long[threads];

            // The thread that is done first, and of these the one of the smallest number, takes the next token.
            var free = new PriorityQueue<int, (long, int)>(Enumerable.Range(0, threads).Select(t => (t, (0L, t))));
            for (int row = window.FromRow; row < window.ToRow; row++)
            {
                long line = 0;
                for (int k = a.RowOffsets[row]; k < a.RowOffsets[row + 1]; k++)
                {
                    ReadOnlySpan<int> columns = kb.AsSpan(b.RowOffsets[ka[k]], b.RowOffsets[ka[k] + 1] - b.RowOffsets[ka[k]]);
                    long token = SpGemmWindows.Below(columns, window.ToColumn) - SpGemmWindows.Below(columns, window.FromColumn);
                    line += token;
                    if (grain == WorkGrain.EntryTokens) Take(token);
                }

                if (grain == WorkGrain.RowTokens) Take(line);
                if (grain == WorkGrain.StaticRows) work[(row - window.FromRow) % threads] += line;
            }

            void Take(long token)
            {
                if (token == 0) return;
                int thread = free.Dequeue();
                work[thread] += token;
                free.Enqueue(thread, (work[thread], thread));
            }

            busy.Add(work);
            time += work.Max();
        }

        return new(time, (double)windows.Sum(w => w.Products) / threads, busy);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
