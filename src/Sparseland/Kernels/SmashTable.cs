using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Sparseland.Kernels;

/// <summary>The table of windows, one for each thread: phases 1 and 2 of SMASH.</summary>
internal sealed unsafe class SmashTable(CsrArrays a, CsrArrays b, SmashOptions options)
{
    private const long Free = -1;
    private readonly long[] _tags = Filled(2 * options.Capacity);
    private readonly float[] _sums = new float[options.Layout == SlotLayout.SumInSlot ? 2 * options.Capacity : 0];
    private readonly int[] _places = new int[options.Layout == SlotLayout.Arrival ? 2 * options.Capacity : 0];
    private readonly long[] _arrived = new long[options.Capacity];
    private readonly float[] _arrivedSums = new float[options.Capacity];

    public long Insertions { get; private set; }

    public long ExtraProbes { get; private set; }

    public long HashTicks { get; private set; }

    public long WriteBackTicks { get; private set; }

    /// <summary>Makes the rows of a window.</summary>
    public WindowRows Make(SpGemmWindow window)
    {
        var home = new TagSlots(options.Hash, _tags.Length, window);
        long begun = Stopwatch.GetTimestamp();
        int count = options.SharedTable ? HashTogether(window, home) : options.Layout == SlotLayout.Arrival ? HashToPlaces(window, home) : HashToSlots(window, home);
        long hashed = Stopwatch.GetTimestamp();
        WindowRows rows = WriteBack(window, home, count);
        (Insertions, HashTicks, WriteBackTicks) = (Insertions + count, HashTicks + hashed - begun, WriteBackTicks + Stopwatch.GetTimestamp() - hashed);
        return rows;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int HashToSlots(SpGemmWindow window, TagSlots home)
    {
        int count = 0, mask = _tags.Length - 1;
        long probes = 0, width = window.ToColumn - window.FromColumn;
        fixed (long* tags = _tags)
        fixed (float* sums = _sums)
        {
            for (int row = window.FromRow; row < window.ToRow; row++)
            {
                long line = row - window.FromRow, first = (line * width) - window.FromColumn;
                for (int k = a.At[row]; k < a.At[row + 1]; k++)
                {
                    float factor = a.Value[k];
                    for (int j = Begin(window, a.Column[k]), to = b.At[a.Column[k] + 1]; j < to && b.Column[j] < window.ToColumn; j++)
                    {
                        long tag = first + b.Column[j];
                        int slot = home.Of(line, tag);
                        for (; tags[slot] != tag && tags[slot] != Free; slot = (slot + 1) & mask) probes++;
                        if (tags[slot] == Free) (tags[slot], sums[slot], count) = (tag, 0, count + 1);
                        sums[slot] = MathF.FusedMultiplyAdd(factor, b.Value[j], sums[slot]);
                    }
                }
            }
        }

        ExtraProbes += probes;
        return count;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int HashToPlaces(SpGemmWindow window, TagSlots home)
    {
        int count = 0, mask = _tags.Length - 1;
        long probes = 0, width = window.ToColumn - window.FromColumn;
        fixed (long* tags = _tags, arrived = _arrived)
        fixed (int* places = _places)
        fixed (float* sums = _arrivedSums)
        {
            for (int row = window.FromRow; row < window.ToRow; row++)
            {
                long line = row - window.FromRow, first = (line * width) - window.FromColumn;
                for (int k = a.At[row]; k < a.At[row + 1]; k++)
                {
                    float factor = a.Value[k];
                    for (int j = Begin(window, a.Column[k]), to = b.At[a.Column[k] + 1]; j < to && b.Column[j] < window.ToColumn; j++)
                    {
                        long tag = first + b.Column[j];
                        int slot = home.Of(line, tag);
                        for (; tags[slot] != tag && tags[slot] != Free; slot = (slot + 1) & mask) probes++;
                        if (tags[slot] == Free)
                        {
                            (tags[slot], places[slot], arrived[count], sums[count]) = (tag, count, tag, 0);
                            count++;
                        }

                        float* sum = sums + places[slot];
                        *sum = MathF.FusedMultiplyAdd(factor, b.Value[j], *sum);
                    }
                }
            }
        }

        ExtraProbes += probes;
        return count;
    }

    /// <summary>All threads on one table: a slot is claimed by compare-and-swap on its tag, and a product added by compare-and-swap on the bits of the sum. A token is an entry of A.</summary>
    private int HashTogether(SpGemmWindow window, TagSlots home)
    {
        int first = a.At[window.FromRow], tokens = a.At[window.ToRow] - first, inserted = 0;
        long extra = 0;
        int threads = options.Threads == 0 ? TorchSharp.torch.get_num_threads() : options.Threads;
        int[] rows = new int[tokens];
        for (int row = window.FromRow; row < window.ToRow; row++) rows.AsSpan(a.At[row] - first, a.At[row + 1] - a.At[row]).Fill(row);

        // Slots keep the sums of earlier windows: all are emptied before anybody adds.
        Array.Clear(_sums);
        Parallel.For(0, tokens, new ParallelOptions { MaxDegreeOfParallelism = threads }, () => (Inserted: 0, Probes: 0L), (token, _, own) =>
        {
            (int count, long probes) = Add(window, home, rows[token], first + token);
            return (own.Inserted + count, own.Probes + probes);
        }, own =>
        {
            Interlocked.Add(ref inserted, own.Inserted);
            Interlocked.Add(ref extra, own.Probes);
        });
        ExtraProbes += extra;
        return inserted;
    }

    private (int Inserted, long Probes) Add(SpGemmWindow window, TagSlots home, int row, int k)
    {
        int count = 0, mask = _tags.Length - 1;
        long probes = 0, line = row - window.FromRow, first = (line * (window.ToColumn - window.FromColumn)) - window.FromColumn;
        for (int j = Begin(window, a.Column[k]), to = b.At[a.Column[k] + 1]; j < to && b.Column[j] < window.ToColumn; j++)
        {
            long tag = first + b.Column[j];
            int slot = home.Of(line, tag);
            while (true)
            {
                long seen = Interlocked.CompareExchange(ref _tags[slot], tag, Free);
                if (seen == Free) count++;
                if (seen == Free || seen == tag) break;
                slot = (slot + 1) & mask;
                probes++;
            }

            ref int bits = ref Unsafe.As<float, int>(ref _sums[slot]);
            int old = Volatile.Read(ref bits);
            while (true)
            {
                float sum = MathF.FusedMultiplyAdd(a.Value[k], b.Value[j], BitConverter.Int32BitsToSingle(old));
                int met = Interlocked.CompareExchange(ref bits, BitConverter.SingleToInt32Bits(sum), old);
                if (met == old) break;
                old = met;
            }
        }

        return (count, probes);
    }

    /// <summary>Gathers the used slots in order of row and column, and empties the table.</summary>
    private WindowRows WriteBack(SpGemmWindow window, TagSlots home, int count)
    {
        Span<long> tags = _arrived.AsSpan(0, count);
        Span<float> sums = _arrivedSums.AsSpan(0, count);
        if (options.Layout == SlotLayout.SumInSlot) Gather(window, home, tags, sums);

        // High bits leave the slots almost in order: a local repair is enough. Others are sorted.
        if (options.Hash == TagHash.High && options.Layout == SlotLayout.SumInSlot) Repair(tags, sums);
        else tags.Sort(sums);
        Array.Fill(_tags, Free);
        int width = window.ToColumn - window.FromColumn;
        int[] columns = GC.AllocateUninitializedArray<int>(count), counts = new int[window.ToRow - window.FromRow];
        long line = 0, start = 0;
        for (int i = 0; i < count; i++)
        {
            while (tags[i] >= start + width) (line, start) = (line + 1, start + width);
            columns[i] = (int)(tags[i] - start) + window.FromColumn;
            counts[line]++;
        }

        return new(window, counts, columns, sums.ToArray());
    }

    private void Gather(SpGemmWindow window, TagSlots home, Span<long> tags, Span<float> sums)
    {
        int at = 0, wrapped = 0;
        long width = window.ToColumn - window.FromColumn;

        // What ran over the end of the table stands at its beginning, and is last in order.
        while (wrapped < _tags.Length && _tags[wrapped] != Free && home.Of(_tags[wrapped] / width, _tags[wrapped]) > wrapped) wrapped++;
        for (int i = 0; i < _tags.Length; i++)
        {
            int slot = (i + wrapped) % _tags.Length;
            if (_tags[slot] != Free) (tags[at], sums[at++]) = (_tags[slot], _sums[slot]);
        }
    }

    private static void Repair(Span<long> tags, Span<float> sums)
    {
        for (int i = 1; i < tags.Length; i++)
        {
            (long tag, float sum) = (tags[i], sums[i]);
            int j = i;
            for (; j > 0 && tags[j - 1] > tag; j--) (tags[j], sums[j]) = (tags[j - 1], sums[j - 1]);
            (tags[j], sums[j]) = (tag, sum);
        }
    }

    /// <summary>First entry of a row of B that the window's columns reach.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Begin(SpGemmWindow window, int row) => window.FromColumn == 0 ? b.At[row] : b.At[row] + SpGemmWindows.Below(new(b.Column + b.At[row], b.At[row + 1] - b.At[row]), window.FromColumn);

    private static long[] Filled(int slots)
    {
        long[] tags = new long[slots];
        Array.Fill(tags, Free);
        return tags;
    }
}

/// <summary>What a window gave.</summary>
/// <param name="Window">The window.</param>
/// <param name="Counts">Entries of each of its rows.</param>
/// <param name="Columns">Row after row, ascending.</param>
/// <param name="Values">As many.</param>
internal sealed record WindowRows(SpGemmWindow Window, int[] Counts, int[] Columns, float[] Values);
