using System.Numerics;
using System.Runtime.CompilerServices;

namespace Sparseland.Selection;

/// <summary>
/// Keeps n of every m consecutive entries where m is small, without branches on the scores: comparing each pair once
/// gives every entry the number of entries that beat it, and it stays when that is less than n.
/// </summary>
internal static class ShortRuns<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Beyond this the pairs are too many.</summary>
    internal const int MaximumLength = 16;

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
