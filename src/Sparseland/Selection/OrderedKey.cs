using System.Numerics;
using System.Runtime.CompilerServices;

namespace Sparseland.Selection;

/// <summary>
/// Signed integers in the order of the floating-point numbers they come from: x &lt; y exactly when key(x) &lt; key(y),
/// and key(-0.0) = key(0.0). NaN has no key; callers refuse it before.
/// </summary>
internal static class OrderedKey
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TKey Of<T, TKey>(T x)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where TKey : unmanaged, IBinaryInteger<TKey>, IMinMaxValue<TKey>
    {
        // Adding 0.0 turns -0.0 into 0.0. Negative numbers grow in magnitude as their bits grow: those bits are inverted.
        TKey bits = Unsafe.BitCast<T, TKey>(x + T.Zero);
        return TKey.IsNegative(bits) ? bits ^ TKey.MaxValue : bits;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static T Value<T, TKey>(TKey key)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where TKey : unmanaged, IBinaryInteger<TKey>, IMinMaxValue<TKey> =>
        Unsafe.BitCast<TKey, T>(TKey.IsNegative(key) ? key ^ TKey.MaxValue : key);
}
