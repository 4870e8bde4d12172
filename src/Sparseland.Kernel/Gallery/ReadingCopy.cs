using System.Text;
using System.Text.Json.Nodes;
using Sparseland.Evaluation;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

namespace Sparseland.Kernel.Gallery;

/// <summary>How a reading copy stands among other pages.</summary>
/// <param name="Home">Address of the gallery, or null.</param>
/// <param name="Link">Gives the address for a link to another notebook, or null to leave it.</param>
/// <param name="ChartScript">Address of the file with the charts' script beside the page, or null for pictures only.</param>
public sealed record ReadingCopyOptions(string? Home = null, Func<string, string?>? Link = null, string? ChartScript = null);

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
        body.Append("<label><input type=\"checkbox\" id=\"hide-code\"> hide code</label></nav>\n");
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

        if (interactive)
            body.Append($"<script defer src=\"{HtmlPage.Encode(options.ChartScript)}\"></script>\n");
        return HtmlPage.Of(notebook.Title, body.ToString());
    }

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
