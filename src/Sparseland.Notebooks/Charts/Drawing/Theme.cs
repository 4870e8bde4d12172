using System.Globalization;

namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>
/// One look for all charts: a light panel of its own (readable on dark pages), quiet axes, and the palette of Okabe and Ito
/// (2008), which people with any common colour blindness can tell apart. Dashes and markers repeat what colour says.
/// </summary>
internal static class Theme
{
    public const double TextSize = 12;
    public const double TitleSize = 15;
    public const double LineHeight = 1.3;
    public const string Ink = "#1f2933";
    public const string Muted = "#52606d";
    public const string GridLine = "#e4e7eb";
    public const string AxisLine = "#7b8794";
    public const string Paper = "#fff";
    public const string Border = "#d9dee4";
    public const string Missing = "#c3c9d0";
    public const string Font = "'Segoe UI',system-ui,-apple-system,Roboto,'Helvetica Neue',Arial,sans-serif";

    private static readonly string[] Palette = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d", "#8c6bb1"];
    private static readonly string?[] Dashes = [null, "7 3", "2 2.5", "9 3 2 3", "12 4", "5 2 2 2 2 2"];

    public static string Colour(int series) => Palette[series % Palette.Length];

    public static string? Dash(int series) => Dashes[series % Dashes.Length];

    /// <summary>The series' colour, darkened until text in it reads on white (contrast 4.5 to 1).</summary>
    public static string TextColour(int series)
    {
        var (r, g, b) = Parse(Colour(series));
        while (1.05 / (Luminance(r, g, b) + .05) < 4.5)
            (r, g, b) = (r * .94, g * .94, b * .94);
        return Hex(r, g, b);
    }

    public static (double R, double G, double B) Parse(string hex) =>
        (int.Parse(hex.AsSpan(1, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture),
        int.Parse(hex.AsSpan(3, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture),
        int.Parse(hex.AsSpan(5, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture));

    public static string Hex(double r, double g, double b) => $"#{(int)Math.Round(r):x2}{(int)Math.Round(g):x2}{(int)Math.Round(b):x2}";

    /// <summary>Relative luminance of the web accessibility guidelines, from 0 to 1.</summary>
    public static double Luminance(double r, double g, double b)
    {
        static double Linear(double c) => c / 255 <= .04045 ? c / 255 / 12.92 : Math.Pow(((c / 255) + .055) / 1.055, 2.4);
        return (.2126 * Linear(r)) + (.7152 * Linear(g)) + (.0722 * Linear(b));
    }
}
