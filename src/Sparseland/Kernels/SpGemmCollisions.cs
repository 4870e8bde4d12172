using System.Numerics;
using Sparseland.Tensors;

namespace Sparseland.Kernels;

/// <summary>Which bits of a tag (row of the window times columns, plus column) choose its slot.</summary>
public enum TagHash
{
    /// <summary>The high bits: slots are roughly in order of row and column, so that little is left to sort; neighbouring columns collide.</summary>
    High,

    /// <summary>The low bits: neighbours spread. Where the columns are a power of two not below the slots, they are the column alone, and all rows fall on the same popular slots.</summary>
    Low,

    /// <summary>The low bits with the row mixed in: tag plus row times an odd constant.</summary>
    LowMixed,

    /// <summary>The high bits of the tag times an odd constant.</summary>
    Multiplicative,
}

/// <summary>What happened in a table with linear probing, counted over all windows of a product: phase 1 of SMASH (Shivdikar 2021).</summary>
/// <param name="Products">Multiplications, each of which comes to the table once.</param>
/// <param name="Insertions">Those that took a free slot: the entries of C.</param>
/// <param name="Merges">Those that found their tag.</param>
/// <param name="ExtraProbes">Looks at slots that another tag had.</param>
/// <param name="Windows">Windows.</param>
public sealed record SpGemmCollisions(long Products, long Insertions, long Merges, long ExtraProbes, int Windows)
{
    /// <summary>Extra looks for each multiplication.</summary>
    public double PerProduct => Products == 0 ? 0 : (double)ExtraProbes / Products;

    /// <summary>Counts.</summary>
    /// <param name="a">[rows, inner].</param>
    /// <param name="b">[inner, columns].</param>
    /// <param name="capacity">Most multiplications of a window: a power of two.</param>
    /// <param name="hash">Which bits.</param>
    /// <param name="slots">Slots of the table, a power of two; 0, the default, for twice the capacity.</param>
    /// <exception cref="ArgumentException">The inner sizes differ, a number is no power of two, or there are fewer slots than the capacity.</exception>
    public static SpGemmCollisions Count(CsrMatrix a, CsrMatrix b, int capacity, TagHash hash, int slots = 0)
    {
        IReadOnlyList<SpGemmWindow> windows = SpGemmWindows.Of(a, b, capacity);
        if (slots == 0) slots = checked(2 * capacity);
        if (slots < capacity || !BitOperations.IsPow2(slots)) throw new ArgumentException($"A table has a power of two of slots, at least the capacity of {capacity}, not {slots}.", nameof(slots));
        if (!Enum.IsDefined(hash)) throw new ArgumentOutOfRangeException(nameof(hash), hash, "hash is High, Low, LowMixed or Multiplicative.");
        int[] ka = a.ColumnArray(), kb = b.ColumnArray();
        long[] tags = new long[slots];
        long products = 0, insertions = 0, merges = 0, probes = 0;
        foreach (SpGemmWindow window in windows)
        {
            Array.Fill(tags, -1);
            var home = new TagSlots(hash, slots, window);
            long width = window.ToColumn - window.FromColumn;
            for (int row = window.FromRow; row < window.ToRow; row++)
            {
                for (int k = a.RowOffsets[row]; k < a.RowOffsets[row + 1]; k++)
                {
                    ReadOnlySpan<int> columns = kb.AsSpan(b.RowOffsets[ka[k]], b.RowOffsets[ka[k] + 1] - b.RowOffsets[ka[k]]);
                    for (int i = SpGemmWindows.Below(columns, window.FromColumn); i < columns.Length && columns[i] < window.ToColumn; i++)
                    {
                        long line = row - window.FromRow, tag = (line * width) + columns[i] - window.FromColumn;
                        int slot = home.Of(line, tag);
                        products++;
                        for (; tags[slot] >= 0 && tags[slot] != tag; slot = (slot + 1) & (slots - 1)) probes++;
                        if (tags[slot] == tag)
                        {
                            merges++;
                            continue;
                        }

                        tags[slot] = tag;
                        insertions++;
                    }
                }
            }
        }

        return new(products, insertions, merges, probes, windows.Count);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
