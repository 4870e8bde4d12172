namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>The scale beside a picture whose colours are numbers.</summary>
internal static class ColourBar
{
    public const double Width = 14;

    /// <summary>Space that a picture leaves to its right for the bar and its numbers.</summary>
    public const double Reserve = 88;

    public static void Draw(Canvas canvas, Box bar, ColourMap map, double low, double high, string title, Box bounds)
    {
        const int Steps = 64;
        byte[] pixels = [.. Enumerable.Range(0, Steps).Select(i => (byte)(Steps - 1 - i))];
        canvas.Image(bar, Png.Indexed(pixels, 1, Steps, map.Palette(Steps)), "colour scale");
        canvas.Rect(bar, "none", Theme.AxisLine);
        Axis scale = Axis.Of([], log: false, 0, (low, high));
        foreach (Tick tick in scale.TicksFor(Math.Max(2, (int)(bar.Height / 36))))
        {
            double y = bar.Bottom - (scale.Position(tick.Value) * bar.Height);
            canvas.Line(bar.Right, y, bar.Right + 3, y, Theme.AxisLine);
            canvas.Text(bar.Right + 6, y + 4, tick.Label, fill: Theme.Muted);
        }
        canvas.Text(TitleX(bar, title, bounds), bar.Y - 12, Shown(title, bounds), fill: Theme.Muted);
    }

    /// <summary>Where the title above the bar starts: moved left where it would leave the panel.</summary>
    public static double TitleX(Box bar, string title, Box bounds) => Math.Min(bar.X, bounds.Right - TextMetrics.Width(Shown(title, bounds)));

    private static string Shown(string title, Box bounds) => TextMetrics.Fit(title, bounds.Width * .5);
}
