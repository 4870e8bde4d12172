using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

/// <summary>Which entries of a matrix stay, with the number kept in each row and each column beside it.</summary>
public sealed record SupportChart : Chart
{
    private const double Marginal = 40;
    private readonly double[] rowCounts;
    private readonly double[] columnCounts;

    internal SupportChart(Grid2D mask)
    {
        Mask = mask;
        (rowCounts, columnCounts) = (new double[mask.Rows], new double[mask.Columns]);
        for (int row = 0; row < mask.Rows; row++)
        {
            for (int column = 0; column < mask.Columns; column++)
            {
                rowCounts[row] += mask[row, column];
                columnCounts[column] += mask[row, column];
            }
        }
    }

    /// <summary>1 where an entry is kept, 0 elsewhere.</summary>
    public Grid2D Mask { get; }

    /// <summary>What the columns are.</summary>
    public string XTitle { get; init; } = "";

    /// <summary>What the rows are.</summary>
    public string YTitle { get; init; } = "";

    internal override string Kind => "support";

    private double Kept => rowCounts.Sum();

    internal override bool StretchesInGrid => false;

    internal override IEnumerable<string> Facts()
    {
        yield return $"{Ticks.Short(Kept)} of {Mask.Rows} x {Mask.Columns} kept ({100 * Kept / Mask.Array.Length:0.##} %), "
            + $"{Range(rowCounts)} per row, {Range(columnCounts)} per column";
    }

    internal override IEnumerable<string> Remarks()
    {
        yield return $"(Dark: kept, {Invariant($"{100 * Kept / Mask.Array.Length:0.##}")} % of all; bars: kept per row, {Range(rowCounts)}, and per column, {Range(columnCounts)}.)";
        if (HeatMapChart.BlockSize(Mask) is > 1 and var block)
            yield return $"(Each pixel is the share kept of {block} x {block} entries, from white, 0 %, to darkest, {Invariant($"{100 * Darkest():0.#}")} %.)";
    }

    internal override void Check()
    {
        base.Check();
        int bad = Array.FindIndex(Mask.Array, v => v is not (0 or 1));
        if (bad >= 0)
            throw new ArgumentException($"A mask has 0 and 1 only; entry [{bad / Mask.Columns}, {bad % Mask.Columns}] is {Mask.Array[bad]}.", nameof(Mask));
    }

    internal override double ContentHeight(double width) => Image(new Box(0, 0, width, 0)).Bottom + (XTitle.Length > 0 ? 40 : 22);

    internal override void DrawContent(Canvas canvas, Box box)
    {
        Box image = Image(box);
        if (YTitle.Length > 0)
            canvas.Text(box.X, box.Y + Theme.TextSize, TextMetrics.Fit("↓ " + YTitle, box.Width), fill: Theme.Muted);
        canvas.Image(image, Pixels.Of(HeatMapChart.Averaged(Mask), ColourMap.Ink, 0, Darkest()), "support");
        if (Mask.Rows <= 40 && Mask.Columns <= 60)
            DrawCellBorders(canvas, image);
        canvas.Rect(image, "none", Theme.AxisLine);
        MatrixAxes.Rows(canvas, image, Mask.Rows, null, image.X - box.X);
        MatrixAxes.Columns(canvas, image, Mask.Columns, null, box);
        canvas.Text(image.CentreX, image.Bottom + 36, TextMetrics.Fit(XTitle, box.Width), "middle", fill: Theme.Muted);
        DrawMarginals(canvas, image);
    }

    internal override JsonObject Figure(bool full)
    {
        var rows = new JsonArray();
        for (int row = 0; row < Mask.Rows; row++)
            rows.Add(PlotlyJson.Numbers(Enumerable.Range(0, Mask.Columns).Select(column => Mask[row, column])));
        JsonObject layout = PlotlyJson.Layout(this, PlotlyJson.IndexAxis(XTitle, Mask.Columns, false), PlotlyJson.IndexAxis(YTitle, Mask.Rows, true));
        double[] image = [0, .86], bars = [.88, 1];
        (layout["xaxis"]!["domain"], layout["yaxis"]!["domain"]) = (PlotlyJson.Numbers(image), PlotlyJson.Numbers(image));
        layout["xaxis2"] = new JsonObject { ["domain"] = PlotlyJson.Numbers(bars), ["visible"] = false, ["anchor"] = "y" };
        layout["yaxis2"] = new JsonObject { ["domain"] = PlotlyJson.Numbers(bars), ["visible"] = false, ["anchor"] = "x" };
        layout["bargap"] = 0;
        var kept = new JsonObject { ["type"] = "heatmap", ["z"] = rows, ["zmin"] = 0, ["zmax"] = 1, ["showscale"] = false, ["colorscale"] = PlotlyJson.Scale(ColourMap.Ink) };
        return PlotlyJson.Figure([kept, Marginals("kept per row", rowCounts, "x2", "y", "h"), Marginals("kept per column", columnCounts, "x", "y2", "v")], layout);
    }

    private static JsonObject Marginals(string name, double[] counts, string x, string y, string orientation)
    {
        JsonArray places = PlotlyJson.Numbers(Enumerable.Range(0, counts.Length).Select(i => (double)i)), lengths = PlotlyJson.Numbers(counts);
        bool lying = orientation == "h";
        return new JsonObject
        {
            ["type"] = "bar", ["name"] = name, ["orientation"] = orientation, ["x"] = lying ? lengths : places, ["y"] = lying ? places : lengths,
            ["xaxis"] = x, ["yaxis"] = y, ["marker"] = new JsonObject { ["color"] = Theme.Colour(1), ["opacity"] = .6 },
        };
    }

    // A share of a few percent would be nearly white on a scale to 100 %.
    private double Darkest() => HeatMapChart.BlockSize(Mask) == 1 ? 1 : Math.Max(HeatMapChart.Averaged(Mask).Array.Max(), 1e-9);

    private static string Range(double[] counts) => counts.Min() == counts.Max()
        ? Ticks.Short(counts[0])
        : $"{Ticks.Short(counts.Min())} to {Ticks.Short(counts.Max())}";

    private Box Image(Box box)
    {
        double labels = MatrixAxes.RowLabelWidth(Mask.Rows, null);
        double available = box.Width - labels - Marginal - 12;
        double cell = Math.Min(Math.Min(available / Mask.Columns, 360.0 / Mask.Rows), 22);
        double width = Math.Min(available, Math.Max(cell * Mask.Columns, Math.Min(available, 200)));
        double height = Height is { } given ? given - Marginal - 50 : Math.Clamp(cell * Mask.Rows, 70, 360);
        return new Box(box.X + labels, box.Y + Marginal + (YTitle.Length > 0 ? 20 : 4), Math.Max(20, width), Math.Max(20, height));
    }

    private void DrawCellBorders(Canvas canvas, Box image)
    {
        var lines = new PathData();
        for (int row = 1; row < Mask.Rows; row++)
            lines.Move(image.X, image.Y + (row * image.Height / Mask.Rows)).To(image.Right, image.Y + (row * image.Height / Mask.Rows));
        for (int column = 1; column < Mask.Columns; column++)
            lines.Move(image.X + (column * image.Width / Mask.Columns), image.Y).To(image.X + (column * image.Width / Mask.Columns), image.Bottom);
        canvas.Path(lines.ToString(), "none", Theme.GridLine);
    }

    private void DrawMarginals(Canvas canvas, Box image)
    {
        const double Length = Marginal - 10;
        double mostRow = Math.Max(1, rowCounts.Max()), mostColumn = Math.Max(1, columnCounts.Max());
        var right = new PathData().Move(image.Right + 4, image.Y);
        Outline(rowCounts, image.Height, (along, count) => right.To(image.Right + 4 + (Length * count / mostRow), image.Y + along));
        canvas.Path(right.To(image.Right + 4, image.Bottom).Close().ToString(), Theme.Colour(1), opacity: .6);
        var top = new PathData().Move(image.X, image.Y - 4);
        Outline(columnCounts, image.Width, (along, count) => top.To(image.X + along, image.Y - 4 - (Length * count / mostColumn)));
        canvas.Path(top.To(image.Right, image.Y - 4).Close().ToString(), Theme.Colour(1), opacity: .6);
    }

    // Steps of at least a pixel: where many rows share one, the bar shows the most kept among them.
    private static void Outline(double[] counts, double length, Action<double, double> corner)
    {
        int group = Math.Max(1, (int)Math.Ceiling(counts.Length / length));
        for (int start = 0; start < counts.Length; start += group)
        {
            int end = Math.Min(counts.Length, start + group);
            double most = counts[start..end].Max();
            corner(start * length / counts.Length, most);
            corner(end * length / counts.Length, most);
        }
    }
}
