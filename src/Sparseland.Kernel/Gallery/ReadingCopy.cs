using System.Text;
using System.Text.Json.Nodes;
using Sparseland.Evaluation;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

namespace Sparseland.Kernel.Gallery;

/// <summary>How a reading copy stands among other pages.</summary>
/// <param name="Home">Address of the gallery, or null.</param>
/// <param name="Link">Gives the address for a link to another notebook, or null to leave it.</param>
/// <param name="Place">Where it stands in the series, or null.</param>
/// <param name="ChartScript">Address of the file with the charts' script beside the page, or null for pictures only.</param>
public sealed record ReadingCopyOptions(string? Home = null, Func<string, string?>? Link = null, string? ChartScript = null, SeriesPlace? Place = null);

/// <summary>A link to another page.</summary>
/// <param name="Title">Its text.</param>
/// <param name="Address">Relative address; null for the page itself.</param>
public sealed record PageLink(string Title, string? Address);

/// <summary>Where a reading copy stands in the series.</summary>
/// <param name="Chapter">Name of its chapter.</param>
/// <param name="OfChapter">All pages of the chapter, in their order.</param>
/// <param name="Previous">The page before it in the series, or null.</param>
/// <param name="Next">The page after it, or null.</param>
public sealed record SeriesPlace(string Chapter, IReadOnlyList<PageLink> OfChapter, PageLink? Previous, PageLink? Next);

/// <summary>A notebook as one HTML page: text, code and outputs, without a network, readable without scripts.</summary>
public static class ReadingCopy
{
    /// <summary>The page.</summary>
    public static string Render(Notebook notebook, ReadingCopyOptions options)
    {
        ArgumentNullException.ThrowIfNull(notebook);
        ArgumentNullException.ThrowIfNull(options);
        var interactive = options.ChartScript is not null && HasInteractiveCharts(notebook);
        var folder = Path.GetDirectoryName(Path.GetFullPath(notebook.Name));
        var body = new StringBuilder();
        body.Append("<nav>");
        if (options.Home is { } home)
            body.Append($"<a href=\"{HtmlPage.Encode(home)}\">Gallery</a>");
        AppendNeighbours(body, options.Place, isShort: true);
        body.Append("<label><input type=\"checkbox\" id=\"hide-code\"> hide code</label></nav>\n");
        if (options.Place is { OfChapter.Count: > 1 } place)
        {
            body.Append($"<details class=\"overview\"><summary>{HtmlPage.Encode(place.Chapter)}</summary>\n<ol>\n")
                .AppendJoin("", place.OfChapter.Select(link => link.Address is null ? $"<li aria-current=\"page\"><b>{MarkdownHtml.Line(link.Title)}</b></li>\n" : $"<li>{Anchor(link, MarkdownHtml.Line(link.Title))}</li>\n"))
                .Append("</ol></details>\n");
        }

        body.Append($"<p class=\"meta\">{Status(notebook)}</p>\n");
        foreach (var cell in notebook.Cells)
        {
            switch (cell.Type)
            {
                case "markdown":
                    body.Append("<section class=\"text\">").Append(MarkdownHtml.Render(cell.Source, folder, options.Link, cell.Json["attachments"] as JsonObject)).Append("</section>\n");
                    break;
                case "code":
                    if (!string.IsNullOrWhiteSpace(cell.Source))
                        body.Append("<pre class=\"source\"><code>").Append(CodeHtml.Render(cell.Source)).Append("</code></pre>\n");
                    foreach (var output in cell.Outputs)
                        body.Append("<div class=\"output\">").Append(OutputHtml.Render(output, interactive)).Append("</div>\n");
                    break;
            }
        }

        if (options.Place is { } at && (at.Previous ?? at.Next) is not null)
        {
            body.Append("<nav class=\"foot\">");
            AppendNeighbours(body, at, isShort: false);
            body.Append("</nav>\n");
        }

        if (interactive)
            body.Append($"<script defer src=\"{HtmlPage.Encode(options.ChartScript)}\"></script>\n");
        return HtmlPage.Of(notebook.Title, body.ToString());
    }

    private static void AppendNeighbours(StringBuilder body, SeriesPlace? place, bool isShort)
    {
        if (place?.Previous is { } previous)
            body.Append(Anchor(previous, "← " + (isShort ? "previous" : MarkdownHtml.Line(previous.Title)), "prev"));
        if (place?.Next is { } next)
            body.Append(Anchor(next, (isShort ? "next" : MarkdownHtml.Line(next.Title)) + " →", "next"));
    }

    private static string Anchor(PageLink link, string html, string? relation = null) =>
        $"<a{(relation is null ? "" : $" rel=\"{relation}\" title=\"{HtmlPage.Encode(link.Title)}\"")} href=\"{HtmlPage.Encode(link.Address)}\">{html}</a>";

    /// <summary>Whether the notebook has charts that a script can make interactive.</summary>
    internal static bool HasInteractiveCharts(Notebook notebook) => notebook.CodeCells.SelectMany(c => c.Outputs).Any(OutputHtml.IsInteractive);

    private static string Status(Notebook notebook)
    {
        var parts = new List<string>();
        if (RunRecord.Read(notebook) is { } record)
            parts.Add($"run at {record.Scale} scale in {HtmlPage.Time(record.Seconds)}, {record.PeakMemoryMB} MB");
        else
            parts.Add("no completed run");
        if (StoredClaims.Of(notebook) is { Count: > 0 } claims)
            parts.Add(ClaimCounts.Of(claims).ToString());
        return HtmlPage.Encode(string.Join("; ", parts));
    }
}
