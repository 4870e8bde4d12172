using System.Runtime.CompilerServices;

namespace Sparseland.Kernels;

/// <summary>Merges the rows of B, the next column first, with a heap; equal columns in the order of A's entries. One row is copied, two are merged without a heap.</summary>
internal sealed unsafe class MergeAccumulator(CsrArrays b) : RowAccumulator(b)
{
    // Column in the high half, number of the row in the low: one comparison orders both.
    private long[] _heap = [];
    private int[] _next = [];

    public override int Structure(int* rows, int n, int* columns)
    {
        if (n != 1) return n == 2 ? Two(rows, columns) : Merge(rows, null, n, columns, null);
        int from = B.At[rows[0]], count = B.At[rows[0] + 1] - from;
        new ReadOnlySpan<int>(B.Column + from, count).CopyTo(new(columns, count));
        return count;
    }

    public override void Values(int* rows, float* factors, int n, int* columns, int count, float* values)
    {
        if (n == 2) Two(rows, factors, values);
        else Merge(rows, factors, n, null, values);
    }

    public override void Dispose()
    {
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int Two(int* rows, int* columns)
    {
        int* p = B.Column + B.At[rows[0]], pEnd = B.Column + B.At[rows[0] + 1], q = B.Column + B.At[rows[1]], qEnd = B.Column + B.At[rows[1] + 1], to = columns;
        while (p < pEnd && q < qEnd)
        {
            int x = *p, y = *q;
            *to++ = Math.Min(x, y);
            p += x <= y ? 1 : 0;
            q += y <= x ? 1 : 0;
        }

        while (p < pEnd) *to++ = *p++;
        while (q < qEnd) *to++ = *q++;
        return (int)(to - columns);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Two(int* rows, float* factors, float* values)
    {
        int p = B.At[rows[0]], pEnd = B.At[rows[0] + 1], q = B.At[rows[1]], qEnd = B.At[rows[1] + 1];
        (float f, float g) = (factors[0], factors[1]);
        while (p < pEnd && q < qEnd)
        {
            int x = B.Column[p], y = B.Column[q];
            float sum = 0;
            if (x <= y) sum = MathF.FusedMultiplyAdd(f, B.Value[p++], sum);
            if (y <= x) sum = MathF.FusedMultiplyAdd(g, B.Value[q++], sum);
            *values++ = sum;
        }

        while (p < pEnd) *values++ = MathF.FusedMultiplyAdd(f, B.Value[p++], 0);
        while (q < qEnd) *values++ = MathF.FusedMultiplyAdd(g, B.Value[q++], 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int Merge(int* rows, float* factors, int n, int* columns, float* values)
    {
        if (_heap.Length < n) (_heap, _next) = (new long[n], new int[n]);
        int size = 0, count = 0;
        for (int k = 0; k < n; k++)
        {
            _next[k] = B.At[rows[k]];
            if (_next[k] < B.At[rows[k] + 1]) _heap[size++] = ((long)B.Column[_next[k]] << 32) | (uint)k;
        }

        for (int i = (size / 2) - 1; i >= 0; i--) Down(i, size);
        while (size > 0)
        {
            int column = (int)(_heap[0] >> 32);
            float sum = 0;
            while (size > 0 && (int)(_heap[0] >> 32) == column)
            {
                int k = (int)(_heap[0] & uint.MaxValue), at = _next[k]++;
                if (values != null) sum = MathF.FusedMultiplyAdd(factors[k], B.Value[at], sum);
                _heap[0] = at + 1 < B.At[rows[k] + 1] ? ((long)B.Column[at + 1] << 32) | (uint)k : _heap[--size];
                Down(0, size);
            }

            if (values != null) values[count] = sum;
            else columns[count] = column;
            count++;
        }

        return count;
    }

    private void Down(int i, int size)
    {
        while (true)
        {
            int child = (2 * i) + 1;
            if (child >= size) return;
            if (child + 1 < size && _heap[child + 1] < _heap[child]) child++;
            if (_heap[i] <= _heap[child]) return;
            (_heap[i], _heap[child], i) = (_heap[child], _heap[i], child);
        }
    }
}
