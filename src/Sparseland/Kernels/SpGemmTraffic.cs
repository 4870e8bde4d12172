using Sparseland.Tensors;

namespace Sparseland.Kernels;

/// <summary>
/// Entries that three ways to multiply two sparse matrices move between memory and an accelerator whose scratchpad holds the rows of C that are being made (SMASH, Shivdikar 2021): counted
/// from the structure alone, exactly.
/// </summary>
/// <param name="EntriesOfA">nnz(A).</param>
/// <param name="EntriesOfB">nnz(B).</param>
/// <param name="EntriesOfC">nnz(C), sums that are zero included.</param>
/// <param name="Products">Multiplications: pairs of entries that meet.</param>
/// <param name="RowsOfA">Rows of A that are not empty.</param>
public sealed record SpGemmTraffic(long EntriesOfA, long EntriesOfB, long EntriesOfC, long Products, long RowsOfA)
{
    private const int BytesPerEntry = 8;

    /// <summary>Inner products, a row of A with a column of B: each row of A once, and for each that is not empty all of B, mostly to find no match.</summary>
    public long Inner => EntriesOfA + (RowsOfA * EntriesOfB);

    /// <summary>Share of the comparisons of the inner way that find a match.</summary>
    public double InnerUseful => RowsOfA * EntriesOfB == 0 ? 0 : (double)Products / (RowsOfA * EntriesOfB);

    /// <summary>Outer products, a column of A with a row of B: the inputs once, but every product is written and read once more, and C written.</summary>
    public long Outer => EntriesOfA + EntriesOfB + (2 * Products) + EntriesOfC;

    /// <summary>Row by row (Gustavson): A once, a row of B for each entry of A that names it, and C written; products meet where they are born.</summary>
    public long RowWise => EntriesOfA + Products + EntriesOfC;

    /// <summary>Multiplications for each entry of C: how much is merged.</summary>
    public double Compression => EntriesOfC == 0 ? 1 : (double)Products / EntriesOfC;

    /// <summary>Operations (two a multiplication) for each byte that the row-wise way moves, eight bytes an entry.</summary>
    public double Intensity => RowWise == 0 ? 0 : 2.0 * Products / (BytesPerEntry * RowWise);

    /// <summary>Counts.</summary>
    /// <param name="a">[rows, inner].</param>
    /// <param name="b">[inner, columns].</param>
    /// <exception cref="ArgumentException">The inner sizes differ.</exception>
    public static SpGemmTraffic Count(CsrMatrix a, CsrMatrix b)
    {
        long products = SpGemm.Work(a, b)[^1];
        ReadOnlySpan<int> at = a.RowOffsets;
        long rows = 0;
        for (int row = 0; row < a.Rows; row++) rows += at[row + 1] > at[row] ? 1 : 0;
        return new(a.Count, b.Count, SpGemm.Multiply(a, b).Count, products, rows);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
