using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Sparseland.Autoencoders.Dashboards;

namespace Sparseland.Notebooks.Dashboards;

/// <summary>
/// Tokens as HTML in which nothing is a tag and nothing is unseen: line breaks, control characters, marks that turn the direction of writing and bytes of cut
/// characters show as quiet signs.
/// </summary>
internal static partial class VisibleText
{
    /// <summary>Characters that cannot be seen or that change how others are; the same as in page.js.</summary>
    public const string HiddenPattern = @"[\u0000-\u001f\u007f-\u00a0\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]";

    private const string Quiet = "<span style=\"color:#7b8794;font-size:.88em\">";

    /// <summary>The pieces of a token.</summary>
    /// <param name="parts">From <see cref="LatentDashboard.Spell"/>.</param>
    /// <param name="alone">Whether nothing stands beside it, so that blanks at its ends must be marked.</param>
    public static string Html(IReadOnlyList<TokenPart> parts, bool alone)
    {
        var html = new StringBuilder();
        foreach (TokenPart part in parts)
        {
            if (part.Kind != TokenPartKind.Text)
            {
                html.Append(Quiet).Append(Markup.Escape(part.Kind == TokenPartKind.Byte ? $"‹{part.Text}›" : part.Text)).Append("</span>");
                continue;
            }

            int at = 0;
            foreach (Match hidden in Hidden().Matches(part.Text))
            {
                Append(html, part.Text[at..hidden.Index], alone);
                html.Append(Quiet).Append(Sign(hidden.Value[0])).Append("</span>");
                at = hidden.Index + hidden.Length;
            }

            Append(html, part.Text[at..], alone);
        }

        return html.ToString();
    }

    /// <summary>The pieces of a token as plain text in one line.</summary>
    public static string Plain(IReadOnlyList<TokenPart> parts) =>
        string.Concat(parts.Select(p => p.Kind == TokenPartKind.Byte ? $"‹{p.Text}›" : Hidden().Replace(p.Text, m => Sign(m.Value[0]))));

    private static void Append(StringBuilder html, string text, bool alone)
    {
        string middle = alone ? text.Trim(' ') : text;
        int before = alone ? text.Length - text.TrimStart(' ').Length : 0, after = middle.Length == 0 ? 0 : text.Length - before - middle.Length;
        if (before > 0) html.Append(Quiet).Append('·', before).Append("</span>");
        html.Append(Markup.Escape(middle));
        if (after > 0) html.Append(Quiet).Append('·', after).Append("</span>");
    }

    private static string Sign(char hidden) => hidden switch
    {
        '\n' => "↵",
        '\t' => "⇥",
        < ' ' or '\u007f' => string.Create(CultureInfo.InvariantCulture, $"\\x{(int)hidden:X2}"),
        _ => string.Create(CultureInfo.InvariantCulture, $"U+{(int)hidden:X4}"),
    };

    [GeneratedRegex(HiddenPattern)]
    private static partial Regex Hidden();
}
