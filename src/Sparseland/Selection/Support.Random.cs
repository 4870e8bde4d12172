using System.Numerics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Sparseland.Tensors;

namespace Sparseland.Selection;

public sealed partial class Support
{
    /// <summary>Entries drawn uniformly, every set of this size with the same probability: not per row, not per column.</summary>
    /// <param name="rows">Number of rows, not negative.</param>
    /// <param name="columns">Number of columns, not negative.</param>
    /// <param name="count">Entries, from 0 to rows times columns.</param>
    /// <param name="seed">Seed.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static Support Random(int rows, int columns, int count, long seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        long places = (long)rows * columns;
        if (count < 0 || count > places) throw new ArgumentOutOfRangeException(nameof(count), count, $"count must be from 0 to the {places} places of [{rows}, {columns}].");
        if (places > int.MaxValue) throw new ArgumentOutOfRangeException(nameof(rows), rows, $"[{rows}, {columns}] has {places} places; at most {int.MaxValue} are numbered here.");

        // The rarer of the two, chosen or left out, is drawn until there are enough: no place is drawn more than about twice.
        var random = new SeededRandom(seed, 5_000);
        ulong[] marks = new ulong[(places + 63) / 64];
        bool inverted = count > places / 2;
        for (long left = inverted ? places - count : count; left > 0;)
        {
            int place = random.NextInt((int)places);
            ulong bit = 1UL << (place & 63);
            if ((marks[place >> 6] & bit) != 0) continue;
            marks[place >> 6] |= bit;
            left--;
        }

        int[] offsets = new int[rows + 1], indices = GC.AllocateUninitializedArray<int>(count);
        int at = 0, row = 0;
        for (int word = 0; word < marks.Length; word++)
        {
            ulong bits = inverted ? ~marks[word] : marks[word];
            if (word == marks.Length - 1 && (places & 63) != 0) bits &= (1UL << (int)(places & 63)) - 1;
            for (; bits != 0; bits &= bits - 1)
            {
                long place = ((long)word << 6) + BitOperations.TrailingZeroCount(bits);
                while (place >= (long)(row + 1) * columns) offsets[++row] = at;
                indices[at++] = (int)(place - ((long)row * columns));
            }
        }

        while (row < rows) offsets[++row] = at;
        return Trusted(rows, columns, offsets, indices);
    }

    /// <summary>SHA-256 of shape and entries, in hexadecimal digits: whether values belong to this support can be told by it.</summary>
    public string Hash()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(MemoryMarshal.AsBytes<int>([Rows, Columns]));
        hash.AppendData(MemoryMarshal.AsBytes(RowOffsets));
        hash.AppendData(MemoryMarshal.AsBytes(ColumnIndices));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
