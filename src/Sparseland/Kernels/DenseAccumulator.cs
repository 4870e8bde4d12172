using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Sparseland.Kernels;

/// <summary>
/// A number for every column of the result, and bits for those that occur, under two more levels of bits: columns come out in order by walking the bits that are set, and what was
/// touched is cleared on the way. Gustavson's accumulator (1978) without its list and its sort.
/// </summary>
internal sealed unsafe class DenseAccumulator : RowAccumulator
{
    private readonly float* _sums;
    private readonly ulong* _bits, _middle, _top;
    private readonly int _topWords;

    public DenseAccumulator(CsrArrays b, int columns)
        : base(b)
    {
        static nuint Words(nuint n) => (n + 63) / 64;
        nuint bits = Words((nuint)columns) + 1, middle = Words(bits) + 1, top = Words(middle) + 1;
        _topWords = (int)top;
        _sums = (float*)NativeMemory.AllocZeroed((nuint)columns + 1, sizeof(float));
        _bits = (ulong*)NativeMemory.AllocZeroed(bits + middle + top, sizeof(ulong));
        _middle = _bits + bits;
        _top = _middle + middle;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override int Structure(int* rows, int n, int* columns)
    {
        ulong* bits = _bits, middle = _middle, top = _top;
        for (int k = 0; k < n; k++)
        {
            int* at = B.At + rows[k];
            for (int* c = B.Column + at[0], end = B.Column + at[1]; c < end; c++)
            {
                uint column = (uint)*c, word = column >> 6, over = word >> 6;
                ulong old = bits[word];
                bits[word] = old | (1UL << (int)(column & 63));
                if (old != 0) continue;
                middle[over] |= 1UL << (int)(word & 63);
                top[over >> 6] |= 1UL << (int)(over & 63);
            }
        }

        int count = 0;
        for (int t = 0; t < _topWords; t++)
        {
            for (ulong overs = top[t]; overs != 0; overs &= overs - 1)
            {
                int over = (t << 6) + BitOperations.TrailingZeroCount(overs);
                for (ulong words = middle[over]; words != 0; words &= words - 1)
                {
                    int word = (over << 6) + BitOperations.TrailingZeroCount(words);
                    for (ulong left = bits[word]; left != 0; left &= left - 1) columns[count++] = (word << 6) + BitOperations.TrailingZeroCount(left);
                    bits[word] = 0;
                }

                middle[over] = 0;
            }

            top[t] = 0;
        }

        return count;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Values(int* rows, float* factors, int n, int* columns, int count, float* values)
    {
        float* sums = _sums;
        for (int k = 0; k < n; k++)
        {
            float factor = factors[k];
            int from = B.At[rows[k]], to = B.At[rows[k] + 1];
            int* column = B.Column;
            float* value = B.Value;
            int j = from;
            for (; j + 4 <= to; j += 4)
            {
                // Columns of a row differ, so the four do not wait for each other.
                float* s0 = sums + column[j], s1 = sums + column[j + 1], s2 = sums + column[j + 2], s3 = sums + column[j + 3];
                float v0 = MathF.FusedMultiplyAdd(factor, value[j], *s0), v1 = MathF.FusedMultiplyAdd(factor, value[j + 1], *s1);
                float v2 = MathF.FusedMultiplyAdd(factor, value[j + 2], *s2), v3 = MathF.FusedMultiplyAdd(factor, value[j + 3], *s3);
                (*s0, *s1, *s2, *s3) = (v0, v1, v2, v3);
            }

            for (; j < to; j++) sums[column[j]] = MathF.FusedMultiplyAdd(factor, value[j], sums[column[j]]);
        }

        for (int i = 0; i < count; i++)
        {
            values[i] = sums[columns[i]];
            sums[columns[i]] = 0;
        }
    }

    public override void Dispose()
    {
        NativeMemory.Free(_sums);
        NativeMemory.Free(_bits);
    }
}
