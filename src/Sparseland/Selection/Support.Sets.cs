namespace Sparseland.Selection;

/// <content>Supports as sets of entries.</content>
public sealed partial class Support
{
    /// <summary>The entries that are in both. The result has this one's <see cref="Shape"/>.</summary>
    /// <param name="other">A support of as many rows and columns.</param>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public Support Intersect(Support other)
    {
        CheckSameShape(other);
        int[] indices = new int[Math.Min(Count, other.Count)];
        return Merge(other, indices, inOneOnly: false);
    }

    /// <summary>The entries that are in at least one of the two. The result has this one's <see cref="Shape"/>.</summary>
    /// <param name="other">A support of as many rows and columns.</param>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public Support Union(Support other)
    {
        CheckSameShape(other);
        int[] indices = new int[checked(Count + other.Count)];
        return Merge(other, indices, inOneOnly: true);
    }

    /// <summary>Jaccard overlap: entries in both over entries in at least one; 1 when both are empty.</summary>
    /// <param name="other">A support of the same shape.</param>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public double Overlap(Support other)
    {
        long both = Intersect(other).Count;
        long either = (long)Count + other.Count - both;
        return either == 0 ? 1 : (double)both / either;
    }

    /// <summary>Some of the entries, given by their places in <see cref="ColumnIndices"/>: what a selection among the values of this support chose.</summary>
    /// <param name="chosen">A support of one row of <see cref="Count"/> columns.</param>
    internal Support Among(Support chosen)
    {
        ReadOnlySpan<int> places = chosen.ColumnIndices, all = ColumnIndices;
        int[] offsets = new int[Rows + 1], indices = GC.AllocateUninitializedArray<int>(places.Length);
        for (int row = 0, n = 0; row < Rows; row++)
        {
            for (; n < places.Length && places[n] < _rowOffsets[row + 1]; n++) indices[n] = all[places[n]];
            offsets[row + 1] = n;
        }

        return Trusted(Rows, Columns, offsets, indices).Of([.. Shape]);
    }

    private Support Merge(Support other, int[] indices, bool inOneOnly)
    {
        int[] offsets = new int[Rows + 1];
        int count = 0;
        for (int row = 0; row < Rows; row++)
        {
            ReadOnlySpan<int> a = Row(row), b = other.Row(row);
            int i = 0, j = 0;
            while (i < a.Length && j < b.Length)
            {
                int order = a[i].CompareTo(b[j]);
                if (order == 0 || inOneOnly)
                    indices[count++] = Math.Min(a[i], b[j]);
                i += order <= 0 ? 1 : 0;
                j += order >= 0 ? 1 : 0;
            }
            if (inOneOnly)
            {
                a[i..].CopyTo(indices.AsSpan(count));
                count += a.Length - i;
                b[j..].CopyTo(indices.AsSpan(count));
                count += b.Length - j;
            }
            offsets[row + 1] = count;
        }
        return Trusted(Rows, Columns, offsets, count == indices.Length ? indices : indices[..count]).Of([.. Shape]);
    }

    private void CheckSameShape(Support other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (Rows != other.Rows || Columns != other.Columns)
            throw new ArgumentException($"Supports of [{Rows}, {Columns}] and [{other.Rows}, {other.Columns}] cannot be combined: shapes must agree.", nameof(other));
    }
}
