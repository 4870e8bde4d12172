using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Selection;

/// <summary>How many lanes the selection kernels use at a time. Tests force each; results never differ.</summary>
internal enum SimdWidth
{
    Scalar,
    V128,
    V256,
    V512,
}

/// <summary>The vector operations that selection needs, so that one algorithm serves every width and both precisions.</summary>
/// <typeparam name="T">float or double.</typeparam>
/// <typeparam name="TKey">int for float, long for double.</typeparam>
/// <typeparam name="TV">Vector of scores.</typeparam>
/// <typeparam name="TK">Vector of keys.</typeparam>
internal interface ISimd<T, TKey, TV, TK>
    where T : unmanaged
    where TKey : unmanaged
{
    static abstract int Lanes { get; }

    static abstract TV Load(ref T source, int offset);

    static abstract TV Splat(T value);

    /// <summary>Lane-wise maximum; a lane that meets a NaN may hold anything afterwards.</summary>
    static abstract TV Max(TV a, TV b);

    /// <summary>Bit i is set unless x[i] &lt; bound[i]: a NaN is let through, so that the caller sees it.</summary>
    static abstract ulong NotBelow(TV x, TV bound);

    static abstract ulong NaNs(TV x);

    /// <summary>See <see cref="OrderedKey"/>.</summary>
    static abstract TK Keys(TV x);

    static abstract TK LoadKeys(ref TKey source, int offset);

    static abstract void StoreKeys(TK keys, ref TKey target, int offset);

    static abstract TK SplatKey(TKey key);

    static abstract TK MinKeys(TK a, TK b);

    static abstract TK MaxKeys(TK a, TK b);

    static abstract int CountAtLeast(TK keys, TK bound);

    /// <summary>The keys that reach the bound, and the largest possible key in place of the others.</summary>
    static abstract TK AtLeastOrMax(TK keys, TK bound);

    static abstract TKey ReduceMin(TK keys);

    static abstract TKey ReduceMax(TK keys);
}

internal readonly struct Simd512<T, TKey> : ISimd<T, TKey, Vector512<T>, Vector512<TKey>>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where TKey : unmanaged, IBinaryInteger<TKey>, IMinMaxValue<TKey>
{
    public static int Lanes => Vector512<T>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Load(ref T source, int offset) => Vector512.LoadUnsafe(ref source, (nuint)offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Splat(T value) => Vector512.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Max(Vector512<T> a, Vector512<T> b) => Vector512.MaxNative(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong NotBelow(Vector512<T> x, Vector512<T> bound) => (~Vector512.LessThan(x, bound)).ExtractMostSignificantBits();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong NaNs(Vector512<T> x) => Vector512.IsNaN(x).ExtractMostSignificantBits();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TKey> Keys(Vector512<T> x)
    {
        Vector512<TKey> bits = x.As<T, TKey>();
        return bits ^ (Vector512.LessThan(bits, Vector512<TKey>.Zero) & Vector512.Create(TKey.MaxValue));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TKey> LoadKeys(ref TKey source, int offset) => Vector512.LoadUnsafe(ref source, (nuint)offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreKeys(Vector512<TKey> keys, ref TKey target, int offset) => keys.StoreUnsafe(ref target, (nuint)offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TKey> SplatKey(TKey key) => Vector512.Create(key);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TKey> MinKeys(Vector512<TKey> a, Vector512<TKey> b) => Vector512.Min(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TKey> MaxKeys(Vector512<TKey> a, Vector512<TKey> b) => Vector512.Max(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int CountAtLeast(Vector512<TKey> keys, Vector512<TKey> bound) =>
        BitOperations.PopCount(Vector512.GreaterThanOrEqual(keys, bound).ExtractMostSignificantBits());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TKey> AtLeastOrMax(Vector512<TKey> keys, Vector512<TKey> bound) =>
        Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(keys, bound), keys, Vector512.Create(TKey.MaxValue));

    public static TKey ReduceMin(Vector512<TKey> keys) =>
        Simd256<T, TKey>.ReduceMin(Vector256.Min(keys.GetLower(), keys.GetUpper()));

    public static TKey ReduceMax(Vector512<TKey> keys) =>
        Simd256<T, TKey>.ReduceMax(Vector256.Max(keys.GetLower(), keys.GetUpper()));
}

internal readonly struct Simd256<T, TKey> : ISimd<T, TKey, Vector256<T>, Vector256<TKey>>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where TKey : unmanaged, IBinaryInteger<TKey>, IMinMaxValue<TKey>
{
    public static int Lanes => Vector256<T>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> Load(ref T source, int offset) => Vector256.LoadUnsafe(ref source, (nuint)offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> Splat(T value) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> Max(Vector256<T> a, Vector256<T> b) => Vector256.MaxNative(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong NotBelow(Vector256<T> x, Vector256<T> bound) => (~Vector256.LessThan(x, bound)).ExtractMostSignificantBits();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong NaNs(Vector256<T> x) => Vector256.IsNaN(x).ExtractMostSignificantBits();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<TKey> Keys(Vector256<T> x)
    {
        Vector256<TKey> bits = x.As<T, TKey>();
        return bits ^ (Vector256.LessThan(bits, Vector256<TKey>.Zero) & Vector256.Create(TKey.MaxValue));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<TKey> LoadKeys(ref TKey source, int offset) => Vector256.LoadUnsafe(ref source, (nuint)offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreKeys(Vector256<TKey> keys, ref TKey target, int offset) => keys.StoreUnsafe(ref target, (nuint)offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<TKey> SplatKey(TKey key) => Vector256.Create(key);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<TKey> MinKeys(Vector256<TKey> a, Vector256<TKey> b) => Vector256.Min(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<TKey> MaxKeys(Vector256<TKey> a, Vector256<TKey> b) => Vector256.Max(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int CountAtLeast(Vector256<TKey> keys, Vector256<TKey> bound) =>
        BitOperations.PopCount(Vector256.GreaterThanOrEqual(keys, bound).ExtractMostSignificantBits());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<TKey> AtLeastOrMax(Vector256<TKey> keys, Vector256<TKey> bound) =>
        Vector256.ConditionalSelect(Vector256.GreaterThanOrEqual(keys, bound), keys, Vector256.Create(TKey.MaxValue));

    public static TKey ReduceMin(Vector256<TKey> keys) =>
        Simd128<T, TKey>.ReduceMin(Vector128.Min(keys.GetLower(), keys.GetUpper()));

    public static TKey ReduceMax(Vector256<TKey> keys) =>
        Simd128<T, TKey>.ReduceMax(Vector128.Max(keys.GetLower(), keys.GetUpper()));
}

internal readonly struct Simd128<T, TKey> : ISimd<T, TKey, Vector128<T>, Vector128<TKey>>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where TKey : unmanaged, IBinaryInteger<TKey>, IMinMaxValue<TKey>
{
    public static int Lanes => Vector128<T>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<T> Load(ref T source, int offset) => Vector128.LoadUnsafe(ref source, (nuint)offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<T> Splat(T value) => Vector128.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<T> Max(Vector128<T> a, Vector128<T> b) => Vector128.MaxNative(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong NotBelow(Vector128<T> x, Vector128<T> bound) => (~Vector128.LessThan(x, bound)).ExtractMostSignificantBits();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong NaNs(Vector128<T> x) => Vector128.IsNaN(x).ExtractMostSignificantBits();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<TKey> Keys(Vector128<T> x)
    {
        Vector128<TKey> bits = x.As<T, TKey>();
        return bits ^ (Vector128.LessThan(bits, Vector128<TKey>.Zero) & Vector128.Create(TKey.MaxValue));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<TKey> LoadKeys(ref TKey source, int offset) => Vector128.LoadUnsafe(ref source, (nuint)offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreKeys(Vector128<TKey> keys, ref TKey target, int offset) => keys.StoreUnsafe(ref target, (nuint)offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<TKey> SplatKey(TKey key) => Vector128.Create(key);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<TKey> MinKeys(Vector128<TKey> a, Vector128<TKey> b) => Vector128.Min(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<TKey> MaxKeys(Vector128<TKey> a, Vector128<TKey> b) => Vector128.Max(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int CountAtLeast(Vector128<TKey> keys, Vector128<TKey> bound) =>
        BitOperations.PopCount(Vector128.GreaterThanOrEqual(keys, bound).ExtractMostSignificantBits());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<TKey> AtLeastOrMax(Vector128<TKey> keys, Vector128<TKey> bound) =>
        Vector128.ConditionalSelect(Vector128.GreaterThanOrEqual(keys, bound), keys, Vector128.Create(TKey.MaxValue));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static TKey ReduceMin(Vector128<TKey> keys)
    {
        TKey result = keys.GetElement(0);
        for (int i = 1; i < Vector128<TKey>.Count; i++)
            result = TKey.Min(result, keys.GetElement(i));
        return result;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static TKey ReduceMax(Vector128<TKey> keys)
    {
        TKey result = keys.GetElement(0);
        for (int i = 1; i < Vector128<TKey>.Count; i++)
            result = TKey.Max(result, keys.GetElement(i));
        return result;
    }
}

/// <summary>One lane at a time: for machines without vectors, and the reference for the vector forms.</summary>
internal readonly struct SimdScalar<T, TKey> : ISimd<T, TKey, T, TKey>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where TKey : unmanaged, IBinaryInteger<TKey>, IMinMaxValue<TKey>
{
    public static int Lanes => 1;

    public static T Load(ref T source, int offset) => Unsafe.Add(ref source, offset);

    public static T Splat(T value) => value;

    public static T Max(T a, T b) => a > b ? a : b;

    public static ulong NotBelow(T x, T bound) => x < bound ? 0ul : 1ul;

    public static ulong NaNs(T x) => T.IsNaN(x) ? 1ul : 0ul;

    public static TKey Keys(T x) => OrderedKey.Of<T, TKey>(x);

    public static TKey LoadKeys(ref TKey source, int offset) => Unsafe.Add(ref source, offset);

    public static void StoreKeys(TKey keys, ref TKey target, int offset) => Unsafe.Add(ref target, offset) = keys;

    public static TKey SplatKey(TKey key) => key;

    public static TKey MinKeys(TKey a, TKey b) => TKey.Min(a, b);

    public static TKey MaxKeys(TKey a, TKey b) => TKey.Max(a, b);

    public static int CountAtLeast(TKey keys, TKey bound) => keys >= bound ? 1 : 0;

    public static TKey AtLeastOrMax(TKey keys, TKey bound) => keys >= bound ? keys : TKey.MaxValue;

    public static TKey ReduceMin(TKey keys) => keys;

    public static TKey ReduceMax(TKey keys) => keys;
}
