using System.Buffers;
using System.Runtime.CompilerServices;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Selection;

/// <summary>Selects the k highest of one row. Get one with <see cref="For"/>; it keeps no state and is thread-safe.</summary>
internal abstract class RowKernel<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Index returned when the row has no NaN.</summary>
    internal const int NoNaN = -1;

    /// <summary>Buffers for rows of one length and one k. Each thread takes its own.</summary>
    internal abstract IScratch Rent(int length, int k);

    /// <summary>Memory for rows of a length and any k.</summary>
    internal abstract IScratch RentForAny(int length);

    /// <summary>
    /// Writes the indices of the <paramref name="k"/> highest entries of the row, ascending, to
    /// <paramref name="selected"/> (exactly k long), unless the row has a NaN.
    /// </summary>
    /// <returns>Index of the first NaN, or <see cref="NoNaN"/>.</returns>
    internal abstract int Select(ReadOnlySpan<T> row, int k, Span<int> selected, IScratch scratch);

    /// <summary>Index of the first NaN, or <see cref="NoNaN"/>.</summary>
    internal abstract int FirstNaN(ReadOnlySpan<T> row);

    /// <summary>Marks what <see cref="Rent"/> gives.</summary>
    internal interface IScratch : IDisposable;

    /// <summary>The widest vectors that this machine has.</summary>
    internal static SimdWidth Widest =>
        Vector512.IsHardwareAccelerated ? SimdWidth.V512
        : Vector256.IsHardwareAccelerated ? SimdWidth.V256
        : Vector128.IsHardwareAccelerated ? SimdWidth.V128
        : SimdWidth.Scalar;

    /// <summary>The kernel of a width; only float and double exist.</summary>
    internal static RowKernel<T> For(SimdWidth width)
    {
        object kernel = typeof(T) == typeof(float) ? Create<float, int>(width)
            : typeof(T) == typeof(double) ? Create<double, long>(width)
            : throw new NotSupportedException($"Selection works on float and double, not on {typeof(T).Name}.");
        return (RowKernel<T>)kernel;
    }

    private static RowKernel<TF> Create<TF, TKey>(SimdWidth width)
        where TF : unmanaged, IBinaryFloatingPointIeee754<TF>
        where TKey : unmanaged, IBinaryInteger<TKey>, IMinMaxValue<TKey> => width switch
        {
            SimdWidth.V512 => new RowKernel<TF, TKey, Vector512<TF>, Vector512<TKey>, Simd512<TF, TKey>>(),
            SimdWidth.V256 => new RowKernel<TF, TKey, Vector256<TF>, Vector256<TKey>, Simd256<TF, TKey>>(),
            SimdWidth.V128 => new RowKernel<TF, TKey, Vector128<TF>, Vector128<TKey>, Simd128<TF, TKey>>(),
            _ => new RowKernel<TF, TKey, TF, TKey, SimdScalar<TF, TKey>>(),
        };
}

/// <summary>
/// Two passes over the row. The first splits it into more than k strided groups and takes their maxima: the k-th
/// largest maximum is reached by at least k entries, so it bounds the answer from below, and tightly unless the row is
/// arranged against it. The second pass collects the few entries that reach the bound, in index order; whenever the
/// buffer fills up it is cut back to its k highest and the bound rises. Each cut is linear and frees at least half the
/// buffer, so the whole is linear in the row's length for every input. Where k is a large part of the row, the k-th
/// largest is found among all keys instead.
/// </summary>
internal sealed class RowKernel<T, TKey, TV, TK, TSimd> : RowKernel<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where TKey : unmanaged, IBinaryInteger<TKey>, IMinMaxValue<TKey>
    where TSimd : ISimd<T, TKey, TV, TK>
{
    /// <summary>Vectors of group maxima held in registers at a time.</summary>
    private const int Tile = 8;

    /// <summary>Groups must have at least this many members for the first pass to pay.</summary>
    private const int MembersPerGroup = 4;

    internal override IScratch Rent(int length, int k) => k == 0 || k == length ? new Scratch(0, 0) : IsFiltered(length, k) ? new Scratch(0, k) : new Scratch(length, 0);

    // The largest k of the filtered way is an eighth of the row.
    internal override IScratch RentForAny(int length) => new Scratch(length, length / (2 * MembersPerGroup));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override int Select(ReadOnlySpan<T> row, int k, Span<int> selected, IScratch scratch)
    {
        if (k == 0 || k == row.Length)
        {
            for (int i = 0; i < k; i++)
                selected[i] = i;
            return FirstNaN(row);
        }
        var buffers = (Scratch)scratch;
        return IsFiltered(row.Length, k) ? SelectFiltered(row, k, selected, buffers) : SelectDirect(row, k, selected, buffers);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override int FirstNaN(ReadOnlySpan<T> row)
    {
        int lanes = TSimd.Lanes, i = 0;
        ref T source = ref MemoryMarshal.GetReference(row);
        for (; i <= row.Length - lanes; i += lanes)
        {
            ulong nans = TSimd.NaNs(TSimd.Load(ref source, i));
            if (nans != 0)
                return i + BitOperations.TrailingZeroCount(nans);
        }
        for (; i < row.Length; i++)
        {
            if (T.IsNaN(row[i]))
                return i;
        }
        return NoNaN;
    }

    private static int GroupsFor(int k)
    {
        int step = Tile * TSimd.Lanes;
        return (2 * k + step - 1) / step * step;
    }

    private static bool IsFiltered(int length, int k) => (long)k * 2 * MembersPerGroup <= length && GroupsFor(k) * MembersPerGroup <= length;

    private static int CapacityFor(int k) => 4 * k + 128;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int SelectFiltered(ReadOnlySpan<T> row, int k, Span<int> selected, Scratch scratch)
    {
        int lanes = TSimd.Lanes;
        ref T source = ref MemoryMarshal.GetReference(row);
        Span<T> values = scratch.Values;
        Span<int> indices = scratch.Indices;

        int groups = GroupsFor(k);
        GroupMaxima(ref source, row.Length, groups, ref scratch.Keys[0]);
        T bound = OrderedKey.Value<T, TKey>(KthLargest<T, TKey, TV, TK, TSimd>.Find(scratch.Keys, groups, k));
        TV bounds = TSimd.Splat(bound);

        int count = 0, full = CapacityFor(k) - lanes;
        int i = 0;
        for (; i <= row.Length - lanes; i += lanes)
        {
            ulong hits = TSimd.NotBelow(TSimd.Load(ref source, i), bounds);
            if (hits == 0)
                continue;
            do
            {
                int index = i + BitOperations.TrailingZeroCount(hits);
                T x = row[index];
                if (T.IsNaN(x))
                    return index;
                values[count] = x;
                indices[count++] = index;
                hits &= hits - 1;
            }
            while (hits != 0);
            if (count > full)
            {
                bound = T.BitIncrement(KeepHighest(values, indices, count, k, indices, scratch.Keys));
                bounds = TSimd.Splat(bound);
                count = k;
            }
        }
        for (; i < row.Length; i++)
        {
            T x = row[i];
            if (T.IsNaN(x))
                return i;
            if (x < bound)
                continue;
            values[count] = x;
            indices[count++] = i;
        }
        KeepHighest(values, indices, count, k, selected, scratch.Keys);
        return NoNaN;
    }

    /// <summary>
    /// Key of the maximum of each group; group g has the entries g, g + groups, g + 2 groups, ... (a last incomplete
    /// round is left out, which only lowers the bound). A NaN may spoil a maximum; the second pass finds it.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void GroupMaxima(ref T row, int length, int groups, ref TKey maxima)
    {
        int lanes = TSimd.Lanes;
        for (int g = 0; g < groups; g += Tile * lanes)
        {
            TV m0 = TSimd.Load(ref row, g), m1 = TSimd.Load(ref row, g + lanes);
            TV m2 = TSimd.Load(ref row, g + 2 * lanes), m3 = TSimd.Load(ref row, g + 3 * lanes);
            TV m4 = TSimd.Load(ref row, g + 4 * lanes), m5 = TSimd.Load(ref row, g + 5 * lanes);
            TV m6 = TSimd.Load(ref row, g + 6 * lanes), m7 = TSimd.Load(ref row, g + 7 * lanes);
            for (int i = g + groups; i <= length - groups + g; i += groups)
            {
                m0 = TSimd.Max(m0, TSimd.Load(ref row, i));
                m1 = TSimd.Max(m1, TSimd.Load(ref row, i + lanes));
                m2 = TSimd.Max(m2, TSimd.Load(ref row, i + 2 * lanes));
                m3 = TSimd.Max(m3, TSimd.Load(ref row, i + 3 * lanes));
                m4 = TSimd.Max(m4, TSimd.Load(ref row, i + 4 * lanes));
                m5 = TSimd.Max(m5, TSimd.Load(ref row, i + 5 * lanes));
                m6 = TSimd.Max(m6, TSimd.Load(ref row, i + 6 * lanes));
                m7 = TSimd.Max(m7, TSimd.Load(ref row, i + 7 * lanes));
            }
            TSimd.StoreKeys(TSimd.Keys(m0), ref maxima, g);
            TSimd.StoreKeys(TSimd.Keys(m1), ref maxima, g + lanes);
            TSimd.StoreKeys(TSimd.Keys(m2), ref maxima, g + 2 * lanes);
            TSimd.StoreKeys(TSimd.Keys(m3), ref maxima, g + 3 * lanes);
            TSimd.StoreKeys(TSimd.Keys(m4), ref maxima, g + 4 * lanes);
            TSimd.StoreKeys(TSimd.Keys(m5), ref maxima, g + 5 * lanes);
            TSimd.StoreKeys(TSimd.Keys(m6), ref maxima, g + 6 * lanes);
            TSimd.StoreKeys(TSimd.Keys(m7), ref maxima, g + 7 * lanes);
        }
    }

    /// <summary>
    /// Moves the k highest of the buffer to its front, keeping their order, and writes their indices to
    /// <paramref name="kept"/> (which may be <paramref name="indices"/>). Returns the k-th largest value.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static T KeepHighest(Span<T> values, Span<int> indices, int count, int k, Span<int> kept, Span<TKey> keys)
    {
        ToKeys(values[..count], keys);
        T kth = OrderedKey.Value<T, TKey>(KthLargest<T, TKey, TV, TK, TSimd>.Find(keys, count, k));
        int ties = k;
        for (int i = 0; i < count; i++)
            ties -= values[i] > kth ? 1 : 0;

        int position = 0;
        for (int i = 0; position < k; i++)
        {
            T x = values[i];
            int tie = x == kth & ties > 0 ? 1 : 0;
            values[position] = x;
            kept[position] = indices[i];
            position += tie | (x > kth ? 1 : 0);
            ties -= tie;
        }
        return kth;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int SelectDirect(ReadOnlySpan<T> row, int k, Span<int> selected, Scratch scratch)
    {
        int nan = FirstNaN(row);
        if (nan != NoNaN)
            return nan;
        ToKeys(row, scratch.Keys);
        T kth = OrderedKey.Value<T, TKey>(KthLargest<T, TKey, TV, TK, TSimd>.Find(scratch.Keys, row.Length, k));
        int ties = k;
        foreach (T x in row)
            ties -= x > kth ? 1 : 0;

        int position = 0;
        for (int i = 0; position < k; i++)
        {
            T x = row[i];
            int tie = x == kth & ties > 0 ? 1 : 0;
            selected[position] = i;
            position += tie | (x > kth ? 1 : 0);
            ties -= tie;
        }
        return NoNaN;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ToKeys(ReadOnlySpan<T> values, Span<TKey> keys)
    {
        int lanes = TSimd.Lanes, i = 0;
        ref T source = ref MemoryMarshal.GetReference(values);
        ref TKey target = ref MemoryMarshal.GetReference(keys);
        for (; i <= values.Length - lanes; i += lanes)
            TSimd.StoreKeys(TSimd.Keys(TSimd.Load(ref source, i)), ref target, i);
        for (; i < values.Length; i++)
            keys[i] = OrderedKey.Of<T, TKey>(values[i]);
    }

    private sealed class Scratch : IScratch
    {
        private readonly TKey[] _keys;
        private readonly T[] _values;
        private readonly int[] _indices;

        /// <param name="direct">Longest row whose k-th largest is found among all keys; 0 where there is none.</param>
        /// <param name="filtered">Largest k that is found by filtering; 0 where there is none.</param>
        internal Scratch(int direct, int filtered)
        {
            int capacity = filtered > 0 ? CapacityFor(filtered) + TSimd.Lanes : 0;
            int keys = filtered > 0 ? Math.Max(direct, Math.Max(GroupsFor(filtered), capacity)) : direct;
            _keys = ArrayPool<TKey>.Shared.Rent(keys + TSimd.Lanes);
            _values = ArrayPool<T>.Shared.Rent(capacity);
            _indices = ArrayPool<int>.Shared.Rent(capacity);
        }

        internal Span<TKey> Keys => _keys;

        internal Span<T> Values => _values;

        internal Span<int> Indices => _indices;

        public void Dispose()
        {
            ArrayPool<TKey>.Shared.Return(_keys);
            ArrayPool<T>.Shared.Return(_values);
            ArrayPool<int>.Shared.Return(_indices);
        }
    }
}
