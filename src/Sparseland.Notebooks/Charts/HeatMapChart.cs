using System.Globalization;
using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

/// <summary>A matrix as colours: row 0 at the top. Signed data get a diverging map with zero in its middle.</summary>
public sealed record HeatMapChart : Chart
{
    // More cells than this are averaged in blocks: a page has no pixels for them, and the file would grow.
    private const int LargestSide = 180;

    internal HeatMapChart(Grid2D matrix) => Matrix = matrix;

    /// <summary>The numbers [rows, columns]; NaN is drawn grey.</summary>
    public Grid2D Matrix { get; }

    /// <summary>Title of the columns' axis.</summary>
    public string XTitle { get; init; } = "";

    /// <summary>Title of the rows' axis.</summary>
    public string YTitle { get; init; } = "";

    /// <summary>What the colours mean, with the unit.</summary>
    public string ValueTitle { get; init; } = "";

    /// <summary>A name for each row, or null for numbers.</summary>
    public IReadOnlyList<string>? RowNames { get; init; }

    /// <summary>A name for each column, or null for numbers.</summary>
    public IReadOnlyList<string>? ColumnNames { get; init; }

    /// <summary>The values at the ends of the colour scale; null for those of the data.</summary>
    public (double From, double To)? Range { get; init; }

    internal override string Kind => "heat map";

    // A scale given with unequal ends has no zero in its middle, where a diverging map would put its neutral colour.
    internal bool IsSigned => Finite().Min() < 0 && Finite().Max() > 0 && (Range is not { } range || range.From == -range.To);

    internal override bool StretchesInGrid => false;

    internal override IEnumerable<string> Facts()
    {
        double[] values = [.. Finite()];
        yield return $"{Matrix.Rows} x {Matrix.Columns}, from {Ticks.Short(values.Min())} to {Ticks.Short(values.Max())}, mean {Ticks.Short(values.Average())}";
    }

    internal override IEnumerable<string> Remarks()
    {
        int missing = Matrix.Array.Count(v => !double.IsFinite(v));
        if (missing > 0)
            yield return missing == 1 ? "(1 cell is not a finite number: grey.)" : $"({missing} cells are not finite numbers: grey.)";
        int block = BlockSize(Matrix);
        if (block > 1)
            yield return $"(Each pixel is the mean of {block} x {block} cells.)";
    }

    internal override void Check()
    {
        base.Check();
        if (!Finite().Any())
            throw new ArgumentException("None of the matrix' cells is a finite number, so there is nothing to draw.", nameof(Matrix));
        if (RowNames is { } rows && rows.Count != Matrix.Rows)
            throw new ArgumentException($"There are {rows.Count} row names for {Matrix.Rows} rows.", nameof(RowNames));
        if (ColumnNames is { } columns && columns.Count != Matrix.Columns)
            throw new ArgumentException($"There are {columns.Count} column names for {Matrix.Columns} columns.", nameof(ColumnNames));
        if (Range is var (from, to) && !(from < to && double.IsFinite(from) && double.IsFinite(to)))
            throw new ArgumentException($"The range goes from {from} to {to}; it must go from a smaller to a larger finite number.", nameof(Range));
    }

    internal override double ContentHeight(double width) => Layout(new Box(0, 0, width, 0)).Image.Bottom + (XTitle.Length > 0 ? 40 : 22);

    internal override void DrawContent(Canvas canvas, Box box)
    {
        var (image, rowLabels) = Layout(box);
        var (low, high) = Limits();
        ColourMap map = IsSigned ? ColourMap.Diverging : ColourMap.Sequential;
        var bar = new Box(image.Right + 16, image.Y, ColourBar.Width, Math.Min(image.Height, 220));
        double titleAt = ColourBar.TitleX(bar, ValueTitle, box);
        if (YTitle.Length > 0)
            canvas.Text(box.X, box.Y + Theme.TextSize, TextMetrics.Fit("↓ " + YTitle, titleAt - box.X - 10), fill: Theme.Muted);
        canvas.Image(image, Pixels.Of(Averaged(Matrix), map, low, high), $"{Matrix.Rows} x {Matrix.Columns} cells");
        canvas.Rect(image, "none", Theme.AxisLine);
        MatrixAxes.Rows(canvas, image, Matrix.Rows, RowNames, rowLabels);
        MatrixAxes.Columns(canvas, image, Matrix.Columns, ColumnNames, box);
        canvas.Text(image.CentreX, image.Bottom + 36, TextMetrics.Fit(XTitle, box.Width), "middle", fill: Theme.Muted);
        if (HasNumbers)
            DrawNumbers(canvas, image, map, low, high);
        ColourBar.Draw(canvas, bar, map, low, high, ValueTitle, box);
    }

    internal override JsonObject Figure(bool full)
    {
        Grid2D shown = full ? Matrix : Averaged(Matrix);
        var (low, high) = Limits();
        var rows = new JsonArray();
        for (int row = 0; row < shown.Rows; row++)
            rows.Add(PlotlyJson.Numbers(Enumerable.Range(0, shown.Columns).Select(column => shown[row, column])));
        var trace = new JsonObject
        {
            ["type"] = "heatmap",
            ["z"] = rows,
            ["zmin"] = PlotlyJson.Number(low),
            ["zmax"] = PlotlyJson.Number(high),
            ["colorscale"] = PlotlyJson.Scale(IsSigned ? ColourMap.Diverging : ColourMap.Sequential),
        };
        var bar = new JsonObject { ["title"] = new JsonObject { ["text"] = PlotlyJson.Text(ValueTitle) } };
        PlotlyJson.Format(bar, Axis.Of([], log: false, 0, (low, high)));
        trace["colorbar"] = bar;
        bool averaged = shown != Matrix;
        if (averaged)
        {
            // Blocks stand where their cells do, and the names of these on the axis.
            int block = BlockSize(Matrix);
            double first = (block - 1) / 2.0;
            (trace["x0"], trace["dx"], trace["y0"], trace["dy"]) = (first, block, first, block);
        }
        else
        {
            if (RowNames is not null)
                trace["y"] = PlotlyJson.Texts(RowNames);
            if (ColumnNames is not null)
                trace["x"] = PlotlyJson.Texts(ColumnNames);
        }
        if (HasNumbers)
        {
            double largest = Finite().Max(Math.Abs);
            var texts = new JsonArray();
            for (int row = 0; row < Matrix.Rows; row++)
                texts.Add(PlotlyJson.Texts(Enumerable.Range(0, Matrix.Columns).Select(column => double.IsFinite(Matrix[row, column]) ? Number(Matrix[row, column], largest) : "")));
            (trace["text"], trace["texttemplate"]) = (texts, "%{text}");
        }
        JsonObject layout = PlotlyJson.Layout(this, PlotlyJson.IndexAxis(XTitle, Matrix.Columns, false), PlotlyJson.IndexAxis(YTitle, Matrix.Rows, true));
        layout["plot_bgcolor"] = Theme.Missing;
        if (averaged)
        {
            Name(layout["xaxis"]!, ColumnNames);
            Name(layout["yaxis"]!, RowNames);
        }
        return PlotlyJson.Figure([trace], layout);
    }

    private static void Name(JsonNode axis, IReadOnlyList<string>? names)
    {
        if (names is null)
            return;
        int every = ((names.Count - 1) / 30) + 1;
        int[] shown = [.. Enumerable.Range(0, names.Count).Where(i => i % every == 0)];
        (axis["tickmode"], axis["tickvals"], axis["ticktext"]) = ("array", PlotlyJson.Numbers(shown.Select(i => (double)i)), PlotlyJson.Texts(shown.Select(i => names[i])));
    }

    /// <summary>Cells averaged in square blocks until no side is longer than a picture can show.</summary>
    internal static Grid2D Averaged(Grid2D matrix)
    {
        int block = BlockSize(matrix);
        return block == 1 ? matrix : BlockMeans(matrix, block);
    }

    /// <summary>Means of square blocks; what is not finite is left out of them.</summary>
    internal static Grid2D BlockMeans(Grid2D matrix, int block)
    {
        int rows = ((matrix.Rows - 1) / block) + 1, columns = ((matrix.Columns - 1) / block) + 1;
        var means = new double[rows * columns];
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
            {
                double sum = 0;
                int count = 0;
                for (int r = row * block; r < Math.Min((row + 1) * block, matrix.Rows); r++)
                {
                    for (int c = column * block; c < Math.Min((column + 1) * block, matrix.Columns); c++)
                    {
                        if (double.IsFinite(matrix[r, c]))
                            (sum, count) = (sum + matrix[r, c], count + 1);
                    }
                }
                means[(row * columns) + column] = count == 0 ? double.NaN : sum / count;
            }
        }
        return Grid2D.Make(rows, columns, means);
    }

    internal static int BlockSize(Grid2D matrix) => ((Math.Max(matrix.Rows, matrix.Columns) - 1) / LargestSide) + 1;

    private bool HasNumbers => Matrix.Rows <= 14 && Matrix.Columns <= 14;

    private IEnumerable<double> Finite() => Matrix.Array.Where(double.IsFinite);

    private (double Low, double High) Limits()
    {
        if (Range is { } given)
            return given;
        // What is drawn sets the scale: the mean of a block is smaller than its largest cell.
        double[] drawn = [.. Averaged(Matrix).Array.Where(double.IsFinite).DefaultIfEmpty(0)];
        double low = drawn.Min(), high = drawn.Max();
        if (IsSigned)
        {
            double largest = Math.Max(-low, high);
            // Signs that cancel in every block leave zero everywhere: then the cells themselves say what is large.
            if (largest == 0)
                largest = Finite().Max(Math.Abs);
            return (-largest, largest);
        }
        return high - low <= Axis.Negligible ? (low - (low == 0 ? 1 : Math.Abs(low) / 2), high + (high == 0 ? 1 : Math.Abs(high) / 2)) : (low, high);
    }

    private (Box Image, double RowLabels) Layout(Box box)
    {
        double labels = Math.Min(MatrixAxes.RowLabelWidth(Matrix.Rows, RowNames), .35 * box.Width);
        double available = box.Width - labels - ColourBar.Reserve;
        // Square cells, up to a bar so flat or so tall that the page could not hold it.
        double cell = Math.Min(available / Matrix.Columns, 420.0 / Matrix.Rows);
        double width = Math.Min(available, Math.Max(cell * Matrix.Columns, available * .25));
        double height = Height is { } fixedHeight ? fixedHeight - 66 : Math.Clamp(cell * Matrix.Rows, 60, 420);
        if (Matrix.Columns <= 14)
            width = Math.Min(available, Math.Max(width, 52.0 * Matrix.Columns));
        if (Matrix.Rows <= 14 && Height is null)
            height = Math.Min(420, Math.Max(26.0 * Matrix.Rows, Math.Min(height, 44.0 * Matrix.Rows)));
        return (new Box(box.X + labels, box.Y + (YTitle.Length + ValueTitle.Length > 0 ? 24 : 4), Math.Max(20, width), Math.Max(20, height)), labels);
    }

    private void DrawNumbers(Canvas canvas, Box image, ColourMap map, double low, double high)
    {
        double width = image.Width / Matrix.Columns, height = image.Height / Matrix.Rows;
        double largest = Finite().Max(Math.Abs);
        string[] texts = [.. Matrix.Array.Select(v => double.IsFinite(v) ? Number(v, largest) : "")];
        if (height < 14 || texts.Max(t => TextMetrics.Width(t, 11)) > width - 4)
            return;
        Axis scale = Axis.Of([], log: false, 0, (low, high));
        for (int i = 0; i < texts.Length; i++)
        {
            var (r, g, b) = map.At(scale.Position(Matrix.Array[i]));
            string ink = Theme.Luminance(r, g, b) > .3 ? Theme.Ink : Theme.Paper;
            canvas.Text(image.X + (((i % Matrix.Columns) + .5) * width), image.Y + (((i / Matrix.Columns) + .5) * height) + 4, texts[i], "middle", 11, ink);
        }
    }

    // As many decimals in all cells as give the largest three digits; a small number among large ones would not fit otherwise.
    private static string Number(double value, double largest)
    {
        if (largest is < 1e-3 or >= 1e5 || value == 0)
            return Ticks.Short(value);
        int decimals = Math.Clamp(2 - (int)Math.Floor(Math.Log10(largest)), 0, 5);
        double rounded = Math.Round(value, decimals);
        return rounded == 0 ? Math.Abs(rounded).ToString("F" + decimals, CultureInfo.InvariantCulture) : Ticks.Short(rounded);
    }
}
