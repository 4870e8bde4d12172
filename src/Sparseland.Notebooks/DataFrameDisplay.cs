using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.Data.Analysis;
using Sparseland.Notebooks.Charts;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Notebooks;

/// <summary>Data frames as tables: the first rows, numbers on the right, and how many rows there are in all.</summary>
internal static class DataFrameDisplay
{
    private const int ShownRows = 20;
    private const int ShownColumns = 30;

    public static MimeBundle Render(DataFrame frame)
    {
        int columns = Math.Min(frame.Columns.Count, ShownColumns);
        int rows = (int)Math.Min(frame.Rows.Count, ShownRows);
        string[] headings = [.. frame.Columns.Take(columns).Select(c => c.Name)];
        object?[][] cells = [.. Enumerable.Range(0, rows).Select(r => Enumerable.Range(0, columns).Select(c => (object?)frame.Columns[c][r]).ToArray())];
        string size = string.Create(CultureInfo.InvariantCulture, $"{frame.Rows.Count:N0} rows, {frame.Columns.Count:N0} columns");
        if (frame.Rows.Count > rows)
            size += $"; the first {rows} rows shown";
        if (frame.Columns.Count > columns)
            size += $"; the first {columns} columns shown";
        return new MimeBundle(new Dictionary<string, JsonNode>
        {
            ["text/html"] = JsonValue.Create(TableText.Html(headings, cells, "", size)),
            ["text/plain"] = JsonValue.Create(TableText.Plain(headings, cells) + size),
        });
    }
}
