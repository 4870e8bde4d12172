using System.Net;
using System.Text.RegularExpressions;

namespace Sparseland.Notebooks;

/// <summary>
/// Times in displayed values, marked so that they can be taken out of stored outputs: they differ from run to run, and a
/// notebook's file should not.
/// </summary>
public static partial class StoredTimes
{
    /// <summary>Class of the HTML element around a time.</summary>
    public const string ClassName = "sl-time";

    /// <summary>A marked time as HTML.</summary>
    /// <param name="text">Words that the sentence can lose, starting with their space: " in 12.3 s".</param>
    public static string Mark(string text) => $"<span class=\"{ClassName}\">{WebUtility.HtmlEncode(text)}</span>";

    /// <summary>A display's HTML and plain text without the times that its HTML marks.</summary>
    /// <param name="html">text/html.</param>
    /// <param name="plain">text/plain of the same display, which holds the same words.</param>
    public static (string Html, string Plain) Remove(string html, string plain)
    {
        ArgumentNullException.ThrowIfNull(html);
        ArgumentNullException.ThrowIfNull(plain);
        foreach (Match match in Marked().Matches(html))
        {
            string text = WebUtility.HtmlDecode(match.Groups[1].Value);
            int at = text.Length == 0 ? -1 : plain.IndexOf(text, StringComparison.Ordinal);
            if (at >= 0)
                plain = plain.Remove(at, text.Length);
        }
        return (Marked().Replace(html, ""), plain);
    }

    [GeneratedRegex("<span class=\"" + ClassName + "\">([^<]*)</span>")]
    private static partial Regex Marked();
}
