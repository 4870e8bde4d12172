using System.Globalization;
using System.Text;

namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>A compact writer of SVG elements. Coordinates are rounded to a tenth of a unit, which keeps files small.</summary>
internal sealed class Canvas
{
    private readonly StringBuilder body = new();

    public string Body => body.ToString();

    public int Length => body.Length;

    public void Rect(Box box, string fill, string? stroke = null, double radius = 0, double opacity = 1, double strokeWidth = 1)
    {
        body.Append($"<rect x=\"{N(box.X)}\" y=\"{N(box.Y)}\" width=\"{N(Math.Max(0, box.Width))}\" height=\"{N(Math.Max(0, box.Height))}\" fill=\"{fill}\"");
        if (radius > 0)
            body.Append($" rx=\"{N(radius)}\"");
        if (opacity < 1)
            body.Append($" fill-opacity=\"{N2(opacity)}\"");
        Stroke(stroke, strokeWidth, null);
        body.Append("/>");
    }

    public void Line(double x1, double y1, double x2, double y2, string stroke, double width = 1, string? dash = null)
    {
        body.Append($"<line x1=\"{N(x1)}\" y1=\"{N(y1)}\" x2=\"{N(x2)}\" y2=\"{N(y2)}\"");
        Stroke(stroke, width, dash);
        body.Append("/>");
    }

    public void Path(string data, string fill, string? stroke = null, double width = 1, string? dash = null, double opacity = 1)
    {
        if (data.Length == 0)
            return;
        body.Append($"<path d=\"{data}\" fill=\"{fill}\"");
        if (opacity < 1)
            body.Append($" fill-opacity=\"{N2(opacity)}\"");
        Stroke(stroke, width, dash);
        if (stroke is not null)
            body.Append(" stroke-linejoin=\"round\"");
        body.Append("/>");
    }

    public void Text(double x, double y, string text, string anchor = "start", double size = Theme.TextSize, string fill = Theme.Ink, bool bold = false)
    {
        if (text.Length == 0)
            return;
        body.Append($"<text x=\"{N(x)}\" y=\"{N(y)}\"");
        if (anchor != "start")
            body.Append($" text-anchor=\"{anchor}\"");
        if (size != Theme.TextSize)
            body.Append($" font-size=\"{N(size)}\"");
        if (fill != Theme.Ink)
            body.Append($" fill=\"{fill}\"");
        if (bold)
            body.Append(" font-weight=\"600\"");
        body.Append('>').Append(Escape(text)).Append("</text>");
    }

    /// <summary>Text with a light rim, readable over lines.</summary>
    public void HaloText(double x, double y, string text, string anchor, string fill, double size = Theme.TextSize)
    {
        if (text.Length == 0)
            return;
        string place = anchor == "start" ? "" : $" text-anchor=\"{anchor}\"";
        string font = size == Theme.TextSize ? "" : $" font-size=\"{N(size)}\"";
        body.Append($"<text x=\"{N(x)}\" y=\"{N(y)}\"{place}{font} fill=\"{fill}\" stroke=\"{Theme.Paper}\" stroke-width=\"3\" stroke-linejoin=\"round\" style=\"paint-order:stroke\">{Escape(text)}</text>");
    }

    /// <summary>Lines of text under one another; returns the y of the line after the last.</summary>
    public double Lines(double x, double y, IEnumerable<string> lines, double size = Theme.TextSize, string fill = Theme.Ink, bool bold = false, string anchor = "start")
    {
        foreach (string line in lines)
        {
            Text(x, y, line, anchor, size, fill, bold);
            y += size * Theme.LineHeight;
        }
        return y;
    }

    public void Image(Box box, byte[] png, string label = "")
    {
        string alternative = label.Length > 0 ? $" aria-label=\"{Escape(label)}\"" : "";
        body.Append($"<image x=\"{N(box.X)}\" y=\"{N(box.Y)}\" width=\"{N(box.Width)}\" height=\"{N(box.Height)}\" preserveAspectRatio=\"none\"")
            .Append($" style=\"image-rendering:pixelated\"{alternative} href=\"data:image/png;base64,{Convert.ToBase64String(png)}\"/>");
    }

    /// <summary>What is drawn until <see cref="EndClip"/> shows only inside the box. A nested svg clips without needing an id.</summary>
    public void BeginClip(Box box) =>
        body.Append($"<svg x=\"{N(box.X)}\" y=\"{N(box.Y)}\" width=\"{N(box.Width)}\" height=\"{N(box.Height)}\" viewBox=\"{N(box.X)} {N(box.Y)} {N(box.Width)} {N(box.Height)}\" overflow=\"hidden\">");

    public void EndClip() => body.Append("</svg>");

    /// <summary>What is drawn until <see cref="EndGroup"/> moves by an offset.</summary>
    public void BeginGroup(double dx, double dy) => body.Append($"<g transform=\"translate({N(dx)} {N(dy)})\">");

    public void EndGroup() => body.Append("</g>");

    /// <summary>A marker shape centred at a point: shapes tell series apart where colours do not.</summary>
    public void Marker(int shape, double x, double y, double r, string colour, bool hollow = false)
    {
        string fill = hollow ? Theme.Paper : colour;
        string stroke = hollow ? colour : Theme.Paper;
        string d = (shape % 6) switch
        {
            0 => $"M{N(x - r)} {N(y)}a{N(r)} {N(r)} 0 1 0 {N(2 * r)} 0a{N(r)} {N(r)} 0 1 0 {N(-2 * r)} 0z",
            1 => $"M{N(x - (.9 * r))} {N(y - (.9 * r))}h{N(1.8 * r)}v{N(1.8 * r)}h{N(-1.8 * r)}z",
            2 => $"M{N(x)} {N(y - (1.2 * r))}l{N(1.15 * r)} {N(2 * r)}h{N(-2.3 * r)}z",
            3 => $"M{N(x)} {N(y - (1.25 * r))}l{N(1.25 * r)} {N(1.25 * r)}l{N(-1.25 * r)} {N(1.25 * r)}l{N(-1.25 * r)} {N(-1.25 * r)}z",
            4 => $"M{N(x)} {N(y + (1.2 * r))}l{N(1.15 * r)} {N(-2 * r)}h{N(-2.3 * r)}z",
            _ => $"M{N(x - r)} {N(y - r)}l{N(2 * r)} {N(2 * r)}m0 {N(-2 * r)}l{N(-2 * r)} {N(2 * r)}",
        };
        if (shape % 6 == 5)
            Path(d, "none", colour, 1.8);
        else
            Path(d, fill, stroke, hollow ? 1.5 : .8);
    }

    /// <summary>Dots of one size: path data of zero-length strokes.</summary>
    public void Dots(string data, string colour, double diameter)
    {
        if (data.Length > 0)
            body.Append($"<path d=\"{data}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{N(diameter)}\" stroke-linecap=\"round\" stroke-opacity=\".55\"/>");
    }

    /// <summary>A number with at most one digit after the point.</summary>
    public static string N(double value)
    {
        double rounded = Math.Round(value, 1);
        return rounded == 0 ? "0" : rounded.ToString("0.#", CultureInfo.InvariantCulture);
    }

    public static string N2(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);

    /// <summary>Text as XML content or attribute; characters that XML forbids become a replacement sign.</summary>
    public static string Escape(string text)
    {
        var result = new StringBuilder(text.Length + 8);
        foreach (Rune rune in text.EnumerateRunes())
        {
            _ = rune.Value switch
            {
                '<' => result.Append("&lt;"),
                '>' => result.Append("&gt;"),
                '&' => result.Append("&amp;"),
                '"' => result.Append("&quot;"),
                '\t' or '\n' or '\r' => result.Append(' '),
                < 0x20 or 0xFFFE or 0xFFFF => result.Append('\uFFFD'),
                _ => result.Append(rune.ToString()),
            };
        }
        return result.ToString();
    }

    private void Stroke(string? stroke, double width, string? dash)
    {
        if (stroke is null)
            return;
        body.Append($" stroke=\"{stroke}\"");
        if (width != 1)
            body.Append($" stroke-width=\"{N(width)}\"");
        if (dash is not null)
            body.Append($" stroke-dasharray=\"{dash}\"");
    }
}
