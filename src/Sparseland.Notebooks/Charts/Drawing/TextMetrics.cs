using System.Globalization;
using System.Text;

namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>
/// Estimates how wide text will be. The reader's font is unknown here, so widths are those of a wide sans serif
/// (a little too wide rather than too narrow: a label that leaves space is better than one that is cut off).
/// </summary>
internal static class TextMetrics
{
    public static double Width(string text, double size = Theme.TextSize, bool bold = false)
    {
        double ems = 0;
        foreach (Rune rune in text.EnumerateRunes())
            ems += Ems(rune);
        return ems * size * (bold ? 1.07 : 1);
    }

    /// <summary>Breaks text at spaces into lines that fit; a single word that does not fit is broken itself.</summary>
    public static IReadOnlyList<string> Wrap(string text, double width, double size = Theme.TextSize, bool bold = false)
    {
        var lines = new List<string>();
        string line = "";
        foreach (string word in text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
        {
            string rest = word;
            string joined = line.Length == 0 ? rest : line + " " + rest;
            if (Width(joined, size, bold) <= width)
            {
                line = joined;
                continue;
            }
            if (line.Length > 0)
                lines.Add(line);
            while (Width(rest, size, bold) > width && rest.Length > 1)
            {
                int fit = Math.Max(1, FitCount(rest, width, size, bold));
                lines.Add(rest[..fit]);
                rest = rest[fit..];
            }
            line = rest;
        }
        if (line.Length > 0)
            lines.Add(line);
        return lines;
    }

    /// <summary>The text, cut with an ellipsis where it does not fit.</summary>
    public static string Fit(string text, double width, double size = Theme.TextSize, bool bold = false) =>
        Width(text, size, bold) <= width ? text : text[..FitCount(text, width - Width("…", size, bold), size, bold)].TrimEnd() + "…";

    private static int FitCount(string text, double width, double size, bool bold)
    {
        // Cut between what a reader sees as characters, never inside one.
        int count = 0;
        TextElementEnumerator elements = StringInfo.GetTextElementEnumerator(text);
        while (elements.MoveNext())
        {
            int end = elements.ElementIndex + elements.GetTextElement().Length;
            if (Width(text[..end], size, bold) > width)
                break;
            count = end;
        }
        return count;
    }

    private static double Ems(Rune rune) => rune.Value switch
    {
        'i' or 'j' or 'l' or '|' or '\'' or '.' or ',' or ':' or ';' or '!' => .31,
        'f' or 't' or 'r' or '(' or ')' or '[' or ']' or '/' or ' ' or '-' or '"' => .4,
        'm' or 'w' or 'M' or 'W' or '@' or '%' => .95,
        '=' or '+' or '<' or '>' or '~' or '×' or '−' or '≤' or '≥' or '±' or '→' => .8,
        '⁰' or '¹' or '²' or '³' or '⁴' or '⁵' or '⁶' or '⁷' or '⁸' or '⁹' or '⁻' => .42,
        >= 'A' and <= 'Z' => .71,
        >= '0' and <= '9' => .62,
        < 0x250 => .59,
        >= 0x300 and < 0x370 => 0,
        < 0x1100 => .65,
        _ => 1.05,
    };
}
