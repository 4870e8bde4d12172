using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Sparseland.Notebooks.Charts.Drawing;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Notebooks.Charts;

/// <summary>
/// A picture of some data. The chart is the data; it draws itself as SVG without any script, which shows in every notebook
/// host, and gives the same data as a Plotly figure to hosts that can be interactive.
/// </summary>
/// <remarks>
/// Charts are made by the static methods of this class, all of which read alike:
/// <code>
/// Chart.Curves([("ISTA", slow), ("FISTA", fast)], x: "iteration", y: "objective [1]", logY: true, caption: "...")
/// Chart.Curves([Series.Over("5 seeds", runs)], x: "step", y: "error [1]")               // median, band lowest to highest
/// Chart.Pareto([("TopK", l0, mse), ("ReLU", l0b, mseb)], x: "L0", y: "MSE [1]", best: Better.LowerLeft)
/// Chart.Scatter([("codes", trueValues, estimated)], x: "true [1]", y: "estimate [1]", diagonal: true)
/// Chart.Histogram([("before", a), ("after", b)], x: "coefficient [1]", bins: 40, logY: true)
/// Chart.Bars(["dense", "sparse"], [new Series("CPU", [9.1, 2.2])], y: "time [ms]")
/// Chart.HeatMap(gram, x: "atom", y: "atom", value: "inner product [1]")
/// Chart.Atoms(dictionary, patchSize: 12, columns: 16, sortBy: usage)
/// Chart.Images([("input", image), ("whitened", white)])
/// Chart.Support(Select.TopK(scores, Budget.PerRow(8)), x: "feature", y: "token")
/// Chart.Table(["method", "NMSE"], [["ISTA", 0.031], ["FISTA", 0.029]])
/// Chart.Row(a, b)          Chart.Grid(2, a, b, c, d)
/// </code>
/// Anything may be changed afterwards with <c>chart with { Title = "..." }</c>.
/// </remarks>
public abstract partial record Chart : IMimeRenderable
{
    private const double Padding = 14;

    /// <summary>Heading, or empty.</summary>
    public string Title { get; init; } = "";

    /// <summary>A sentence that says what to see, or empty. Missing or left-out data are added to it.</summary>
    public string Caption { get; init; } = "";

    /// <summary>Width in CSS pixels at which the chart is laid out; it shrinks with a narrow page. At least 160.</summary>
    public double Width { get; init; } = 720;

    /// <summary>Height of the part between title and caption in CSS pixels; null for what suits the kind of chart.</summary>
    public double? Height { get; init; }

    /// <summary>The chart as a standalone SVG document, without script and without reference to anything outside.</summary>
    /// <exception cref="ArgumentException">The data do not fit the settings, such as a zero on a log axis.</exception>
    public string ToSvg()
    {
        Check();
        double height = Math.Ceiling(TotalHeight(Width));
        var canvas = new Canvas();
        DrawPanel(canvas, new Box(0, 0, Width, height), framed: true);
        string name = Canvas.Escape(Title.Length > 0 ? Title : Kind);
        string text = Canvas.Escape(Description());
        // An identity made from the content is the same in every run and differs between different charts of a page.
        string id = "sl-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(canvas.Body + text)))[..10];
        string size = $"{Canvas.N(Width)} {Canvas.N(height)}";
        return $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" "
            + $"style=\"width:100%;max-width:{Canvas.N(Width)}px;height:auto;display:block\" font-family=\"{Theme.Font}\" font-size=\"{Canvas.N(Theme.TextSize)}\" fill=\"{Theme.Ink}\">"
            + $"<title id=\"{id}-t\">{name}</title><desc id=\"{id}-d\">{text}</desc>{canvas.Body}</svg>";
    }

    /// <summary>Writes the SVG to a file.</summary>
    /// <param name="path">The file; an existing one is replaced.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void SaveSvg(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        string svg = ToSvg();
        string? folder = Path.GetDirectoryName(Path.GetFullPath(path));
        if (folder is not null)
            Directory.CreateDirectory(folder);
        File.WriteAllText(path, svg);
    }

    /// <summary>
    /// The chart as a Plotly figure: a JSON object with <c>data</c> and <c>layout</c>, all points included. Needs nothing of
    /// Plotly.NET; for its object see <see cref="PlotlyConversion.ToPlotly"/>.
    /// </summary>
    public string ToPlotlyJson()
    {
        Check();
        return Figure(full: true).ToJsonString();
    }

    /// <summary>
    /// HTML with the SVG as an image inside, a text description, and, for charts that gain from it and whose figure is small, the Plotly
    /// figure.
    /// </summary>
    public MimeBundle Render()
    {
        string? json = SmallFigure();
        var data = new Dictionary<string, JsonNode>
        {
            ["text/html"] = JsonValue.Create(Html(json)),
            ["text/plain"] = JsonValue.Create(ToString()),
        };
        if (json is not null)
            data[InteractiveCharts.MimeType] = JsonNode.Parse(json)!;
        return new MimeBundle(data);
    }

    /// <summary>A short description with the main numbers.</summary>
    public sealed override string ToString()
    {
        var text = new StringBuilder(Title.Length > 0 ? $"{Title} ({Kind})" : char.ToUpperInvariant(Kind[0]) + Kind[1..]);
        foreach (string fact in Facts())
            text.Append("\n  ").Append(fact);
        if (FullCaption is { Length: > 0 } caption)
            text.Append('\n').Append(caption);
        return text.ToString();
    }

    /// <summary>What sort of chart it is, in lower case.</summary>
    internal abstract string Kind { get; }

    /// <summary>Whether panning, zooming and hovering add anything.</summary>
    internal virtual bool GainsFromInteraction => true;

    /// <summary>Whether the content fills a taller panel beside a taller neighbour.</summary>
    internal virtual bool StretchesInGrid => Height is null;

    internal string FullCaption
    {
        get
        {
            string remarks = string.Join(" ", Remarks());
            return Caption.Length == 0 ? remarks : remarks.Length == 0 ? Caption : $"{Caption.TrimEnd()} {remarks}";
        }
    }

    /// <summary>One line per series or fact.</summary>
    internal abstract IEnumerable<string> Facts();

    /// <summary>Sentences that honesty adds to the caption.</summary>
    internal virtual IEnumerable<string> Remarks() => [];

    /// <summary>Height that the content wants at a width.</summary>
    internal abstract double ContentHeight(double width);

    internal abstract void DrawContent(Canvas canvas, Box box);

    /// <summary>The Plotly figure.</summary>
    /// <param name="full">All points; otherwise as many as the static picture draws.</param>
    internal abstract JsonObject Figure(bool full);

    /// <summary>Throws where data and settings do not fit each other.</summary>
    internal virtual void Check()
    {
        if (!(Width >= 160 && Width <= 4000))
            throw new ArgumentOutOfRangeException(nameof(Width), Width, "A chart's width must be from 160 to 4000.");
        if (Height is { } height && !(height >= 40 && height <= 8000))
            throw new ArgumentOutOfRangeException(nameof(Height), height, "A chart's height must be from 40 to 8000.");
    }

    internal double TotalHeight(double width)
    {
        double inner = width - (2 * Padding);
        return (2 * Padding) + TitleHeight(inner) + (Height ?? ContentHeight(inner)) + CaptionHeight(inner);
    }

    internal void DrawPanel(Canvas canvas, Box box, bool framed)
    {
        if (framed)
            canvas.Rect(new Box(.5, .5, box.Width - 1, box.Height - 1), Theme.Paper, Theme.Border, radius: 6);
        Box inner = box.Inset(Padding, Padding, Padding, Padding);
        double titleHeight = TitleHeight(inner.Width), captionHeight = CaptionHeight(inner.Width);
        canvas.Lines(inner.X, inner.Y + Theme.TitleSize, TitleLines(inner.Width), Theme.TitleSize, bold: true);
        DrawContent(canvas, inner.Inset(0, titleHeight, 0, captionHeight));
        canvas.Lines(inner.X, inner.Bottom - captionHeight + 8 + Theme.TextSize, CaptionLines(inner.Width), fill: Theme.Muted);
    }

    internal virtual string Html(string? json)
    {
        string figure = json is not null && InteractiveCharts.Enabled ? InteractiveCharts.Attribute(json) : "";
        // As the source of an image: pages remove svg elements from notebooks that are not trusted yet, which is every
        // notebook of a fresh clone, but leave images alone.
        string source = "data:image/svg+xml;base64," + Convert.ToBase64String(Encoding.UTF8.GetBytes(ToSvg()));
        string size = $"width=\"{Canvas.N(Width)}\" height=\"{Canvas.N(Math.Ceiling(TotalHeight(Width)))}\"";
        return $"<figure class=\"{InteractiveCharts.FigureClass}\"{figure} style=\"margin:0 0 .6em 0;max-width:{Canvas.N(Width)}px\">"
            + $"<img src=\"{source}\" alt=\"{Canvas.Escape(ToString())}\" {size} style=\"width:100%;height:auto;display:block\"></figure>";
    }

    /// <summary>Figures above this size stay out of the stored output: they would double a notebook for little.</summary>
    internal const int LargestStoredFigure = 40_000;

    private protected static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private string? SmallFigure()
    {
        if (!GainsFromInteraction)
            return null;
        Check();
        string json = Figure(full: false).ToJsonString();
        return json.Length <= LargestStoredFigure ? json : null;
    }

    private string Description() => string.Join("; ", Facts().Append(FullCaption).Where(part => part.Length > 0));

    private IReadOnlyList<string> TitleLines(double width) => TextMetrics.Wrap(Title, width, Theme.TitleSize, bold: true);

    private IReadOnlyList<string> CaptionLines(double width) => TextMetrics.Wrap(FullCaption, width);

    private double TitleHeight(double width) => TitleLines(width).Count is var lines and > 0 ? (lines * Theme.TitleSize * Theme.LineHeight) + 8 : 0;

    private double CaptionHeight(double width) => CaptionLines(width).Count is var lines and > 0 ? (lines * Theme.TextSize * Theme.LineHeight) + 8 : 0;
}
