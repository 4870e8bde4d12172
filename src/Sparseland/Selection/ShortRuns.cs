using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Selection;

/// <summary>
/// Keeps n of every m consecutive entries where m is small, without branches on the scores: comparing each pair once
/// gives every entry the number of entries that beat it, and it stays when that is less than n.
/// </summary>
internal static unsafe class ShortRuns<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Beyond this the pairs are too many.</summary>
    internal const int MaximumLength = 16;

    /// <summary>Eight bits as eight bytes of 0 or 1.</summary>
    private static readonly ulong[] s_bytes = [.. Enumerable.Range(0, 256).Select(bits => Enumerable.Range(0, 8).Aggregate(0UL, (sum, i) => sum | ((ulong)((bits >> i) & 1) << (8 * i))))];

    /// <summary>Whether <see cref="Mask"/> has a vector form for runs of this length: whole runs in a vector.</summary>
    internal static bool IsVector(int length) => length > 1 && Vector512<T>.Count % length == 0;

    /// <summary>
    /// Writes 1 where an entry stays and 0 elsewhere, for the entries from a run's beginning to a run's end. With a NaN among them the mask is meaningless.
    /// </summary>
    /// <param name="scores">All scores, runs without gaps.</param>
    /// <param name="count">Number of all scores: what lies beyond a part may be read, but not beyond these.</param>
    /// <param name="from">First score of the part.</param>
    /// <param name="to">Behind its last.</param>
    /// <param name="budget">n and m.</param>
    /// <param name="mask">[count], 0 or 1.</param>
    /// <param name="vectors">False for the reference: one run after the other.</param>
    /// <returns>Whether there is a NaN in the part.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static bool Mask(T* scores, long count, long from, long to, NofMBudget budget, byte* mask, bool vectors)
    {
        int m = budget.M, lanes = Vector512<T>.Count;
        bool nan = false;
        long i = from;
        if (vectors && IsVector(m))
        {
            // A vector reads up to m - 1 places before and behind itself: the first and the last are left to the other form.
            long first = Math.Max(from, lanes), last = Math.Min(to, count - lanes);
            nan |= OneByOne(scores, from, Math.Min(first, to), budget, mask);
            i = Math.Min(first, to);
            T* places = stackalloc T[2 * MaximumLength * lanes];
            for (int d = 1; d < m; d++)
            {
                for (int lane = 0; lane < lanes; lane++)
                {
                    places[(2 * d * lanes) + lane] = lane % m + d < m ? T.One : T.Zero;
                    places[(((2 * d) + 1) * lanes) + lane] = lane % m >= d ? T.One : T.Zero;
                }
            }

            Vector512<T> n = Vector512.Create(T.CreateChecked(budget.N)), unequal = Vector512<T>.Zero;
            for (; i + lanes <= last; i += lanes)
            {
                Vector512<T> x = Vector512.Load(scores + i), beaten = Vector512<T>.Zero;
                for (int d = 1; d < m; d++)
                {
                    // Of equals the earlier one wins.
                    beaten += Vector512.GreaterThan(Vector512.Load(scores + i + d), x) & Vector512.Load(places + (2 * d * lanes));
                    beaten += Vector512.GreaterThanOrEqual(Vector512.Load(scores + i - d), x) & Vector512.Load(places + (((2 * d) + 1) * lanes));
                }

                unequal |= ~Vector512.Equals(x, x);
                ulong kept = Vector512.LessThan(beaten, n).ExtractMostSignificantBits();
                for (int part = 0; part < lanes; part += 8) *(ulong*)(mask + i + part) = s_bytes[(kept >> part) & 255];
            }

            nan |= unequal.ExtractMostSignificantBits() != 0;
        }

        return nan | OneByOne(scores, i, to, budget, mask);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static bool OneByOne(T* scores, long from, long to, NofMBudget budget, byte* mask)
    {
        bool nan = false;
        for (long start = from; start < to; start += budget.M)
        {
            var run = new ReadOnlySpan<T>(scores + start, budget.M);
            uint kept = budget.M == 4 ? KeepOfFour(run, budget.N) : Keep(run, budget.N);
            for (int i = 0; i < run.Length; i++)
            {
                nan |= T.IsNaN(run[i]);
                mask[start + i] = (byte)((kept >> i) & 1);
            }
        }

        return nan;
    }

    /// <summary>
    /// Writes the kept indices of a row, ascending. With a NaN in the row they are meaningless, but there are n of
    /// every run all the same.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Select(ReadOnlySpan<T> row, NofMBudget budget, Span<int> selected)
    {
        int position = 0;
        for (int start = 0; start < row.Length; start += budget.M)
        {
            ReadOnlySpan<T> run = row.Slice(start, budget.M);
            uint kept = budget.M == 4 ? KeepOfFour(run, budget.N) : Keep(run, budget.N);
            for (int i = 0; i < budget.N; i++)
            {
                selected[position++] = start + BitOperations.TrailingZeroCount(kept);
                kept &= kept - 1;
            }
        }
    }

    /// <summary>The pattern of 2:4, unrolled.</summary>
    private static uint KeepOfFour(ReadOnlySpan<T> run, int n)
    {
        T a = run[0], b = run[1], c = run[2], d = run[3];
        // 1 where the later entry beats the earlier one; at a tie the earlier one wins.
        int ba = One(b > a), ca = One(c > a), da = One(d > a), cb = One(c > b), db = One(d > b), dc = One(d > c);
        return Bit(ba + ca + da, n, 0) | Bit(1 - ba + cb + db, n, 1) | Bit(2 - ca - cb + dc, n, 2) | Bit(3 - da - db - dc, n, 3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static uint Keep(ReadOnlySpan<T> run, int n)
    {
        Span<int> beaten = stackalloc int[MaximumLength];
        beaten.Clear();
        for (int i = 1; i < run.Length; i++)
        {
            T x = run[i];
            int wins = 0;
            for (int j = 0; j < i; j++)
            {
                int win = One(x > run[j]);
                beaten[j] += win;
                wins += win;
            }
            beaten[i] = i - wins;
        }
        uint kept = 0;
        for (int i = 0; i < run.Length; i++)
            kept |= Bit(beaten[i], n, i);
        return kept;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int One(bool condition) => condition ? 1 : 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Bit(int beaten, int n, int i) => (beaten < n ? 1u : 0u) << i;
}
