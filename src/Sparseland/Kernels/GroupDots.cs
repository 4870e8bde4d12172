using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Sparseland.Kernels;

/// <summary>
/// sum over groups of s (sum_k q_k x_k - z sum_k x_k) for integers of four bits in groups of a multiple of 16. Eight groups at a time: their scales are widened from
/// float16, and the part with z is one gather of the sums of x; then each group is one word that shifts spread over the lanes.
/// </summary>
internal static unsafe class GroupDots
{
    /// <summary>Integers of one word.</summary>
    public const int Lanes = 16;

    private const int Together = 8;

    /// <summary>Arrays of a matrix.</summary>
    public readonly struct Parts(ushort* groups, byte* integers, ushort* scales, byte* zeros, int size)
    {
        public readonly ushort* Groups = groups;
        public readonly byte* Integers = integers;
        public readonly ushort* Scales = scales;
        public readonly byte* Zeros = zeros;
        public readonly int Size = size;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Wide(in Parts parts, float* x, float* sums, int from, int to)
    {
        ushort* groups = parts.Groups;
        byte* integers = parts.Integers;
        int size = parts.Size;
        Vector512<uint> shifts = Vector512.Create(0u, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
        Vector512<uint> halves = Vector512.Create(0u, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
        Vector512<float> a = default, b = default;
        Vector256<float> shift = default;
        float rest = 0;
        float* s = stackalloc float[Together];
        int g = from;
        for (; g + Together <= to; g += Together)
        {
            shift = Shifts(parts, sums, g, s, shift);
            for (int k = 0; k < Together; k += 2)
            {
                a = Add16s(integers + ((long)(g + k) * size / 2), x + (groups[g + k] * size), size, s[k], shifts, halves, a);
                b = Add16s(integers + ((long)(g + k + 1) * size / 2), x + (groups[g + k + 1] * size), size, s[k + 1], shifts, halves, b);
            }
        }

        for (; g < to; g++)
        {
            (float scale, float zero) = One(parts, g);
            rest = MathF.FusedMultiplyAdd(scale * zero, sums[groups[g]], rest);
            a = Add16s(integers + ((long)g * size / 2), x + (groups[g] * size), size, scale, shifts, halves, a);
        }

        return Vector512.Sum(a + b) - (Vector256.Sum(shift) + rest);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Narrow(in Parts parts, float* x, float* sums, int from, int to)
    {
        ushort* groups = parts.Groups;
        byte* integers = parts.Integers;
        int size = parts.Size;
        Vector256<float> a = default, b = default, shift = default;
        float rest = 0;
        float* s = stackalloc float[Together];
        int g = from;
        for (; g + Together <= to; g += Together)
        {
            shift = Shifts(parts, sums, g, s, shift);
            for (int k = 0; k < Together; k++) Add8s(integers + ((long)(g + k) * size / 2), x + (groups[g + k] * size), size, s[k], ref a, ref b);
        }

        for (; g < to; g++)
        {
            (float scale, float zero) = One(parts, g);
            rest = MathF.FusedMultiplyAdd(scale * zero, sums[groups[g]], rest);
            Add8s(integers + ((long)g * size / 2), x + (groups[g] * size), size, scale, ref a, ref b);
        }

        return Vector256.Sum(a + b) - (Vector256.Sum(shift) + rest);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Add16s(byte* integers, float* x, int size, float scale, Vector512<uint> shifts, Vector512<uint> halves, Vector512<float> sum)
    {
        Vector512<float> s = Vector512.Create(scale);
        for (int i = 0; i < size; i += Lanes)
        {
            Vector512<uint> both = Avx512F.PermuteVar16x32(Vector512.Create(*(ulong*)(integers + (i / 2))).AsUInt32(), halves);
            Vector512<uint> q = Avx512F.ShiftRightLogicalVariable(both, shifts) & Vector512.Create(15u);
            sum = Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(q.AsInt32()) * s, Vector512.Load(x + i), sum);
        }

        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add8s(byte* integers, float* x, int size, float scale, ref Vector256<float> a, ref Vector256<float> b)
    {
        Vector256<float> s = Vector256.Create(scale);
        Vector256<uint> shifts = Vector256.Create(0u, 4, 8, 12, 16, 20, 24, 28), four = Vector256.Create(15u);
        for (int i = 0; i < size; i += Lanes)
        {
            uint* words = (uint*)(integers + (i / 2));
            Vector256<uint> low = Avx2.ShiftRightLogicalVariable(Vector256.Create(words[0]), shifts) & four, high = Avx2.ShiftRightLogicalVariable(Vector256.Create(words[1]), shifts) & four;
            a = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(low.AsInt32()) * s, Vector256.Load(x + i), a);
            b = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(high.AsInt32()) * s, Vector256.Load(x + i + 8), b);
        }
    }

    /// <summary>Scales of eight groups, widened, and s z sum(x) of them added to a running sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Shifts(in Parts parts, float* sums, int g, float* scales, Vector256<float> sum)
    {
        // A float16 above zero is a float32 with its bits 13 higher and an exponent that is 112 too small: exact, below the normal numbers as well.
        Vector256<int> bits = Vector256.ShiftLeft(Avx2.ConvertToVector256Int32(parts.Scales + g), 13);
        Vector256<float> s = bits.AsSingle() * Vector256.Create(5.192296858534828e33f);
        s.Store(scales);
        uint eight = (uint)(*(ulong*)(parts.Zeros + (g / 2)) >> (4 * (g % 2)));
        Vector256<uint> z = Avx2.ShiftRightLogicalVariable(Vector256.Create(eight), Vector256.Create(0u, 4, 8, 12, 16, 20, 24, 28)) & Vector256.Create(15u);
        return Vector256.FusedMultiplyAdd(s * Vector256.ConvertToSingle(z.AsInt32()), Avx2.GatherVector256(sums, SparseDots.Places8(parts.Groups + g), sizeof(float)), sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (float Scale, float Zero) One(in Parts parts, int g) => ((float)BitConverter.UInt16BitsToHalf(parts.Scales[g]), (parts.Zeros[g / 2] >> (4 * (g % 2))) & 15);
}
