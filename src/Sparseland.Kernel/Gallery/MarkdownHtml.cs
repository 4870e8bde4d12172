using System.Text.Json.Nodes;
using Markdig;
using Markdig.Extensions.Mathematics;
using Markdig.Renderers;
using Markdig.Renderers.Html;
using Markdig.Syntax;
using Markdig.Syntax.Inlines;
using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Gallery;

/// <summary>Markdown cells as HTML that needs nothing from outside: formulas as MathML, pictures inside the page.</summary>
internal static class MarkdownHtml
{
    private const long LargestPicture = 2 * 1024 * 1024;

    private static readonly MarkdownPipeline Pipeline = new MarkdownPipelineBuilder()
        .UsePipeTables().UseMathematics().UseAutoIdentifiers().UseEmphasisExtras().UseFootnotes().UseTaskLists().Build();

    // A title goes into pages of other notebooks: tags in it are text there.
    private static readonly MarkdownPipeline LinePipeline = new MarkdownPipelineBuilder().UseMathematics().UseEmphasisExtras().DisableHtml().Build();

    /// <summary>A text as HTML.</summary>
    /// <param name="markdown">The text.</param>
    /// <param name="folder">Where its relative picture paths start, or null.</param>
    /// <param name="link">Gives the address for a link to another notebook, or null to leave it.</param>
    /// <param name="attachments">A cell's attached pictures, or null.</param>
    public static string Render(string markdown, string? folder = null, Func<string, string?>? link = null, JsonObject? attachments = null) =>
        Render(Pipeline, markdown, folder, link, attachments);

    private static string Render(MarkdownPipeline pipeline, string markdown, string? folder, Func<string, string?>? link, JsonObject? attachments)
    {
        var document = Markdown.Parse(markdown, pipeline);
        foreach (var found in document.Descendants<LinkInline>())
        {
            var url = found.Url ?? "";
            found.Url = (found.IsImage ? Picture(url, folder, attachments) : link?.Invoke(url)) ?? url;
        }

        using var writer = new StringWriter();
        var renderer = new HtmlRenderer(writer);
        pipeline.Setup(renderer);
        renderer.ObjectRenderers.ReplaceOrAdd<HtmlMathInlineRenderer>(new InlineFormula());
        renderer.ObjectRenderers.ReplaceOrAdd<HtmlMathBlockRenderer>(new BlockFormula());
        renderer.Render(document);
        return writer.ToString();
    }

    /// <summary>A line of text, such as a title, without the paragraph around it.</summary>
    public static string Line(string markdown)
    {
        var html = Render(LinePipeline, markdown.Replace('\n', ' '), folder: null, link: null, attachments: null).Trim();
        return html.StartsWith("<p>", StringComparison.Ordinal) && html.EndsWith("</p>", StringComparison.Ordinal) ? html[3..^4] : HtmlPage.Encode(markdown);
    }

    private static string? Picture(string url, string? folder, JsonObject? attachments)
    {
        if (url.StartsWith("attachment:", StringComparison.Ordinal))
        {
            return attachments?[Uri.UnescapeDataString(url["attachment:".Length..])] is JsonObject forms && forms.FirstOrDefault() is { Key: { } type, Value: { } content }
                ? $"data:{type};base64,{NotebookJson.Lines(content)}"
                : null;
        }

        if (folder is null || url.Contains(':', StringComparison.Ordinal))
            return null;
        var path = Path.Combine(folder, Uri.UnescapeDataString(url));
        var kind = Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".png" => "image/png",
            ".svg" => "image/svg+xml",
            ".jpg" or ".jpeg" => "image/jpeg",
            ".gif" => "image/gif",
            _ => null,
        };
        return kind is not null && File.Exists(path) && new FileInfo(path).Length <= LargestPicture
            ? $"data:{kind};base64,{Convert.ToBase64String(File.ReadAllBytes(path))}"
            : null;
    }

    private sealed class InlineFormula : HtmlObjectRenderer<MathInline>
    {
        protected override void Write(HtmlRenderer renderer, MathInline obj) =>
            renderer.Write(TexMath.ToHtml(obj.Content.ToString(), display: obj.DelimiterCount > 1));
    }

    private sealed class BlockFormula : HtmlObjectRenderer<MathBlock>
    {
        protected override void Write(HtmlRenderer renderer, MathBlock obj) =>
            renderer.WriteLine(TexMath.ToHtml(obj.Lines.ToString(), display: true));
    }
}
