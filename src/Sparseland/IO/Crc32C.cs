using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Sparseland.IO;

/// <summary>
/// CRC-32C (Castagnoli), the checksum of iSCSI and ext4: reflected, started and ended with all ones; "123456789" gives E3069283. The
/// processor's own instruction where there is one, three streams at a time, because one waits for itself.
/// </summary>
internal static class Crc32C
{
    /// <summary>x^1 in the reflected order, where the highest bit is x^0.</summary>
    private const uint X = 1u << 30;
    private const uint Polynomial = 0x82F63B78;
    private const int Lane = 16 * 1024;

    private static readonly uint s_lane = Power(Lane);

    /// <summary>The checksum of some bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static uint Of(ReadOnlySpan<byte> bytes)
    {
        uint state = uint.MaxValue;
        for (; bytes.Length >= 3 * Lane; bytes = bytes[(3 * Lane)..])
        {
            ReadOnlySpan<ulong> a = MemoryMarshal.Cast<byte, ulong>(bytes[..Lane]), b = MemoryMarshal.Cast<byte, ulong>(bytes[Lane..(2 * Lane)]),
                c = MemoryMarshal.Cast<byte, ulong>(bytes[(2 * Lane)..(3 * Lane)]);
            uint second = 0, third = 0;
            for (int i = 0; i < a.Length; i++)
            {
                state = BitOperations.Crc32C(state, a[i]);
                second = BitOperations.Crc32C(second, b[i]);
                third = BitOperations.Crc32C(third, c[i]);
            }

            state = Multiply(Multiply(state, s_lane) ^ second, s_lane) ^ third;
        }

        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (ulong word in words) state = BitOperations.Crc32C(state, word);
        foreach (byte value in bytes[(words.Length * sizeof(ulong))..]) state = BitOperations.Crc32C(state, value);
        return ~state;
    }

    /// <summary>The checksum of two stretches from the checksums of each.</summary>
    /// <param name="first">Of the first.</param>
    /// <param name="second">Of the second.</param>
    /// <param name="shift"><see cref="Power"/> of the second's length.</param>
    internal static uint Combine(uint first, uint second, uint shift) => Multiply(first, shift) ^ second;

    /// <summary>x^(8 bytes) modulo the polynomial: what a stretch of that length does to a checksum before it.</summary>
    internal static uint Power(long bytes)
    {
        uint power = 1u << 31, square = X;
        for (ulong bits = 8 * (ulong)bytes; bits != 0; bits >>= 1)
        {
            if ((bits & 1) != 0) power = Multiply(power, square);
            square = Multiply(square, square);
        }

        return power;
    }

    private static uint Multiply(uint a, uint b)
    {
        uint product = 0;
        for (; a != 0; a <<= 1)
        {
            if ((a & (1u << 31)) != 0) product ^= b;
            b = (b >> 1) ^ ((b & 1) * Polynomial);
        }

        return product;
    }
}
