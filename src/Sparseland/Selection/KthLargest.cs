using System.Numerics;
using System.Runtime.CompilerServices;

namespace Sparseland.Selection;

/// <summary>
/// The k-th largest of integer keys, in linear time whatever the input: long inputs are narrowed by radix digits from
/// the top, short ones by deciding the answer's bits from the top, counting in vector registers.
/// </summary>
internal static class KthLargest<T, TKey, TV, TK, TSimd>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where TKey : unmanaged, IBinaryInteger<TKey>, IMinMaxValue<TKey>
    where TSimd : ISimd<T, TKey, TV, TK>
{
    private const int DigitBits = 11;
    private const int Bins = 1 << DigitBits;

    /// <summary>Up to here counting bit by bit is faster than histograms.</summary>
    private static int ShortLength => 512 * TSimd.Lanes;

    /// <summary>Finds the k-th largest of the first <paramref name="count"/> keys; their order is lost.</summary>
    /// <param name="keys">The keys, with room for one vector of padding behind them.</param>
    /// <param name="count">Number of keys.</param>
    /// <param name="k">Rank, from 1 to <paramref name="count"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static unsafe TKey Find(Span<TKey> keys, int count, int k)
    {
        int bits = sizeof(TKey) * 8;
        for (int shift = bits - DigitBits; count > ShortLength && shift > -DigitBits; shift -= DigitBits)
            count = KeepDigitOfKth(keys, count, ref k, Math.Max(shift, 0), first: shift == bits - DigitBits);
        return FindShort(keys, count, k);
    }

    /// <summary>Keeps the keys that share one digit with the k-th largest, and makes k its rank among them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int KeepDigitOfKth(Span<TKey> keys, int count, ref int k, int shift, bool first)
    {
        Span<int> histogram = stackalloc int[Bins];
        histogram.Clear();
        // The topmost bit is the sign: flipping it in the first digit gives the digits the order of the keys.
        int flip = first ? Bins >> 1 : 0;
        Span<TKey> used = keys[..count];
        foreach (TKey key in used)
            histogram[Digit(key, shift, flip)]++;

        int digit = Bins - 1;
        for (; histogram[digit] < k; digit--)
            k -= histogram[digit];
        if (histogram[digit] == count)
            return count;

        int kept = 0;
        foreach (TKey key in used)
        {
            keys[kept] = key;
            kept += Digit(key, shift, flip) == digit ? 1 : 0;
        }
        return kept;
    }

    private static int Digit(TKey key, int shift, int flip) =>
        (int.CreateTruncating(key >> shift) & (Bins - 1)) ^ flip;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static unsafe TKey FindShort(Span<TKey> keys, int count, int k)
    {
        // Padding with the least key never changes a count: every bound tried below is greater than it.
        int lanes = TSimd.Lanes;
        int padded = (count + lanes - 1) / lanes * lanes;
        keys[count..padded].Fill(TKey.MinValue);
        ref TKey source = ref keys[0];

        TK most = TSimd.SplatKey(keys[0]);
        TK least = TSimd.SplatKey(keys[0]);
        for (int i = 0; i + lanes <= count; i += lanes)
        {
            TK x = TSimd.LoadKeys(ref source, i);
            most = TSimd.MaxKeys(most, x);
            least = TSimd.MinKeys(least, x);
        }
        TKey max = TSimd.ReduceMax(most), min = TSimd.ReduceMin(least);
        for (int i = count / lanes * lanes; i < count; i++)
        {
            max = TKey.Max(max, keys[i]);
            min = TKey.Min(min, keys[i]);
        }
        if (min == max || k == 1)
            return max;

        // All keys share the bits above the highest in which the extremes differ.
        int bit = sizeof(TKey) * 8 - 1 - int.CreateTruncating(TKey.LeadingZeroCount(min ^ max));
        TKey found = bit == sizeof(TKey) * 8 - 1 ? TKey.MinValue : max >> bit << bit & ~(TKey.One << bit);
        for (; bit >= 0; bit--)
        {
            // In two's complement, adding the sign bit to the least key gives 0, the middle of the range.
            TKey bound = unchecked(found + (TKey.One << bit));
            TK bounds = TSimd.SplatKey(bound);
            int reaching = 0;
            for (int i = 0; i < padded; i += lanes)
                reaching += TSimd.CountAtLeast(TSimd.LoadKeys(ref source, i), bounds);
            if (reaching == k)
                return LeastFrom(ref source, padded, bounds);
            if (reaching > k)
                found = bound;
        }
        return found;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static TKey LeastFrom(ref TKey source, int padded, TK bounds)
    {
        TK least = TSimd.SplatKey(TKey.MaxValue);
        for (int i = 0; i < padded; i += TSimd.Lanes)
            least = TSimd.MinKeys(least, TSimd.AtLeastOrMax(TSimd.LoadKeys(ref source, i), bounds));
        return TSimd.ReduceMin(least);
    }
}
