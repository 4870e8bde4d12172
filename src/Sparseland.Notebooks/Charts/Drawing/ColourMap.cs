namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>Colours for numbers from 0 to 1, interpolated between a few anchors.</summary>
internal sealed class ColourMap
{
    private readonly (double R, double G, double B)[] anchors;

    private ColourMap(params string[] anchors) => this.anchors = [.. anchors.Select(Theme.Parse)];

    /// <summary>Perceptually even from dark blue to yellow, for amounts (anchors of viridis, van der Walt and Smith 2015).</summary>
    public static ColourMap Sequential { get; } = new("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725");

    /// <summary>Blue through near-white to red, for signed numbers with zero in the middle (anchors of ColorBrewer RdBu).</summary>
    public static ColourMap Diverging { get; } = new("#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f");

    /// <summary>Black to white, for pictures.</summary>
    public static ColourMap Grey { get; } = new("#000000", "#ffffff");

    /// <summary>White to dark blue, for shares.</summary>
    public static ColourMap Ink { get; } = new("#ffffff", "#9ecae1", "#0072b2", "#08306b");

    public (byte R, byte G, byte B) At(double share)
    {
        double place = Math.Clamp(share, 0, 1) * (anchors.Length - 1);
        int left = Math.Min((int)place, anchors.Length - 2);
        double t = place - left;
        var (a, b) = (anchors[left], anchors[left + 1]);
        return ((byte)Math.Round(a.R + (t * (b.R - a.R))), (byte)Math.Round(a.G + (t * (b.G - a.G))), (byte)Math.Round(a.B + (t * (b.B - a.B))));
    }

    public string Hex(double share)
    {
        var (r, g, b) = At(share);
        return Theme.Hex(r, g, b);
    }

    /// <summary>An even palette of the map's colours, the last place for missing values.</summary>
    public IReadOnlyList<(byte R, byte G, byte B)> Palette(int levels) =>
        [.. Enumerable.Range(0, levels).Select(i => At(i / (double)(levels - 1))), (0xC3, 0xC9, 0xD0)];

    /// <summary>The map as Plotly writes colour scales.</summary>
    public IReadOnlyList<(double Place, string Colour)> Scale() =>
        [.. anchors.Select((a, i) => (i / (double)(anchors.Length - 1), Theme.Hex(a.R, a.G, a.B)))];
}
