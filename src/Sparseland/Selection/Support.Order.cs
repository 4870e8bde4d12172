using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Selection;

/// <content>The same entries in another order, and fewer of them.</content>
public sealed partial class Support
{
    /// <summary>The support of the transposed matrix.</summary>
    /// <param name="order">
    /// [Count]: where each entry of the result stands in this support, so values go along as <c>values.index_select(0, order)</c>. Within a
    /// row of the result (a column here) entries keep the order of their rows.
    /// </param>
    /// <returns>A support of [columns, rows].</returns>
    public Support Transpose(out int[] order)
    {
        int[] offsets = new int[Columns + 1], indices = GC.AllocateUninitializedArray<int>(Count);
        order = GC.AllocateUninitializedArray<int>(Count);
        ReadOnlySpan<int> columns = ColumnIndices;
        foreach (int column in columns) offsets[column + 1]++;
        for (int c = 0; c < Columns; c++) offsets[c + 1] += offsets[c];
        int[] next = offsets[..Columns];
        for (int row = 0; row < Rows; row++)
        {
            for (int e = _rowOffsets[row]; e < _rowOffsets[row + 1]; e++)
            {
                int at = next[columns[e]]++;
                (indices[at], order[at]) = (row, e);
            }
        }

        return Trusted(Columns, Rows, offsets, indices);
    }

    /// <summary>Keeps some of the entries.</summary>
    /// <param name="keep">Boolean tensor [Count], in the order of <see cref="ColumnIndices"/>: <c>values &gt; 0</c>.</param>
    /// <returns>A support of the same shape with the entries where it is true.</returns>
    /// <exception cref="ArgumentException">Another shape or type.</exception>
    public Support Where(Tensor keep)
    {
        ArgumentNullException.ThrowIfNull(keep);
        if (keep.dtype != ScalarType.Bool || keep.dim() != 1 || keep.shape[0] != Count)
            throw new ArgumentException($"keep must be Bool [{Count}], one per entry, but is {keep.dtype} [{string.Join(", ", keep.shape)}].", nameof(keep));
        using DisposeScope scope = NewDisposeScope();
        ReadOnlySpan<byte> kept = keep.detach().cpu().contiguous().bytes;
        int[] offsets = new int[Rows + 1], indices = GC.AllocateUninitializedArray<int>(Count - kept.Count((byte)0));
        ReadOnlySpan<int> columns = ColumnIndices;
        int n = 0;
        for (int row = 0; row < Rows; row++)
        {
            for (int e = _rowOffsets[row]; e < _rowOffsets[row + 1]; e++)
            {
                if (kept[e] != 0) indices[n++] = columns[e];
            }

            offsets[row + 1] = n;
        }

        return Trusted(Rows, Columns, offsets, indices).Of([.. Shape]);
    }
}
