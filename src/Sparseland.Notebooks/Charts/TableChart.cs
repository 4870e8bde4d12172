using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

/// <summary>A table: real HTML in a notebook, drawn text inside a row or grid of charts.</summary>
public sealed record TableChart : Chart
{
    private const double RowHeight = 21;

    internal TableChart(IReadOnlyList<string> headings, IReadOnlyList<IReadOnlyList<object?>> rows) => (Headings, Rows) = (headings, rows);

    /// <summary>Column headings, with units.</summary>
    public IReadOnlyList<string> Headings { get; }

    /// <summary>Rows of text and numbers; numbers get four significant digits.</summary>
    public IReadOnlyList<IReadOnlyList<object?>> Rows { get; }

    internal override string Kind => "table";

    internal override bool GainsFromInteraction => false;

    internal override bool StretchesInGrid => false;

    internal override IEnumerable<string> Facts() => TableText.Plain(Headings, Rows).TrimEnd('\n').Split('\n');

    internal override double ContentHeight(double width) => ((Rows.Count + 1) * RowHeight) + 4;

    internal override void DrawContent(Canvas canvas, Box box)
    {
        bool[] right = TableText.RightAligned(Headings.Count, Rows);
        double[] widths = Widths(box.Width);
        DrawRow(canvas, box.X, box.Y, Headings, widths, right, bold: true);
        double y = box.Y + RowHeight;
        foreach (IReadOnlyList<object?> row in Rows)
        {
            canvas.Line(box.X, y, box.X + widths.Sum(), y, Theme.GridLine);
            DrawRow(canvas, box.X, y, [.. row.Select(TableText.Cell)], widths, right, bold: false);
            y += RowHeight;
        }
    }

    internal override string Html(string? json) => TableText.Html(Headings, Rows, Title, FullCaption);

    internal override JsonObject Figure(bool full)
    {
        var columns = new JsonArray();
        for (int c = 0; c < Headings.Count; c++)
            columns.Add(PlotlyJson.Texts(Rows.Select(r => TableText.Cell(r[c]))));
        var trace = new JsonObject
        {
            ["type"] = "table",
            ["header"] = new JsonObject { ["values"] = PlotlyJson.Texts(Headings) },
            ["cells"] = new JsonObject { ["values"] = columns },
        };
        return PlotlyJson.Figure([trace], PlotlyJson.Layout(this, null, null));
    }

    private double[] Widths(double available)
    {
        double[] wished = [.. Headings.Select((h, c) => Math.Max(TextMetrics.Width(h, bold: true), Rows.Select(r => TextMetrics.Width(TableText.Cell(r[c]))).DefaultIfEmpty(0).Max()) + 16)];
        double scale = Math.Min(1, available / wished.Sum());
        return [.. wished.Select(w => w * scale)];
    }

    private static void DrawRow(Canvas canvas, double x, double y, IReadOnlyList<string> cells, double[] widths, bool[] right, bool bold)
    {
        for (int c = 0; c < cells.Count; c++)
        {
            string text = TextMetrics.Fit(cells[c], widths[c] - 10, bold: bold);
            canvas.Text(right[c] ? x + widths[c] - 8 : x, y + 15, text, right[c] ? "end" : "start", bold: bold);
            x += widths[c];
        }
    }
}
