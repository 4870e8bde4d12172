namespace Sparseland.Kernels;

/// <summary>The arrays of a matrix in CSR, pinned.</summary>
/// <param name="Offsets">[rows + 1].</param>
/// <param name="Columns">[nnz].</param>
/// <param name="Values">[nnz].</param>
internal readonly unsafe record struct CsrArrays(nint Offsets, nint Columns, nint Values)
{
    public int* At => (int*)Offsets;

    public int* Column => (int*)Columns;

    public float* Value => (float*)Values;
}

/// <summary>
/// Collects one row of C = A B at a time, in two passes: first the columns, then, when memory for all rows is there, the values. A value is summed in the order of A's entries
/// from zero, one rounding a product: whatever collects it, the bits are the same. One thread each.
/// </summary>
internal abstract unsafe class RowAccumulator(CsrArrays b) : IDisposable
{
    private protected CsrArrays B { get; } = b;

    /// <summary>Writes the columns of a row, ascending, and gives their number.</summary>
    /// <param name="rows">Rows of B: the columns of A's entries, ascending.</param>
    /// <param name="n">How many.</param>
    /// <param name="columns">Room for as many as the rows of B have entries together.</param>
    public abstract int Structure(int* rows, int n, int* columns);

    /// <summary>Writes the values of a row whose columns are known.</summary>
    /// <param name="rows">Rows of B.</param>
    /// <param name="factors">A's values.</param>
    /// <param name="n">How many.</param>
    /// <param name="columns">The columns that <see cref="Structure"/> gave.</param>
    /// <param name="count">How many.</param>
    /// <param name="values">Written.</param>
    public abstract void Values(int* rows, float* factors, int n, int* columns, int count, float* values);

    public abstract void Dispose();
}
