using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Kernels;

/// <summary>Values of 16 bits: float32 rounded to float16 or bfloat16 (to the nearest, ties to even) and back, sixteen at a time by integer arithmetic.</summary>
internal static unsafe class HalfValues
{
    private const int Lanes = 16;

    /// <summary>The bits of a value.</summary>
    public static ushort Pack(float value, StoredValue kind)
    {
        if (kind == StoredValue.Half) return BitConverter.HalfToUInt16Bits((Half)value);
        uint bits = BitConverter.SingleToUInt32Bits(value);
        if (float.IsNaN(value)) return (ushort)((bits >> 16) | 0x40);
        return (ushort)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }

    /// <summary>The value of some bits.</summary>
    public static float Unpack(ushort bits, StoredValue kind) =>
        kind == StoredValue.Half ? (float)BitConverter.UInt16BitsToHalf(bits) : BitConverter.UInt32BitsToSingle((uint)bits << 16);

    /// <summary>Many values; both arrays have room for a multiple of sixteen.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Unpack(ushort* bits, float* values, int count, StoredValue kind)
    {
        if (!Vector512.IsHardwareAccelerated)
        {
            for (int i = 0; i < count; i++) values[i] = Unpack(bits[i], kind);
            return;
        }

        for (int i = 0; i < count; i += Lanes)
        {
            (Vector256<uint> low, Vector256<uint> high) = Vector256.Widen(Vector256.Load(bits + i));
            Vector512<uint> wide = Vector512.Create(low, high);
            (kind == StoredValue.Half ? FromHalf(wide) : (wide << 16).AsSingle()).Store(values + i);
        }
    }

    /// <summary>float16 in the low halves of the lanes; the high halves are zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> FromHalf(Vector512<uint> half)
    {
        // The exponent's bias grows from 15 to 127; all ones stay all ones, and numbers below 2^-14 are made normal by a subtraction.
        Vector512<uint> size = (half & Vector512.Create(0x7fffu)) << 13, exponent = size & Vector512.Create(0x0f800000u);
        Vector512<uint> normal = size + Vector512.Create(112u << 23);
        normal += Vector512.Equals(exponent, Vector512.Create(0x0f800000u)) & Vector512.Create(112u << 23);
        Vector512<float> small = (size + Vector512.Create(113u << 23)).AsSingle() - Vector512.Create(113u << 23).AsSingle();
        Vector512<uint> value = Vector512.ConditionalSelect(Vector512.Equals(exponent, Vector512<uint>.Zero), small.AsUInt32(), normal);
        return (value | ((half & Vector512.Create(0x8000u)) << 16)).AsSingle();
    }
}
