namespace Sparseland.Kernels;

/// <summary>Whole numbers of 2 to 8 bits one behind the other, the lowest bits first: two numbers of 4 bits are a byte, the first in its lower half.</summary>
internal static class BitPacking
{
    /// <summary>Bytes of some numbers.</summary>
    public static long Length(long count, int bits) => ((count * bits) + 7) / 8;

    public static byte[] Pack(ReadOnlySpan<byte> numbers, int bits)
    {
        byte[] packed = new byte[Length(numbers.Length, bits)];
        for (int i = 0; i < numbers.Length; i++)
        {
            long bit = (long)i * bits;
            int shifted = numbers[i] << (int)(bit % 8);
            packed[bit / 8] |= (byte)shifted;
            if (shifted > byte.MaxValue) packed[(bit / 8) + 1] |= (byte)(shifted >> 8);
        }

        return packed;
    }

    public static byte[] Unpack(ReadOnlySpan<byte> packed, int count, int bits)
    {
        byte[] numbers = new byte[count];
        for (int i = 0; i < count; i++) numbers[i] = (byte)At(packed, i, bits);
        return numbers;
    }

    /// <summary>One of the numbers.</summary>
    public static int At(ReadOnlySpan<byte> packed, long index, int bits)
    {
        long bit = index * bits;
        int at = (int)(bit / 8), shift = (int)(bit % 8), word = packed[at];
        if (shift + bits > 8) word |= packed[at + 1] << 8;
        return (word >> shift) & ((1 << bits) - 1);
    }
}
