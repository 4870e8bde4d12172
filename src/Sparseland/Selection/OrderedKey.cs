using System.Numerics;
using System.Runtime.CompilerServices;

namespace Sparseland.Selection;

/// <summary>
/// Signed integers in the order of the floating-point numbers they come from: x &lt; y implies key(x) &lt; key(y). Only
/// -0.0 and 0.0, which are equal, have two keys; so a k-th largest key gives the k-th largest number, but ties must be
/// told from the numbers. NaN has no place in the order; callers refuse it.
/// </summary>
internal static class OrderedKey
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TKey Of<T, TKey>(T x)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where TKey : unmanaged, IBinaryInteger<TKey>, IMinMaxValue<TKey>
    {
        // The bits of negative numbers grow with the magnitude: all but the sign are inverted.
        TKey bits = Unsafe.BitCast<T, TKey>(x);
        return TKey.IsNegative(bits) ? bits ^ TKey.MaxValue : bits;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static T Value<T, TKey>(TKey key)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where TKey : unmanaged, IBinaryInteger<TKey>, IMinMaxValue<TKey> =>
        Unsafe.BitCast<TKey, T>(TKey.IsNegative(key) ? key ^ TKey.MaxValue : key);
}
