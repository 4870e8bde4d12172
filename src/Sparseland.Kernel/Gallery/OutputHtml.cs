using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;
using Sparseland.Notebooks.Charts;

namespace Sparseland.Kernel.Gallery;

/// <summary>Outputs as HTML: of each the richest form that needs no script.</summary>
internal static partial class OutputHtml
{
    /// <summary>One output.</summary>
    /// <param name="output">An output of the notebook format.</param>
    /// <param name="interactive">Whether the page carries the charts' script; the static pictures stay either way.</param>
    public static string Render(JsonObject output, bool interactive = false)
    {
        switch (output.Text("output_type"))
        {
            case "stream":
                var name = output.Text("name") == "stderr" ? " stderr" : "";
                return $"<pre class=\"stream{name}\">{Plain(NotebookJson.Lines(output["text"]))}</pre>";
            case "error":
                var lines = output["traceback"] is JsonArray { Count: > 0 } traceback ? traceback.Select(l => (string?)l ?? "") : [$"{output.Text("ename")}: {output.Text("evalue")}"];
                return $"<pre class=\"error\">{Plain(string.Join('\n', lines))}</pre>";
            default:
                return output["data"] is JsonObject data ? Data(data, interactive) : "";
        }
    }

    /// <summary>The pictures (svg elements) of an output, each able to stand in a file of its own.</summary>
    public static IEnumerable<string> Pictures(JsonObject output)
    {
        if (output["data"] is not JsonObject data)
            yield break;
        var text = NotebookJson.Lines(data["image/svg+xml"]) ?? NotebookJson.Lines(data["text/html"]);
        if (text is null)
            yield break;
        text = ImageSource().Replace(text, image => Decoded(image.Groups[1].Value));
        for (var at = 0; (at = text.IndexOf("<svg", at, StringComparison.Ordinal)) >= 0;)
        {
            var end = EndOfElement(text, at);
            if (end < 0)
                yield break;
            var svg = text[at..end];
            at = end;
            yield return svg.Contains("xmlns=", StringComparison.Ordinal) ? svg : "<svg xmlns=\"http://www.w3.org/2000/svg\"" + svg["<svg".Length..];
        }
    }

    /// <summary>Whether an output has a figure that <see cref="InteractiveCharts"/> can bring to life.</summary>
    public static bool IsInteractive(JsonObject output) => output["data"] is JsonObject data && data[InteractiveCharts.MimeType] is not null;

    private static string Data(JsonObject data, bool interactive)
    {
        if (NotebookJson.Lines(data["text/html"]) is { } html)
        {
            html = OutputCleaning.WithoutScripts(html);
            if (interactive && data[InteractiveCharts.MimeType] is { } figure)
                html = InteractiveCharts.Mark(html, figure.ToJsonString());
            return $"<div class=\"rich\">{html}</div>";
        }

        if (NotebookJson.Lines(data["image/svg+xml"]) is { } svg)
            return $"<div class=\"rich\">{XmlHead().Replace(OutputCleaning.WithoutScripts(svg), "")}</div>";
        foreach (var type in (string[])["image/png", "image/jpeg", "image/gif"])
        {
            if (NotebookJson.Lines(data[type]) is { } picture)
                return $"<img alt=\"\" src=\"data:{type};base64,{picture.ReplaceLineEndings("")}\">";
        }

        if (NotebookJson.Lines(data["text/markdown"]) is { } markdown)
            return MarkdownHtml.Render(markdown);
        if (NotebookJson.Lines(data["text/latex"]) is { } latex)
            return TexMath.ToHtml(latex.Trim('$', ' ', '\n'), display: true);
        return NotebookJson.Lines(data["text/plain"]) is { } text ? $"<pre>{Plain(text)}</pre>" : "";
    }

    // What is no base64 is no picture; the page shows it as the notebook has it.
    private static string Decoded(string base64)
    {
        var bytes = new byte[base64.Length];
        return Convert.TryFromBase64String(base64, bytes, out var count) ? Encoding.UTF8.GetString(bytes, 0, count) : "";
    }

    private static int EndOfElement(string text, int start)
    {
        var depth = 0;
        foreach (Match tag in SvgTag().Matches(text[start..]))
        {
            if (tag.Value.EndsWith("/>", StringComparison.Ordinal))
            {
                if (depth == 0)
                    return start + tag.Index + tag.Length;
                continue;
            }

            depth += tag.Value[1] == '/' ? -1 : 1;
            if (depth == 0)
                return start + tag.Index + tag.Length;
        }

        return -1;
    }

    private static string Plain(string? text) => WebUtility.HtmlEncode(Ansi().Replace(text ?? "", ""));

    [GeneratedRegex("<img src=\"data:image/svg\\+xml;base64,([A-Za-z0-9+/=]+)\"[^>]*>")]
    private static partial Regex ImageSource();

    [GeneratedRegex(@"</?svg\b(?:[^>""']|""[^""]*""|'[^']*')*>")]
    private static partial Regex SvgTag();

    [GeneratedRegex(@"^\s*<\?xml[^>]*\?>|<!DOCTYPE[^>]*>")]
    private static partial Regex XmlHead();

    [GeneratedRegex(@"\x1b\[[0-9;?]*[A-Za-z]")]
    private static partial Regex Ansi();
}
