using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Selection;

/// <content>Supports against tensors.</content>
public sealed partial class Support
{
    /// <summary>The support as a mask.</summary>
    /// <param name="device">Where the mask goes; CPU when null.</param>
    /// <returns>Boolean tensor of <see cref="Shape"/>, true where an entry stays.</returns>
    public Tensor ToMask(Device? device = null)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor mask = empty([.. Shape], dtype: ScalarType.Bool);
        nint start = TensorMemory.StartOf(mask);
        _ = ColumnIndices;
        EachRow(Rows, Columns, row =>
        {
            Span<byte> line = TensorMemory.Part<byte>(start, (long)row * Columns, Columns);
            line.Clear();
            foreach (int column in Row(row)) line[column] = 1;
        });
        return (device is null ? mask : mask.to(device)).MoveToOuterDisposeScope();
    }

    /// <summary>Column indices as a tensor, for <c>gather</c>, <c>embedding</c> and the like.</summary>
    /// <param name="device">Where it goes; CPU when null.</param>
    /// <returns>Int64 tensor [Count]; view it as [rows, k] when every row keeps k.</returns>
    public Tensor ColumnIndexTensor(Device? device = null) => IndexTensor(flat: false, device);

    /// <summary>
    /// The entries of a matrix that stay, in the order of <see cref="ColumnIndices"/>. Gradients flow through it, and
    /// it works on every device and element type.
    /// </summary>
    /// <param name="matrix">[rows, columns], or a tensor whose leading dimensions together are the rows; [columns] for one row.</param>
    /// <returns>[Count], on the matrix's device.</returns>
    /// <exception cref="ArgumentException">The matrix has another shape.</exception>
    public Tensor Gather(Tensor matrix)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        (int rows, int columns) = Select.ShapeOf(matrix, nameof(matrix));
        if (rows != Rows || columns != Columns)
            throw new ArgumentException($"The support is [{Rows}, {Columns}], the matrix [{string.Join(", ", matrix.shape)}].", nameof(matrix));
        using DisposeScope scope = NewDisposeScope();
        if (!TensorMemory.IsPlain(matrix) || (matrix.requires_grad && is_grad_enabled()) || matrix.element_size() > sizeof(ulong))
            return matrix.reshape(-1).index_select(0, IndexTensor(flat: true, matrix.device)).MoveToOuterDisposeScope();
        Tensor values = empty(Count, dtype: matrix.dtype);
        switch (matrix.element_size())
        {
            case sizeof(byte): Collect<byte>(matrix, values); break;
            case sizeof(ushort): Collect<ushort>(matrix, values); break;
            case sizeof(uint): Collect<uint>(matrix, values); break;
            default: Collect<ulong>(matrix, values); break;
        }

        return values.MoveToOuterDisposeScope();
    }

    // No table of places is made, which would be larger than the values.
    private void Collect<T>(Tensor matrix, Tensor values)
        where T : unmanaged
    {
        (nint from, nint to) = (TensorMemory.StartOf(matrix), TensorMemory.StartOf(values));
        _ = ColumnIndices;
        EachRow(Rows, Columns, row =>
        {
            ReadOnlySpan<int> places = Row(row);
            ReadOnlySpan<T> line = TensorMemory.Part<T>(from, (long)row * Columns, Columns);
            Span<T> kept = TensorMemory.Part<T>(to, RowOffsets[row], places.Length);
            for (int k = 0; k < places.Length; k++) kept[k] = line[places[k]];
        });
        GC.KeepAlive(matrix);
    }

    /// <summary>The entries of a row-major matrix that stay, in the order of <see cref="ColumnIndices"/>.</summary>
    /// <param name="matrix">Row-major [rows, columns].</param>
    /// <param name="values">Receives [Count] values.</param>
    /// <exception cref="ArgumentException">A length does not fit.</exception>
    public void Gather<T>(ReadOnlySpan<T> matrix, Span<T> values)
    {
        if (matrix.Length != (long)Rows * Columns)
            throw new ArgumentException($"A matrix of [{Rows}, {Columns}] has {(long)Rows * Columns} entries, not {matrix.Length}.", nameof(matrix));
        if (values.Length != Count)
            throw new ArgumentException($"The support keeps {Count} entries; there is room for {values.Length}.", nameof(values));
        int n = 0;
        for (int row = 0; row < Rows; row++)
        {
            ReadOnlySpan<T> line = matrix.Slice(row * Columns, Columns);
            foreach (int column in Row(row))
                values[n++] = line[column];
        }
    }

    /// <summary>Indices as an Int64 tensor: of columns, or flat into the row-major matrix.</summary>
    private unsafe Tensor IndexTensor(bool flat, Device? device)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor indices = empty(Count, dtype: ScalarType.Int64);
        long* target = (long*)TensorMemory.Address(indices);
        for (int row = 0; row < Rows; row++)
        {
            long start = flat ? (long)row * Columns : 0;
            foreach (int column in Row(row))
                *target++ = start + column;
        }
        return (device is null ? indices : indices.to(device)).MoveToOuterDisposeScope();
    }
}
