using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Retrieval.Indexing;

/// <summary>
/// Codes of postings. A full block holds 128 gaps and 128 values, each packed at the width of its largest one, in four lanes (posting i stands
/// in lane i mod 4), so that a vector unpacks four at a time: the layout of SIMD-BP128 (Lemire and Boytsov 2015). The rest of a list is
/// variable bytes. Values are whole numbers from 1 or floats; a float stands as it is.
/// </summary>
internal static class PostingBlocks
{
    /// <summary>Postings of a full block.</summary>
    internal const int Size = 128;

    private const int Rows = Size / 4;

    /// <summary>Largest whole value: floats hold every whole number up to it.</summary>
    internal const int LargestValue = 1 << 24;

    /// <summary>Writes one block.</summary>
    /// <param name="documents">Ascending, at most 128.</param>
    /// <param name="values">One each.</param>
    /// <param name="before">Last document before them, or -1.</param>
    /// <param name="floats">Whether values stand as floats.</param>
    /// <param name="to">The list so far.</param>
    internal static void Write(ReadOnlySpan<int> documents, ReadOnlySpan<float> values, int before, bool floats, ByteList to)
    {
        Span<uint> numbers = stackalloc uint[documents.Length];
        for (int i = 0; i < documents.Length; i++)
        {
            numbers[i] = (uint)(documents[i] - before - 1);
            before = documents[i];
        }

        WriteNumbers(numbers, to);
        if (floats)
        {
            MemoryMarshal.AsBytes(values).CopyTo(to.Take(values.Length * sizeof(float)));
            return;
        }

        for (int i = 0; i < values.Length; i++) numbers[i] = (uint)values[i] - 1;
        WriteNumbers(numbers, to);
    }

    private static void WriteNumbers(ReadOnlySpan<uint> numbers, ByteList to)
    {
        if (numbers.Length < Size)
        {
            foreach (uint number in numbers)
            {
                uint rest = number;
                for (; rest >= 0x80; rest >>= 7) to.Add((byte)(rest | 0x80));
                to.Add((byte)rest);
            }

            return;
        }

        uint all = 0;
        foreach (uint number in numbers) all |= number;
        int width = 32 - BitOperations.LeadingZeroCount(all);
        to.Add((byte)width);
        Span<uint> packed = stackalloc uint[4 * width];
        packed.Clear();
        for (int i = 0; i < Size; i++)
        {
            int bit = (i >> 2) * width, word = 4 * (bit >> 5) + (i & 3), shift = bit & 31;
            if (width == 0) break;
            packed[word] |= numbers[i] << shift;
            if (shift + width > 32) packed[word + 4] |= numbers[i] >> (32 - shift);
        }

        MemoryMarshal.AsBytes(packed).CopyTo(to.Take(packed.Length * sizeof(uint)));
    }

    /// <summary>Reads the documents of a block.</summary>
    /// <param name="block">Bytes from its start.</param>
    /// <param name="count">Its postings.</param>
    /// <param name="before">Last document before them, or -1.</param>
    /// <param name="documents">Takes them; room for 128.</param>
    /// <returns>Bytes read: its values follow.</returns>
    internal static int ReadDocuments(ReadOnlySpan<byte> block, int count, int before, int[] documents)
    {
        if (count < Size)
        {
            int at = 0;
            for (int i = 0; i < count; i++) documents[i] = before += (int)Variable(block, ref at) + 1;
            return at;
        }

        int width = block[0];
        ref int to = ref MemoryMarshal.GetArrayDataReference(documents);
        Unpack(block.Slice(1, 16 * width), width, ref Unsafe.As<int, uint>(ref to));
        Vector128<int> last = Vector128.Create(before), one = Vector128<int>.One;
        for (int row = 0; row < Rows; row++)
        {
            ref int place = ref Unsafe.Add(ref to, 4 * row);
            Vector128<int> sum = Vector128.LoadUnsafe(ref place) + one;
            sum += Vector128.Shuffle(sum, Vector128.Create(-1, 0, 1, 2));
            sum += Vector128.Shuffle(sum, Vector128.Create(-1, -1, 0, 1));
            sum += last;
            sum.StoreUnsafe(ref place);
            last = Vector128.Shuffle(sum, Vector128.Create(3));
        }

        return 1 + (16 * width);
    }

    /// <summary>Reads the values of a block.</summary>
    /// <param name="block">Bytes from where the documents end.</param>
    /// <param name="count">Its postings.</param>
    /// <param name="floats">Whether values stand as floats.</param>
    /// <param name="values">Takes them; room for 128.</param>
    internal static void ReadValues(ReadOnlySpan<byte> block, int count, bool floats, float[] values)
    {
        if (floats)
        {
            MemoryMarshal.Cast<byte, float>(block[..(count * sizeof(float))]).CopyTo(values);
            return;
        }

        if (count < Size)
        {
            int at = 0;
            for (int i = 0; i < count; i++) values[i] = Variable(block, ref at) + 1;
            return;
        }

        int width = block[0];
        ref float to = ref MemoryMarshal.GetArrayDataReference(values);
        if (width == 0)
        {
            Array.Fill(values, 1);
            return;
        }

        Unpack(block.Slice(1, 16 * width), width, ref Unsafe.As<float, uint>(ref to));
        for (int i = 0; i < Size; i += Vector256<int>.Count)
        {
            ref float place = ref Unsafe.Add(ref to, i);
            Vector256.ConvertToSingle(Vector256.LoadUnsafe(ref Unsafe.As<float, int>(ref place)) + Vector256<int>.One).StoreUnsafe(ref place);
        }
    }

    private static void Unpack(ReadOnlySpan<byte> packed, int width, ref uint to)
    {
        if (width is 0 or > 32)
        {
            if (width > 32) throw new InvalidDataException($"A block of postings has numbers of {width} bits; they have at most 32.");
            MemoryMarshal.CreateSpan(ref to, Size).Clear();
            return;
        }

        ref uint from = ref Unsafe.As<byte, uint>(ref MemoryMarshal.GetReference(packed));
        Vector128<uint> mask = Vector128.Create(uint.MaxValue >> (32 - width)), word = Vector128.LoadUnsafe(ref from);
        int shift = 0;
        for (int row = 0; row < Rows; row++)
        {
            Vector128<uint> value = word >>> shift;
            shift += width;
            if (shift >= 32)
            {
                shift -= 32;
                if (row < Rows - 1)
                {
                    from = ref Unsafe.Add(ref from, 4);
                    word = Vector128.LoadUnsafe(ref from);
                }

                if (shift > 0) value |= word << (width - shift);
            }

            (value & mask).StoreUnsafe(ref Unsafe.Add(ref to, 4 * row));
        }
    }

    private static uint Variable(ReadOnlySpan<byte> bytes, ref int at)
    {
        uint value = bytes[at++];
        if (value < 0x80) return value;
        value &= 0x7F;
        for (int shift = 7; ; shift += 7)
        {
            uint next = bytes[at++];
            value |= (next & 0x7F) << shift;
            if (next < 0x80) return value;
        }
    }
}
