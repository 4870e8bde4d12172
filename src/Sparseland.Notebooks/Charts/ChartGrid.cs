using System.Globalization;
using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

/// <summary>Charts side by side in one picture.</summary>
public sealed record ChartGrid : Chart
{
    private const double Gap = 10;

    internal ChartGrid(int columns, IReadOnlyList<Chart> charts) => (Columns, Charts) = (columns, charts);

    /// <summary>Charts in a row.</summary>
    public int Columns { get; }

    /// <summary>The charts in reading order.</summary>
    public IReadOnlyList<Chart> Charts { get; }

    internal override string Kind => "charts side by side";

    internal override bool GainsFromInteraction => false;

    internal override IEnumerable<string> Facts() => Charts.SelectMany(c => c.ToString().Split('\n'));

    internal override void Check()
    {
        base.Check();
        foreach (Chart chart in Charts)
            chart.Check();
    }

    internal override double ContentHeight(double width) => RowHeights(width).Sum();

    internal override void DrawContent(Canvas canvas, Box box)
    {
        double slot = Slot(box.Width);
        double[] heights = RowHeights(box.Width);
        double y = box.Y;
        for (int i = 0; i < Charts.Count; i++)
        {
            int row = i / Columns, column = i % Columns;
            if (column == 0 && row > 0)
                y += heights[row - 1];
            canvas.BeginGroup(box.X + (column * (slot + Gap)), y);
            Charts[i].DrawPanel(canvas, new Box(0, 0, slot, Charts[i].StretchesInGrid ? heights[row] : Charts[i].TotalHeight(slot)), framed: false);
            canvas.EndGroup();
        }
    }

    internal override JsonObject Figure(bool full)
    {
        var data = new JsonArray();
        JsonObject layout = PlotlyJson.Layout(this, null, null, legend: true, caption: Captions());
        layout["shapes"] = new JsonArray();
        layout["annotations"] ??= new JsonArray();
        int rows = ((Charts.Count - 1) / Columns) + 1, axes = 0;
        for (int i = 0; i < Charts.Count; i++)
        {
            JsonObject figure = Charts[i].Figure(full);
            double width = 1.0 / Columns, height = 1.0 / rows;
            double[] across = [(i % Columns * width) + (.05 * width), ((i % Columns) + 1) * width];
            double[] up = [1 - (((i / Columns) + .95) * height), 1 - (((i / Columns) + .12) * height)];
            var names = new Dictionary<string, string>();
            foreach (var (key, axis) in figure["layout"]!.AsObject().Where(e => e.Key.StartsWith("xaxis", StringComparison.Ordinal)))
            {
                string old = key["xaxis".Length..];
                axes++;
                string suffix = axes == 1 ? "" : axes.ToString(CultureInfo.InvariantCulture);
                (names["x" + old], names["y" + old]) = ("x" + suffix, "y" + suffix);
                foreach (string letter in new[] { "x", "y" })
                {
                    JsonObject copy = figure["layout"]![letter + "axis" + old]!.DeepClone().AsObject();
                    double[] cell = letter == "x" ? across : up;
                    double[] own = copy["domain"] is JsonArray part ? [.. part.Select(v => v!.GetValue<double>())] : [0, 1];
                    copy["domain"] = PlotlyJson.Numbers(own.Select(share => cell[0] + (share * (cell[1] - cell[0]))));
                    // An axis of its own partner, unless the chart shares one among several plots; all names stand before any is used.
                    copy["anchor"] = (string?)copy["anchor"] is { } shared && names.TryGetValue(shared, out string? other) ? other : (letter == "x" ? "y" : "x") + suffix;
                    if (copy["scaleanchor"] is { } anchor)
                        copy["scaleanchor"] = names[anchor.GetValue<string>()];
                    layout[letter + "axis" + suffix] = copy;
                }
            }
            foreach (JsonNode? trace in figure["data"]!.AsArray())
            {
                JsonObject copy = trace!.DeepClone().AsObject();
                if (!figure["layout"]!["showlegend"]!.GetValue<bool>())
                    copy["showlegend"] = false;
                if (names.Count == 0)
                    copy["domain"] = new JsonObject { ["x"] = PlotlyJson.Numbers(across), ["y"] = PlotlyJson.Numbers(up) };
                else
                    Rename(copy, names, "xaxis", "yaxis");
                data.Add(copy);
            }
            if (Charts[i].Title.Length > 0)
            {
                // A figure has one title only, so the charts' own stand as notes above them.
                layout["annotations"]!.AsArray().Add(new JsonObject
                {
                    ["text"] = PlotlyJson.Text(Charts[i].Title),
                    ["xref"] = "paper",
                    ["yref"] = "paper",
                    ["x"] = across[0],
                    ["y"] = up[1],
                    ["xanchor"] = "left",
                    ["yanchor"] = "bottom",
                    ["showarrow"] = false,
                });
            }
            foreach (string list in new[] { "shapes", "annotations" })
            {
                foreach (JsonNode? item in figure["layout"]![list]?.AsArray() ?? [])
                {
                    if ((string?)item!["name"] == PlotlyJson.CaptionName)
                        continue;
                    JsonObject copy = item!.DeepClone().AsObject();
                    Rename(copy, names, "xref", "yref");
                    layout[list]!.AsArray().Add(copy);
                }
            }
        }
        return PlotlyJson.Figure(data, layout);
    }

    // A figure has one place for captions: each chart's own stands in it under its title.
    private string Captions() => string.Join(" ", Charts.Where(c => c.FullCaption.Length > 0)
        .Select(c => c.Title.Length > 0 ? $"{c.Title}: {c.FullCaption}" : c.FullCaption).Append(FullCaption).Where(c => c.Length > 0));

    // An axis name stands alone ("x") or before " domain".
    private static void Rename(JsonObject target, Dictionary<string, string> names, string xKey, string yKey)
    {
        foreach (var (key, fallback) in new[] { (xKey, "x"), (yKey, "y") })
        {
            string[] words = (target[key]?.GetValue<string>() ?? fallback).Split(' ', 2);
            target[key] = words.Length == 1 ? names[words[0]] : names[words[0]] + " " + words[1];
        }
    }

    private double Slot(double width) => (width - (Gap * (Columns - 1))) / Columns;

    private double[] RowHeights(double width) => [.. Charts.Chunk(Columns).Select(row => row.Max(c => c.TotalHeight(Slot(width))))];
}
