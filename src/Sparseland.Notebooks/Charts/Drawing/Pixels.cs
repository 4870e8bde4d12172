namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>Numbers as pictures.</summary>
internal static class Pixels
{
    /// <summary>One pixel per cell; what is not finite is grey.</summary>
    public static byte[] Of(Grid2D matrix, ColourMap map, double low, double high) => Of(matrix.Array, matrix.Columns, matrix.Rows, map, low, high);

    /// <summary>One pixel per number in row order; large pictures get fewer shades so that they stay small as files.</summary>
    public static byte[] Of(double[] values, int width, int height, ColourMap map, double low, double high)
    {
        int levels = values.Length <= 16_000 ? 128 : values.Length <= 40_000 ? 64 : 32;
        var pixels = new byte[values.Length];
        Axis scale = Axis.Of([], log: false, 0, (low, high));
        for (int i = 0; i < values.Length; i++)
        {
            double share = scale.Position(values[i]);
            pixels[i] = double.IsFinite(values[i]) ? (byte)Math.Round(Math.Clamp(share, 0, 1) * (levels - 1)) : (byte)levels;
        }
        return Png.Indexed(pixels, width, height, map.Palette(levels));
    }
}
