using Microsoft.Data.Analysis;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Notebooks;

/// <summary>A user's table as a matrix that methods take.</summary>
public static class FeatureFrames
{
    /// <summary>All columns of numbers as features; others (texts, dates) are left out.</summary>
    /// <param name="frame">The table.</param>
    /// <returns>X [rows, features], Float32 and the caller's, and the names of the features.</returns>
    /// <exception cref="ArgumentException">There is no row or no column of numbers, or a cell is empty: its column and row are named.</exception>
    public static (Tensor X, IReadOnlyList<string> Names) ToFeatures(this DataFrame frame)
    {
        ArgumentNullException.ThrowIfNull(frame);
        DataFrameColumn[] columns = [.. frame.Columns.Where(column => column.IsNumericColumn())];
        if (columns.Length == 0 || frame.Rows.Count == 0)
            throw new ArgumentException($"The table has {frame.Rows.Count} rows and no column of numbers among {string.Join(", ", frame.Columns.Select(c => $"{c.Name} ({c.DataType.Name})"))}.", nameof(frame));
        float[] values = new float[checked((int)(frame.Rows.Count * columns.Length))];
        for (int j = 0; j < columns.Length; j++)
        {
            for (int i = 0; i < frame.Rows.Count; i++)
            {
                object cell = columns[j][i] ?? throw new ArgumentException($"{columns[j].Name} is empty in row {i + 1}; fill it or leave the row out.", nameof(frame));
                values[(i * columns.Length) + j] = Convert.ToSingle(cell, System.Globalization.CultureInfo.InvariantCulture);
            }
        }

        return (tensor(values, [frame.Rows.Count, columns.Length]), [.. columns.Select(c => c.Name)]);
    }
}
