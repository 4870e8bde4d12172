using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

/// <summary>The atoms of a dictionary as square pictures, each scaled to its own largest weight; zero is mid-grey.</summary>
public sealed record AtomsChart : Chart
{
    internal AtomsChart(Grid2D dictionary, int patchSize, int columns, IReadOnlyList<int> order) =>
        (Dictionary, PatchSize, Columns, Order) = (dictionary, patchSize, columns, order);

    /// <summary>The dictionary [atoms, patchSize * patchSize].</summary>
    public Grid2D Dictionary { get; }

    /// <summary>Side of a patch in pixels.</summary>
    public int PatchSize { get; }

    /// <summary>Pictures in a row.</summary>
    public int Columns { get; }

    /// <summary>Which atoms are shown, in reading order.</summary>
    public IReadOnlyList<int> Order { get; }

    internal override string Kind => "atoms";

    internal override bool GainsFromInteraction => false;

    private int Rows => ((Order.Count - 1) / Columns) + 1;

    private int PixelWidth => (Columns * (PatchSize + 1)) + 1;

    private int PixelHeight => (Rows * (PatchSize + 1)) + 1;

    internal override bool StretchesInGrid => false;

    internal override IEnumerable<string> Facts()
    {
        yield return $"{Order.Count} of {Dictionary.Rows} atoms of {PatchSize} x {PatchSize} pixels, {Columns} in a row";
    }

    internal override IEnumerable<string> Remarks()
    {
        if (Order.Count < Dictionary.Rows)
            yield return $"({Order.Count} of {Dictionary.Rows} atoms shown.)";
        int empty = Order.Count(atom => Largest(atom) == 0);
        if (empty > 0)
            yield return empty == 1 ? "(1 atom is zero: flat grey.)" : $"({empty} atoms are zero: flat grey.)";
    }

    internal override double ContentHeight(double width) => Scale(width) * PixelHeight;

    internal override void DrawContent(Canvas canvas, Box box)
    {
        double scale = Height is { } height ? Math.Min(Scale(box.Width), height / PixelHeight) : Scale(box.Width);
        canvas.Image(new Box(box.X, box.Y, scale * PixelWidth, scale * PixelHeight), Mosaic(), $"{Order.Count} atoms");
    }

    internal override JsonObject Figure(bool full)
    {
        var rows = new JsonArray();
        double[] pixels = MosaicValues();
        for (int row = 0; row < PixelHeight; row++)
            rows.Add(PlotlyJson.Numbers(pixels.Skip(row * PixelWidth).Take(PixelWidth).Select(v => Math.Round(v, 3))));
        JsonObject layout = PlotlyJson.Layout(this, PlotlyJson.AxisOf(""), PlotlyJson.AxisOf(""));
        (layout["yaxis"]!["autorange"], layout["yaxis"]!["scaleanchor"], layout["yaxis"]!["visible"], layout["xaxis"]!["visible"]) = ("reversed", "x", false, false);
        return PlotlyJson.Figure(
            [new JsonObject { ["type"] = "heatmap", ["z"] = rows, ["zmin"] = -1, ["zmax"] = 1, ["showscale"] = false, ["colorscale"] = PlotlyJson.Scale(ColourMap.Grey) }],
            layout);
    }

    private double Scale(double width)
    {
        // Whole multiples keep all pixels of one size, where there is room for at least two.
        // Few small patches are enlarged further: a mosaic of a hand's breadth can be read.
        double scale = Math.Min(width / PixelWidth, Math.Max(5, 240.0 / PixelWidth));
        return scale >= 2 ? Math.Floor(scale) : scale;
    }

    private double Largest(int atom) => Enumerable.Range(0, Dictionary.Columns).Max(f => Math.Abs(Dictionary[atom, f]));

    /// <summary>All tiles from -1 to 1 with NaN between them.</summary>
    private double[] MosaicValues()
    {
        var pixels = new double[PixelWidth * PixelHeight];
        Array.Fill(pixels, double.NaN);
        for (int tile = 0; tile < Order.Count; tile++)
        {
            double largest = Largest(Order[tile]);
            int top = (tile / Columns * (PatchSize + 1)) + 1, left = (tile % Columns * (PatchSize + 1)) + 1;
            for (int f = 0; f < Dictionary.Columns; f++)
                pixels[((top + (f / PatchSize)) * PixelWidth) + left + (f % PatchSize)] = largest == 0 ? 0 : Dictionary[Order[tile], f] / largest;
        }
        return pixels;
    }

    private byte[] Mosaic()
    {
        double[] values = MosaicValues();
        int levels = values.Length <= 20_000 ? 127 : values.Length <= 45_000 ? 63 : 31;
        var palette = ColourMap.Grey.Palette(levels).Take(levels).Append(((byte)255, (byte)255, (byte)255)).ToArray();
        byte[] pixels = [.. values.Select(v => double.IsNaN(v) ? (byte)levels : (byte)Math.Round((v + 1) / 2 * (levels - 1)))];
        return Png.Indexed(pixels, PixelWidth, PixelHeight, palette);
    }
}
