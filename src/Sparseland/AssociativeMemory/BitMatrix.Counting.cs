using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Sparseland.AssociativeMemory;

public sealed partial class BitMatrix
{
    /// <summary>Counters of up to 31 bits: an int counts the rows.</summary>
    private const int MaxPlanes = 31;

    /// <summary>Entry b holds bit i of b as byte i: eight counters of one byte from eight bits.</summary>
    private static readonly ulong[] Spread = MakeSpread();

    private static ulong[] MakeSpread()
    {
        var table = new ulong[256];
        for (int b = 0; b < 256; b++)
        {
            for (int i = 0; i < 8; i++) table[b] |= (ulong)((b >> i) & 1) << (8 * i);
        }

        return table;
    }

    private void CountVector(ReadOnlySpan<int> rows, Span<int> counts)
    {
        int planes = BitOperations.Log2((uint)rows.Length) + 1;
        int width = Vector<ulong>.Count;
        Span<Vector<ulong>> plane = stackalloc Vector<ulong>[MaxPlanes + 1];
        ref ulong start = ref MemoryMarshal.GetArrayDataReference(words);
        for (int at = 0; at < Stride && at * WordBits < counts.Length; at += width)
        {
            Add(rows, ref start, at, plane, planes);
            for (int lane = 0; lane < width && (at + lane) * WordBits < counts.Length; lane++)
            {
                Span<int> target = counts[((at + lane) * WordBits)..];
                Unpack(plane, planes, lane, target[..Math.Min(WordBits, target.Length)]);
            }
        }
    }

    /// <summary>
    /// Eight rows at a time by the tree of full adders of Harley and Seal: seven adders instead of eight ripples. Only the carry of
    /// weight eight then ripples upward.
    /// </summary>
    private void Add(ReadOnlySpan<int> rows, ref ulong start, int at, Span<Vector<ulong>> plane, int planes)
    {
        plane[..(planes + 1)].Clear();
        Vector<ulong> ones = default, twos = default, fours = default;
        int i = 0;
        for (; i + 8 <= rows.Length; i += 8)
        {
            Vector<ulong> twosA = FullAdd(ref ones, Load(ref start, rows[i], at), Load(ref start, rows[i + 1], at));
            Vector<ulong> twosB = FullAdd(ref ones, Load(ref start, rows[i + 2], at), Load(ref start, rows[i + 3], at));
            Vector<ulong> foursA = FullAdd(ref twos, twosA, twosB);
            twosA = FullAdd(ref ones, Load(ref start, rows[i + 4], at), Load(ref start, rows[i + 5], at));
            twosB = FullAdd(ref ones, Load(ref start, rows[i + 6], at), Load(ref start, rows[i + 7], at));
            Vector<ulong> foursB = FullAdd(ref twos, twosA, twosB);
            Ripple(plane, 3, FullAdd(ref fours, foursA, foursB));
        }

        // With fewer than eight rows the upper of these planes stay 0 and are never read.
        (plane[0], plane[1], plane[2]) = (ones, twos, fours);
        for (; i < rows.Length; i++) Ripple(plane, 0, Load(ref start, rows[i], at));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector<ulong> Load(ref ulong start, int row, int at) => Vector.LoadUnsafe(ref start, (nuint)(((long)row * Stride) + at));

    /// <summary>sum + a + b: the sum's low bit stays in place, the carry is returned.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<ulong> FullAdd(ref Vector<ulong> sum, Vector<ulong> a, Vector<ulong> b)
    {
        Vector<ulong> half = sum ^ a, carry = (sum & a) | (half & b);
        sum = half ^ b;
        return carry;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Ripple(Span<Vector<ulong>> plane, int from, Vector<ulong> carry)
    {
        for (int p = from; carry != Vector<ulong>.Zero; p++)
        {
            Vector<ulong> next = plane[p] & carry;
            plane[p] ^= carry;
            carry = next;
        }
    }

    /// <summary>Turns the planes of one word into integers: eight columns at a time in the bytes of one word.</summary>
    private static void Unpack(Span<Vector<ulong>> plane, int planes, int lane, Span<int> counts)
    {
        Span<ulong> bits = stackalloc ulong[MaxPlanes];
        for (int p = 0; p < planes; p++) bits[p] = plane[p][lane];
        for (int column = 0; column < counts.Length; column += 8)
        {
            Vector256<int> sum = Widen(Bytes(bits, 0, Math.Min(planes, 8), column));
            for (int p = 8; p < planes; p += 8)
                sum += Vector256.ShiftLeft(Widen(Bytes(bits, p, Math.Min(planes - p, 8), column)), p);
            if (column + 8 <= counts.Length)
            {
                sum.StoreUnsafe(ref counts[column]);
            }
            else
            {
                for (int i = column; i < counts.Length; i++) counts[i] = sum[i - column];
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Bytes(ReadOnlySpan<ulong> bits, int from, int count, int column)
    {
        ref ulong table = ref MemoryMarshal.GetArrayDataReference(Spread);
        ulong sum = 0;
        for (int p = 0; p < count; p++) sum += Unsafe.Add(ref table, (int)((bits[from + p] >> column) & 0xFF)) << p;
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Widen(ulong bytes)
    {
        Vector128<ushort> half = Vector128.WidenLower(Vector128.CreateScalar(bytes).AsByte());
        return Vector256.Create(Vector128.WidenLower(half), Vector128.WidenUpper(half)).AsInt32();
    }
}
