using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Notebooks;

/// <summary>HTML to show, with its stand-in as plain text. Works in every host without a warning.</summary>
public sealed partial record Markup : IMimeRenderable
{
    private Markup(string html, string plain) => (Source, Plain) = (html, plain);

    /// <summary>The HTML.</summary>
    public string Source { get; }

    /// <summary>What a reader without HTML sees.</summary>
    public string Plain { get; }

    /// <summary>HTML as it is.</summary>
    /// <param name="html">The HTML.</param>
    /// <param name="plain">Plain text; null for the HTML without its tags.</param>
    public static Markup Html(string html, string? plain = null)
    {
        ArgumentNullException.ThrowIfNull(html);
        return new Markup(html, plain ?? WebUtility.HtmlDecode(Spaces().Replace(Tag().Replace(Hidden().Replace(html, ""), " "), " ").Trim()));
    }

    /// <summary>Text in which nothing is a tag.</summary>
    public static Markup Text(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return new Markup($"<span>{Escape(text)}</span>", text);
    }

    /// <summary>Text as it must stand in HTML.</summary>
    public static string Escape(string text) => WebUtility.HtmlEncode(text);

    /// <inheritdoc/>
    public MimeBundle Render() => new(new Dictionary<string, JsonNode>
    {
        ["text/html"] = JsonValue.Create(Source),
        ["text/plain"] = JsonValue.Create(Plain),
    });

    /// <inheritdoc/>
    public override string ToString() => Plain;

    [GeneratedRegex("<(script|style)\\b.*?</\\1\\s*>", RegexOptions.Singleline | RegexOptions.IgnoreCase)]
    private static partial Regex Hidden();

    [GeneratedRegex("<[^>]*>")]
    private static partial Regex Tag();

    [GeneratedRegex("\\s+")]
    private static partial Regex Spaces();
}
