using System.Globalization;
using System.IO.Compression;
using System.Text.RegularExpressions;
using System.Xml;
using System.Xml.Linq;
using Sparseland.Notebooks.Charts;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>A chart's SVG taken apart, so that tests can ask where something was drawn.</summary>
internal sealed partial class SvgPicture
{
    private static readonly XNamespace Svg = "http://www.w3.org/2000/svg";

    private SvgPicture(string text)
    {
        Text = text;
        using var reader = XmlReader.Create(new StringReader(text), new XmlReaderSettings { DtdProcessing = DtdProcessing.Prohibit });
        Root = XElement.Load(reader);
    }

    public string Text { get; }

    public XElement Root { get; }

    public double Width => ViewBox[2];

    public double Height => ViewBox[3];

    public string Title => Root.Element(Svg + "title")!.Value;

    public string Description => Root.Element(Svg + "desc")!.Value;

    public IReadOnlyList<string> Texts => [.. Root.Descendants(Svg + "text").Select(t => t.Value)];

    private double[] ViewBox => Numbers((string)Root.Attribute("viewBox")!);

    public static SvgPicture Of(Chart chart) => new(chart.ToSvg());

    /// <summary>The picture inside a chart's HTML.</summary>
    public static SvgPicture InHtml(string html)
    {
        const string Source = "src=\"data:image/svg+xml;base64,";
        int start = html.IndexOf(Source, StringComparison.Ordinal);
        Assert.True(start >= 0, "There is no SVG in: " + html[..Math.Min(300, html.Length)]);
        start += Source.Length;
        return new SvgPicture(System.Text.Encoding.UTF8.GetString(Convert.FromBase64String(html[start..html.IndexOf('"', start)])));
    }

    /// <summary>Where a text stands: the only one that reads so, or the one nearest to a place.</summary>
    public (double X, double Y) PlaceOf(string label, (double X, double Y)? nearestTo = null)
    {
        (double X, double Y)[] places = [.. Root.Descendants(Svg + "text").Where(t => t.Value == label).Select(t => (N(t, "x"), N(t, "y")))];
        return nearestTo is var (x, y) ? places.MinBy(p => Math.Abs(p.X - x) + Math.Abs(p.Y - y)) : Assert.Single(places);
    }

    /// <summary>Centres of the round markers (those of a chart's first series) inside the plot, in drawing order.</summary>
    public IReadOnlyList<(double X, double Y)> RoundMarks(bool everywhere = false) =>
        [.. (everywhere ? Root.Descendants(Svg + "path") : PlotPaths()).Select(p => Circle().Match((string)p.Attribute("d")!)).Where(m => m.Success)
            .Select(m => (D(m.Groups[1].Value) + D(m.Groups[3].Value), D(m.Groups[2].Value)))];

    /// <summary>Everything drawn inside the plot as a path.</summary>
    public IEnumerable<XElement> PlotPaths() => Root.Descendants(Svg + "svg").SelectMany(s => s.Descendants(Svg + "path"));

    /// <summary>Corners of the plot's lines of a colour, one list per stretch without a gap.</summary>
    public IReadOnlyList<IReadOnlyList<(double X, double Y)>> Strokes(string colour) =>
        [.. PlotPaths().Where(p => (string?)p.Attribute("stroke") == colour && (string?)p.Attribute("fill") == "none").SelectMany(p => Corners((string)p.Attribute("d")!))];

    /// <summary>Corners of a path of one stretch.</summary>
    public static IReadOnlyList<(double X, double Y)> CornersOf(XElement path) => Assert.Single(Corners((string)path.Attribute("d")!));

    /// <summary>Rectangles of a colour, as in bars.</summary>
    public IReadOnlyList<Box> Rectangles(string colour) =>
        [.. Root.Descendants(Svg + "rect").Where(r => (string?)r.Attribute("fill") == colour).Select(r => new Box(N(r, "x"), N(r, "y"), N(r, "width"), N(r, "height")))];

    /// <summary>The pixels of the picture with this description.</summary>
    public Pixmap Image(string label)
    {
        XElement image = Assert.Single(Root.Descendants(Svg + "image"), i => (string?)i.Attribute("aria-label") == label);
        const string Start = "data:image/png;base64,";
        string address = (string)image.Attribute("href")!;
        Assert.StartsWith(Start, address);
        return Pixmap.Read(Convert.FromBase64String(address[Start.Length..]), new Box(N(image, "x"), N(image, "y"), N(image, "width"), N(image, "height")));
    }

    /// <summary>What must be true of every picture: it brings all it needs, runs nothing, and every number in it is one.</summary>
    public void AssertSound()
    {
        string[] allowed = ["svg", "title", "desc", "g", "path", "rect", "line", "text", "image"];
        foreach (XElement element in Root.DescendantsAndSelf())
        {
            Assert.Contains(element.Name.LocalName, allowed);
            Assert.Equal(Svg, element.Name.Namespace);
            foreach (XAttribute attribute in element.Attributes().Where(a => !a.IsNamespaceDeclaration))
            {
                Assert.False(attribute.Name.LocalName.StartsWith("on", StringComparison.OrdinalIgnoreCase), attribute.ToString());
                if (attribute.Name.LocalName == "href")
                    Assert.StartsWith("data:image/png;base64,", attribute.Value);
                else
                    Assert.DoesNotContain("url(", attribute.Value);
                // NaN, an infinity or an exponent would match none of these.
                string? numbers = attribute.Name.LocalName switch
                {
                    "d" => "^[-0-9. Mlahvmz]+$",
                    "transform" => @"^translate\([-0-9. ]+\)$",
                    "x" or "y" or "width" or "height" or "x1" or "x2" or "y1" or "y2" or "viewBox" => "^[-0-9. ]+$",
                    _ => null,
                };
                if (numbers is not null)
                    Assert.Matches(numbers, attribute.Value);
            }
        }
        Assert.NotEmpty(Title);
        Assert.NotEmpty(Description);
        string[] ids = [.. Root.DescendantsAndSelf().Select(e => (string?)e.Attribute("id")).OfType<string>()];
        Assert.Equal(ids.Length, ids.Distinct().Count());
        Assert.Equal(((string)Root.Attribute("aria-labelledby")!).Split(' '), ids);
    }

    /// <summary>No text leaves the picture, and no two lie on one another. Widths are estimates on the wide side.</summary>
    public void AssertReadable()
    {
        var places = new List<(string Text, Box Box)>();
        foreach (XElement text in Root.Descendants(Svg + "text"))
        {
            double size = text.Attribute("font-size") is { } own ? D(own.Value) : Theme.TextSize;
            double width = TextMetrics.Width(text.Value, size, text.Attribute("font-weight") is not null);
            double x = N(text, "x"), y = N(text, "y");
            foreach (XElement group in text.Ancestors(Svg + "g"))
            {
                double[] move = Numbers(((string)group.Attribute("transform")!)["translate(".Length..^1]);
                (x, y) = (x + move[0], y + move[1]);
            }
            double left = (string?)text.Attribute("text-anchor") switch { "middle" => x - (width / 2), "end" => x - width, _ => x };
            places.Add((text.Value, new Box(left, y - (.75 * size), width, .95 * size)));
        }
        foreach (var (text, box) in places)
            Assert.True(box.X >= -.1 && box.Right <= Width + .1 && box.Y >= 0 && box.Bottom <= Height, $"\"{text}\" leaves the picture of {Width} x {Height}: {box}");
        for (int i = 0; i < places.Count; i++)
        {
            for (int j = i + 1; j < places.Count; j++)
            {
                var (a, b) = (places[i].Box, places[j].Box);
                bool apart = a.Right <= b.X + 1 || b.Right <= a.X + 1 || a.Bottom <= b.Y + 1 || b.Bottom <= a.Y + 1;
                Assert.True(apart, $"\"{places[i].Text}\" at {a} and \"{places[j].Text}\" at {b} lie on one another.");
            }
        }
    }

    private static IEnumerable<IReadOnlyList<(double X, double Y)>> Corners(string data)
    {
        var stroke = new List<(double X, double Y)>();
        foreach (Match m in Step().Matches(data))
        {
            double x = D(m.Groups[2].Value), y = D(m.Groups[3].Value);
            if (m.Groups[1].Value == "M")
            {
                if (stroke.Count > 0)
                    yield return stroke;
                stroke = [(x, y)];
            }
            else
            {
                stroke.Add((stroke[^1].X + x, stroke[^1].Y + y));
            }
        }
        yield return stroke;
    }

    private static double[] Numbers(string text) => [.. text.Split(' ').Select(D)];

    private static double D(string text) => double.Parse(text, CultureInfo.InvariantCulture);

    private static double N(XElement element, string attribute) => D((string)element.Attribute(attribute)!);

    [GeneratedRegex(@"^M(\S+) (\S+)a(\S+) ")]
    private static partial Regex Circle();

    [GeneratedRegex(@"([Ml])(-?[0-9.]+) (-?[0-9.]+)")]
    private static partial Regex Step();
}

/// <summary>The pixels of one of our PNG files.</summary>
internal sealed record Pixmap(int Width, int Height, (byte R, byte G, byte B)[] Pixels, Box Box)
{
    public (byte R, byte G, byte B) this[int row, int column] => Pixels[(row * Width) + column];

    public static Pixmap Read(byte[] png, Box box)
    {
        Assert.Equal([0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A], png[..8]);
        // The end chunk is always the same twelve bytes, its checksum included.
        Assert.Equal([0, 0, 0, 0, (byte)'I', (byte)'E', (byte)'N', (byte)'D', 0xAE, 0x42, 0x60, 0x82], png[^12..]);
        var parts = new Dictionary<string, byte[]>();
        for (int at = 8; at < png.Length;)
        {
            int length = (png[at] << 24) | (png[at + 1] << 16) | (png[at + 2] << 8) | png[at + 3];
            parts[System.Text.Encoding.ASCII.GetString(png, at + 4, 4)] = png[(at + 8)..(at + 8 + length)];
            at += 12 + length;
        }
        byte[] header = parts["IHDR"];
        int width = (header[2] << 8) | header[3], height = (header[6] << 8) | header[7];
        Assert.Equal(8, header[8]);
        using var unpacked = new MemoryStream();
        using (var zlib = new ZLibStream(new MemoryStream(parts["IDAT"]), CompressionMode.Decompress))
            zlib.CopyTo(unpacked);
        byte[] rows = unpacked.ToArray();
        int channels = header[9] == 2 ? 3 : 1, stride = (width * channels) + 1;
        Assert.Equal(stride * height, rows.Length);
        var pixels = new (byte, byte, byte)[width * height];
        for (int row = 0; row < height; row++)
        {
            Span<byte> line = rows.AsSpan(row * stride, stride);
            if (line[0] == 1)
            {
                for (int i = channels + 1; i < stride; i++)
                    line[i] += line[i - channels];
            }
            for (int column = 0; column < width; column++)
            {
                int from = channels == 3 ? 1 + (3 * column) : 3 * line[1 + column];
                ReadOnlySpan<byte> source = channels == 3 ? line : parts["PLTE"];
                pixels[(row * width) + column] = (source[from], source[from + 1], source[from + 2]);
            }
        }
        return new Pixmap(width, height, pixels, box);
    }
}
