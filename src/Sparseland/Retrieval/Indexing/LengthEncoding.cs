using System.Numerics;

namespace Sparseland.Retrieval.Indexing;

/// <summary>How precisely BM25 knows a document's length. Lucene keeps one byte a document, so equal settings elsewhere still differ from it.</summary>
public enum LengthEncoding
{
    /// <summary>The length itself.</summary>
    Exact,

    /// <summary>Lucene from 7 on: exact up to 40, then four significant bits, rounded down (100 is 96).</summary>
    Lucene7,

    /// <summary>Lucene up to 6 and Lucene.NET 4.8: 1/sqrt(length) in eight bits, three of them mantissa (2 is 2.56, 100 is 113.78).</summary>
    Lucene48,
}

/// <summary>Lengths as the encodings give them back (Lucene's SmallFloat).</summary>
public static class LossyLengths
{
    // Values below 24 stand for themselves: what the four-bit code leaves free of 256.
    private const int Free = 24;

    /// <summary>A length after encoding and decoding.</summary>
    /// <param name="length">Terms of a document, at least 0.</param>
    /// <param name="encoding">The encoding.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative length or an unknown encoding.</exception>
    public static double Decode(int length, LengthEncoding encoding)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        return encoding switch
        {
            LengthEncoding.Exact => length,
            LengthEncoding.Lucene7 => length < Free ? length : Free + FourBits(length - Free),
            LengthEncoding.Lucene48 => length == 0 ? 0 : EightBitRoot(length),
            _ => throw new ArgumentOutOfRangeException(nameof(encoding), encoding, "Not one of the encodings."),
        };
    }

    private static int FourBits(int value)
    {
        int shift = Math.Max(0, 32 - BitOperations.LeadingZeroCount((uint)value) - 4);
        return value >> shift << shift;
    }

    private static float EightBitRoot(int length)
    {
        const int Zero = (63 - 15) << 3;
        int small = BitConverter.SingleToInt32Bits((float)(1 / Math.Sqrt(length))) >> (24 - 3);
        small = Math.Clamp(small, Zero + 1, Zero + 255);
        float root = BitConverter.Int32BitsToSingle(small << (24 - 3));
        return 1 / (root * root);
    }
}
