using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts.Drawing;
using static TorchSharp.torch;

namespace Sparseland.Notebooks.Charts;

/// <summary>
/// A named picture: grey [height, width], or red, green and blue [3, height, width] with values from 0 to 1 or 0 to 255.
/// ("name", tensor) and ("name", double[,]) convert by themselves.
/// </summary>
public sealed record Picture
{
    internal Picture(string name, int height, int width, double[] grey, double[]? colour) =>
        (Name, Height, Width, Grey, Colour) = (name ?? throw new ArgumentNullException(nameof(name)), height, width, grey, colour);

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>Rows of pixels.</summary>
    public int Height { get; }

    /// <summary>Columns of pixels.</summary>
    public int Width { get; }

    internal double[] Grey { get; }

    /// <summary>Planes of red, green and blue from 0 to 1, or null.</summary>
    internal double[]? Colour { get; }

    /// <summary>A picture from a tensor.</summary>
    /// <param name="name">Its name, may be empty.</param>
    /// <param name="image">[height, width], [1, height, width] or [3, height, width].</param>
    /// <exception cref="ArgumentException">Another shape, or values that are not finite.</exception>
    public static Picture Of(string name, Tensor image)
    {
        ArgumentNullException.ThrowIfNull(image);
        long[] shape = image.shape;
        bool colour = shape.Length == 3 && shape[0] == 3;
        if (!(shape.Length == 2 || colour || (shape.Length == 3 && shape[0] == 1)) || shape.Any(s => s == 0))
            throw new ArgumentException($"Picture \"{name}\" has shape [{string.Join(", ", shape)}]; a picture is [height, width], [1, height, width] or [3, height, width].", nameof(image));
        return Make(name, (int)shape[^2], (int)shape[^1], TensorData.Doubles(image, nameof(image)), colour);
    }

    /// <summary>("name", tensor)</summary>
    public static implicit operator Picture((string Name, Tensor Image) pair) => Of(pair.Name, pair.Image);

    /// <summary>("name", grey values)</summary>
    public static implicit operator Picture((string Name, double[,] Image) pair) => Grey2D(pair.Name, pair.Image);

    /// <summary>("name", grey values)</summary>
    public static implicit operator Picture((string Name, float[,] Image) pair) => Grey2D(pair.Name, pair.Image);

    private static Picture Grey2D(string name, Grid2D image) => Make(name, image.Rows, image.Columns, image.Array, false);

    private static Picture Make(string name, int height, int width, double[] values, bool colour)
    {
        int bad = Array.FindIndex(values, v => !double.IsFinite(v));
        if (bad >= 0)
            throw new ArgumentException($"Picture \"{name}\" has the value {values[bad]} at position {bad}; all its values must be finite.", "image");
        if (!colour)
            return new Picture(name, height, width, values, null);
        double unit = values.Max() > 1.5 ? 255 : 1;
        return new Picture(name, height, width, [], [.. values.Select(v => v / unit)]);
    }
}

/// <summary>Pictures side by side.</summary>
public sealed record ImagesChart : Chart
{
    private const int PixelBudget = 60_000;
    private const double Gap = 12;
    private const double NameHeight = 20;

    internal ImagesChart(IReadOnlyList<Picture> pictures, int columns) => (Pictures, Columns) = (pictures, columns);

    /// <summary>The pictures.</summary>
    public IReadOnlyList<Picture> Pictures { get; }

    /// <summary>Pictures in a row.</summary>
    public int Columns { get; }

    /// <summary>Values drawn black and white; null scales each grey picture to its own values.</summary>
    public (double From, double To)? Range { get; init; }

    internal override string Kind => "images";

    internal override bool GainsFromInteraction => false;

    internal override bool StretchesInGrid => false;

    internal override IEnumerable<string> Facts() => Pictures.Select(p =>
        SeriesFacts.Label(p.Name) + $"{p.Height} x {p.Width} pixels" + (p.Colour is null ? $", from {Ticks.Short(p.Grey.Min())} to {Ticks.Short(p.Grey.Max())}" : ", in colour"));

    internal override IEnumerable<string> Remarks()
    {
        if (Range is null && Pictures.Count(p => p.Colour is null) > 1)
            yield return "(Each picture is scaled to its own values.)";
        if (BlockSize > 1)
            yield return $"(Drawn with one pixel for {BlockSize} x {BlockSize}.)";
    }

    internal override void Check()
    {
        base.Check();
        if (Range is var (from, to) && !(from < to && double.IsFinite(from) && double.IsFinite(to)))
            throw new ArgumentException($"The range goes from {from} to {to}; it must go from a smaller to a larger finite number.", nameof(Range));
    }

    private int BlockSize => (int)Math.Ceiling(Math.Sqrt(Math.Max(1, Pictures.Sum(p => (double)p.Width * p.Height * (p.Colour is null ? 1 : 3)) / PixelBudget)));

    internal override double ContentHeight(double width) => RowHeights(width).Sum();

    internal override void DrawContent(Canvas canvas, Box box)
    {
        double[] heights = RowHeights(box.Width);
        double y = box.Y;
        for (int row = 0; row < heights.Length; row++)
        {
            for (int column = 0; column < Columns && (row * Columns) + column < Pictures.Count; column++)
            {
                Picture p = Pictures[(row * Columns) + column];
                double slot = Slot(box.Width), x = box.X + (column * (slot + Gap));
                double scale = ScaleOf(p, box.Width);
                double top = y + (HasNames ? NameHeight : 0);
                canvas.Text(x, y + 13, TextMetrics.Fit(p.Name, slot));
                canvas.Image(new Box(x, top, p.Width * scale, p.Height * scale), Encode(p), p.Name);
            }
            y += heights[row];
        }
    }

    internal override JsonObject Figure(bool full)
    {
        var (data, layout) = (new JsonArray(), PlotlyJson.Layout(this, PlotlyJson.AxisOf(""), PlotlyJson.AxisOf("")));
        layout["grid"] = new JsonObject { ["rows"] = ((Pictures.Count - 1) / Columns) + 1, ["columns"] = Columns, ["pattern"] = "independent" };
        for (int i = 0; i < Pictures.Count; i++)
        {
            Picture p = Pictures[i];
            string suffix = i == 0 ? "" : (i + 1).ToString(System.Globalization.CultureInfo.InvariantCulture);
            layout["xaxis" + suffix] = new JsonObject { ["title"] = new JsonObject { ["text"] = PlotlyJson.Text(p.Name) }, ["showticklabels"] = false };
            layout["yaxis" + suffix] = new JsonObject { ["autorange"] = "reversed", ["scaleanchor"] = "x" + suffix, ["visible"] = false };
            double[] plane = p.Colour is null ? p.Grey : [.. Enumerable.Range(0, p.Width * p.Height).Select(k => Luma(p, k))];
            var rows = new JsonArray();
            for (int row = 0; row < p.Height; row++)
                rows.Add(PlotlyJson.Numbers(plane.Skip(row * p.Width).Take(p.Width)));
            data.Add(new JsonObject { ["type"] = "heatmap", ["z"] = rows, ["showscale"] = false, ["colorscale"] = PlotlyJson.Scale(ColourMap.Grey), ["xaxis"] = "x" + suffix, ["yaxis"] = "y" + suffix });
        }
        return PlotlyJson.Figure(data, layout);
    }

    private static double Luma(Picture p, int pixel)
    {
        int plane = p.Width * p.Height;
        return (.2126 * p.Colour![pixel]) + (.7152 * p.Colour[plane + pixel]) + (.0722 * p.Colour[(2 * plane) + pixel]);
    }

    private bool HasNames => Pictures.Any(p => p.Name.Length > 0);

    private double Slot(double width) => (width - (Gap * (Columns - 1))) / Columns;

    private double ScaleOf(Picture p, double width)
    {
        double scale = Math.Min(Slot(width) / p.Width, 360.0 / p.Height);
        return scale >= 2 ? Math.Min(12, Math.Floor(scale)) : scale;
    }

    private double[] RowHeights(double width) =>
        [.. Pictures.Chunk(Columns).Select(row => row.Max(p => p.Height * ScaleOf(p, width)) + (HasNames ? NameHeight : 0) + 6)];

    private byte[] Encode(Picture p)
    {
        int block = BlockSize;
        if (p.Colour is null)
        {
            Grid2D small = Reduce(Grid2D.Make(p.Height, p.Width, p.Grey), block);
            var (low, high) = Range ?? (p.Grey.Min(), p.Grey.Max());
            return Pixels.Of(small, ColourMap.Grey, low, high > low ? high : low + 1);
        }
        Grid2D[] planes = [.. Enumerable.Range(0, 3).Select(c => Reduce(Grid2D.Make(p.Height, p.Width, p.Colour[(c * p.Width * p.Height)..((c + 1) * p.Width * p.Height)]), block))];
        var bytes = new byte[planes[0].Array.Length * 3];
        for (int k = 0; k < planes[0].Array.Length; k++)
        {
            for (int c = 0; c < 3; c++)
                bytes[(3 * k) + c] = (byte)Math.Round(Math.Clamp(planes[c].Array[k], 0, 1) * 255);
        }
        return Png.Rgb(bytes, planes[0].Columns, planes[0].Rows);
    }

    private static Grid2D Reduce(Grid2D plane, int block) => block == 1 ? plane : HeatMapChart.BlockMeans(plane, block);
}
