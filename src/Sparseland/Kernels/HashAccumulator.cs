using System.Numerics;
using System.Runtime.CompilerServices;

namespace Sparseland.Kernels;

/// <summary>
/// A table of columns and sums with at most half of its slots used: multiplicative hash (the high bits of column times an odd constant; low bits alone fail on skewed matrices), linear
/// probing, and stamps in place of clearing. Nagasaka et al. 2018, SMASH's table without its atomics.
/// </summary>
internal sealed unsafe class HashAccumulator(CsrArrays b, int columns) : RowAccumulator(b)
{
    private const uint Odd = 0x9E3779B1;
    private int[] _keys = [], _stamps = [];
    private float[] _sums = [];
    private int _stamp, _shift = 32;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override int Structure(int* rows, int n, int* columns)
    {
        Open(rows, n);
        int count = 0, mask = _keys.Length - 1;
        fixed (int* keys = _keys, stamps = _stamps)
        {
            for (int k = 0; k < n; k++)
            {
                for (int j = B.At[rows[k]], to = B.At[rows[k] + 1]; j < to; j++)
                {
                    int column = B.Column[j], slot = (int)((uint)column * Odd >> _shift);
                    for (; stamps[slot] == _stamp && keys[slot] != column; slot = (slot + 1) & mask)
                    {
                    }

                    if (stamps[slot] == _stamp) continue;
                    (stamps[slot], keys[slot]) = (_stamp, column);
                    columns[count++] = column;
                }
            }
        }

        new Span<int>(columns, count).Sort();
        return count;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Values(int* rows, float* factors, int n, int* columns, int count, float* values)
    {
        Open(rows, n);
        int mask = _keys.Length - 1;
        fixed (int* keys = _keys, stamps = _stamps)
        fixed (float* sums = _sums)
        {
            for (int k = 0; k < n; k++)
            {
                for (int j = B.At[rows[k]], to = B.At[rows[k] + 1]; j < to; j++)
                {
                    int slot = Find(keys, stamps, B.Column[j], mask);
                    if (stamps[slot] != _stamp) (stamps[slot], keys[slot], sums[slot]) = (_stamp, B.Column[j], 0);
                    sums[slot] = MathF.FusedMultiplyAdd(factors[k], B.Value[j], sums[slot]);
                }
            }

            for (int i = 0; i < count; i++) values[i] = sums[Find(keys, stamps, columns[i], mask)];
        }
    }

    public override void Dispose()
    {
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Find(int* keys, int* stamps, int column, int mask)
    {
        int slot = (int)((uint)column * Odd >> _shift);
        while (stamps[slot] == _stamp && keys[slot] != column) slot = (slot + 1) & mask;
        return slot;
    }

    /// <summary>An empty table for the row: twice as many slots as it can have entries, a power of two.</summary>
    private void Open(int* rows, int n)
    {
        long most = 0;
        for (int k = 0; k < n; k++) most += B.At[rows[k] + 1] - B.At[rows[k]];
        if (Math.Min(most, columns) > Array.MaxLength / 4) throw new ArgumentException($"A row of the product may have {Math.Min(most, columns)} entries, too many for a table; take the dense accumulator.", nameof(n));
        int slots = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(4, 2 * Math.Min(most, columns)));
        if (slots > _keys.Length) (_keys, _stamps, _sums, _stamp) = (new int[slots], new int[slots], new float[slots], 0);
        _shift = 32 - BitOperations.Log2((uint)_keys.Length);
        if (++_stamp == int.MaxValue)
        {
            Array.Clear(_stamps);
            _stamp = 1;
        }
    }
}
