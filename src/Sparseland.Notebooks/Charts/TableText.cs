using System.Globalization;
using System.Text;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks.Charts;

/// <summary>Tables as HTML and as aligned text; numbers stand on the right with four significant digits.</summary>
internal static class TableText
{
    private const string CellStyle = "padding:3px 12px;border-bottom:1px solid #e4e7eb;background:#fff;color:#1f2933";

    public static string Html(IReadOnlyList<string> headings, IReadOnlyList<IReadOnlyList<object?>> rows, string title, string caption)
    {
        bool[] right = RightAligned(headings.Count, rows);
        var html = new StringBuilder("<div class=\"sl-table\" style=\"display:inline-block;max-width:100%;overflow-x:auto;background:#fff;color:#1f2933;border:1px solid #d9dee4;border-radius:6px;padding:10px 6px;margin-bottom:.6em\">");
        if (title.Length > 0)
            html.Append($"<div style=\"font-weight:600;padding:0 12px 6px\">{Markup.Escape(title)}</div>");
        html.Append("<table style=\"border-collapse:collapse;font-size:13px;margin:0\"><thead><tr>");
        for (int c = 0; c < headings.Count; c++)
            html.Append($"<th style=\"{CellStyle};font-weight:600;text-align:{(right[c] ? "right" : "left")}\">{Markup.Escape(headings[c])}</th>");
        html.Append("</tr></thead><tbody>");
        foreach (IReadOnlyList<object?> row in rows)
        {
            html.Append("<tr>");
            for (int c = 0; c < headings.Count; c++)
                html.Append($"<td style=\"{CellStyle};text-align:{(right[c] ? "right" : "left")};font-variant-numeric:tabular-nums\">{Markup.Escape(Cell(row[c]))}</td>");
            html.Append("</tr>");
        }
        html.Append("</tbody></table>");
        if (caption.Length > 0)
            html.Append($"<div style=\"color:#52606d;font-size:12px;padding:6px 12px 0\">{Markup.Escape(caption)}</div>");
        return html.Append("</div>").ToString();
    }

    public static string Plain(IReadOnlyList<string> headings, IReadOnlyList<IReadOnlyList<object?>> rows)
    {
        bool[] right = RightAligned(headings.Count, rows);
        string[][] texts = [[.. headings], .. rows.Select(r => r.Select(Cell).ToArray())];
        int[] widths = [.. Enumerable.Range(0, headings.Count).Select(c => texts.Max(r => r[c].Length))];
        var text = new StringBuilder();
        foreach (string[] row in texts)
        {
            IEnumerable<string> cells = row.Select((cell, c) => right[c] ? cell.PadLeft(widths[c]) : cell.PadRight(widths[c]));
            text.Append(string.Join("  ", cells).TrimEnd()).Append('\n');
        }
        return text.ToString();
    }

    public static bool[] RightAligned(int columns, IReadOnlyList<IReadOnlyList<object?>> rows) =>
        [.. Enumerable.Range(0, columns).Select(c => rows.Any(r => IsNumber(r[c])) && rows.All(r => r[c] is null || IsNumber(r[c])))];

    public static string Cell(object? value) => value switch
    {
        null => "",
        double d => Ticks.Short(d),
        float f => Ticks.Short(f),
        decimal m => Ticks.Short((double)m),
        sbyte or byte or short or ushort or int or uint or long or ulong => ((IFormattable)value).ToString("N0", CultureInfo.InvariantCulture),
        bool b => b ? "yes" : "no",
        IFormattable f => f.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString() ?? "",
    };

    private static bool IsNumber(object? value) => value is double or float or decimal or sbyte or byte or short or ushort or int or uint or long or ulong;
}
