using Sparseland.Selection;
using static TorchSharp.torch;

namespace Sparseland.Notebooks.Charts;

/// <summary>
/// A matrix of numbers [rows, columns] taken from a 2-D array, an array of rows, a 2-D tensor or a
/// <see cref="Selection.Support"/> (1 where kept). Copied once.
/// </summary>
public sealed class Grid2D
{
    private readonly double[] items;

    private Grid2D(int rows, int columns, double[] items)
    {
        if (rows == 0 || columns == 0)
            throw new ArgumentException($"The matrix is empty ({rows} x {columns}); a picture needs at least one row and one column.", nameof(items));
        (Rows, Columns, this.items) = (rows, columns, items);
    }

    /// <summary>Rows.</summary>
    public int Rows { get; }

    /// <summary>Columns.</summary>
    public int Columns { get; }

    /// <summary>One number.</summary>
    public double this[int row, int column] => items[(row * Columns) + column];

    internal double[] Array => items;

    /// <summary>Copies a 2-D tensor of any real type and device.</summary>
    /// <exception cref="ArgumentException">Not 2-D, empty or complex.</exception>
    public static Grid2D OfTensor(Tensor matrix)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        if (matrix.dim() != 2)
            throw new ArgumentException($"A matrix has 2 dimensions; this tensor has shape [{string.Join(", ", matrix.shape)}].", nameof(matrix));
        return new Grid2D((int)matrix.shape[0], (int)matrix.shape[1], TensorData.Doubles(matrix, nameof(matrix)));
    }

    /// <summary>Copies rows of one length.</summary>
    /// <exception cref="ArgumentException">The rows differ in length, or there are none.</exception>
    public static Grid2D Of(IEnumerable<double[]> rows)
    {
        double[][] all = [.. rows ?? throw new ArgumentNullException(nameof(rows))];
        int columns = all.Length == 0 ? 0 : all[0].Length;
        int odd = System.Array.FindIndex(all, r => r.Length != columns);
        if (odd >= 0)
            throw new ArgumentException($"Row {odd} has {all[odd].Length} columns, row 0 has {columns}; all rows must have one length.", nameof(rows));
        return new Grid2D(all.Length, columns, [.. all.SelectMany(r => r)]);
    }

    /// <summary>1 where an entry is kept, 0 elsewhere.</summary>
    public static Grid2D Of(Support support)
    {
        ArgumentNullException.ThrowIfNull(support);
        var items = new double[support.Rows * support.Columns];
        for (int row = 0; row < support.Rows; row++)
        {
            foreach (int column in support.Row(row))
                items[(row * support.Columns) + column] = 1;
        }
        return new Grid2D(support.Rows, support.Columns, items);
    }

    /// <summary>Takes a 2-D array.</summary>
    public static implicit operator Grid2D(double[,] matrix) => From(matrix, v => v);

    /// <summary>Takes a 2-D array.</summary>
    public static implicit operator Grid2D(float[,] matrix) => From(matrix, v => v);

    /// <summary>Takes a 2-D array.</summary>
    public static implicit operator Grid2D(int[,] matrix) => From(matrix, v => v);

    /// <summary>Takes a mask: 1 for true.</summary>
    public static implicit operator Grid2D(bool[,] matrix) => From(matrix, v => v ? 1 : 0);

    /// <summary>Takes an array of rows.</summary>
    public static implicit operator Grid2D(double[][] rows) => Of(rows);

    /// <summary>Takes a 2-D tensor.</summary>
    public static implicit operator Grid2D(Tensor matrix) => OfTensor(matrix);

    /// <summary>Takes a support: 1 where kept.</summary>
    public static implicit operator Grid2D(Support support) => Of(support);

    internal static Grid2D Make(int rows, int columns, double[] items) => new(rows, columns, items);

    private static Grid2D From<T>(T[,] matrix, Func<T, double> number)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        return new Grid2D(matrix.GetLength(0), matrix.GetLength(1), [.. matrix.Cast<T>().Select(number)]);
    }
}
