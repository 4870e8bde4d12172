using System.Text;
using System.Text.Json.Nodes;
using Sparseland.Evaluation;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Notebooks;

/// <summary>
/// How a notebook shows claims: each with the paper's value, what was measured, what it had to be, and whether it held. A
/// notebook only names its claims on a cell's last line; the output also carries them as JSON, which the runner counts.
/// </summary>
public static class ClaimsTable
{
    private const string Cell = "padding:5px 10px;border-bottom:1px solid #d9dee4;text-align:left;vertical-align:top";

    /// <summary>The claims as a table in HTML and plain text, and as <see cref="Claims.MimeType"/>.</summary>
    public static MimeBundle Render(Claims claims)
    {
        ArgumentNullException.ThrowIfNull(claims);
        return new MimeBundle(new Dictionary<string, JsonNode>
        {
            ["text/html"] = JsonValue.Create(ToHtml(claims)),
            ["text/plain"] = JsonValue.Create(claims.ToString()),
            [Claims.MimeType] = JsonNode.Parse(claims.ToJson())!,
        });
    }

    /// <summary>The claims as an HTML table under one line that sums up, grouped by where they come from.</summary>
    public static string ToHtml(Claims claims)
    {
        ArgumentNullException.ThrowIfNull(claims);
        var html = new StringBuilder("<div class=\"sl-claims\" style=\"background:#fff;color:#1f2933;border:1px solid #d9dee4;border-radius:6px;padding:12px;max-width:960px;overflow-x:auto\">");
        html.Append($"<div style=\"font-weight:600\">{Markup.Escape(Headline(claims))}</div><div style=\"color:#52606d\">{Markup.Escape(claims.Paper)}</div>");
        if (claims.Remark is { Length: > 0 } remark)
            html.Append($"<div style=\"color:#52606d\">{Markup.Escape(remark)}</div>");
        html.Append("<table style=\"border-collapse:collapse;width:100%;font-size:13px;margin-top:8px\"><thead><tr>");
        foreach (string heading in new[] { "Claim", "Judged", "Paper", "Required", "Measured here", "Outcome" })
            html.Append($"<th style=\"{Cell};color:#52606d;font-weight:600;background:#fff\">{heading}</th>");
        html.Append("</tr></thead>");
        foreach (IGrouping<ClaimOrigin, Claim> group in claims.GroupBy(c => c.Origin).OrderBy(g => g.Key))
        {
            html.Append($"<tbody><tr style=\"background:#f3f5f7\"><th colspan=\"6\" scope=\"rowgroup\" style=\"{Cell};font-weight:600\">{Markup.Escape(GroupLine(group.Key, claims.Counts[group.Key]))}</th></tr>");
            foreach (Claim claim in group)
                Append(html, claim);
            html.Append("</tbody>");
        }
        return html.Append("</table></div>").ToString();
    }

    /// <summary>The title and what held, by origin.</summary>
    internal static string Headline(Claims claims) => $"{claims.Title}: {claims.Summary}";

    private static string GroupLine(ClaimOrigin origin, HeldOf count) =>
        origin switch
        {
            ClaimOrigin.Paper => "The paper's claims",
            ClaimOrigin.Identity => "Identities, which prove the implementation",
            _ => "This notebook's own findings",
        }
        + (count.Stated > 0 ? $": {count} held" : "");

    private static void Append(StringBuilder html, Claim claim)
    {
        var (symbol, word, colour) = Outcome(claim);
        bool measured = claim.Kind != ClaimKind.ReportedOnly;
        string note = claim.Note.Length > 0 ? $"<div style=\"color:#52606d;font-size:12px\">{Markup.Escape(claim.Note)}</div>" : "";
        html.Append("<tr style=\"background:#fff\">")
            .Append($"<td style=\"{Cell};min-width:200px\">{Markup.Escape(claim.Statement)}{note}</td>")
            .Append($"<td style=\"{Cell}\">{Kind(claim.Kind)}</td>")
            .Append($"<td style=\"{Cell}\">{Markup.Escape(claim.Reported)}<div style=\"color:#52606d;font-size:12px\">{Markup.Escape(claim.Source)}</div></td>")
            .Append($"<td style=\"{Cell}\">{(measured ? WithDetails(claim.RequiredText) : "")}</td>")
            .Append($"<td style=\"{Cell}\">{(measured ? WithDetails(claim.MeasuredText) : "")}</td>")
            .Append($"<td style=\"{Cell};white-space:nowrap;color:{colour};font-weight:600\">{symbol} {word}</td></tr>");
    }

    // The number on a line of its own; tolerance, seeds and range in brackets go below it.
    private static string WithDetails(string text)
    {
        text = text.Replace("<=", "≤", StringComparison.Ordinal).Replace(">=", "≥", StringComparison.Ordinal);
        int bracket = text.EndsWith(')') ? text.IndexOf(" (", StringComparison.Ordinal) : -1;
        return bracket < 0
            ? Markup.Escape(text)
            : $"{Markup.Escape(text[..bracket])}<div style=\"color:#52606d;font-size:12px\">{Markup.Escape(text[(bracket + 2)..^1])}</div>";
    }

    private static string Kind(ClaimKind kind) => kind switch
    {
        ClaimKind.Exact => "exact",
        ClaimKind.Statistical => "statistical",
        ClaimKind.Exploratory => "exploratory",
        _ => "reported only",
    };

    // Symbol and word say the outcome too: colour alone would not reach everybody.
    private static (string Symbol, string Word, string Colour) Outcome(Claim claim) => claim.Outcome switch
    {
        ClaimOutcome.Held => ("✓", "held", "#00684a"),
        ClaimOutcome.NotReproduced => ("✗", "not reproduced", "#a63c00"),
        ClaimOutcome.NotJudged => ("–", "not judged", "#52606d"),
        _ => ("–", "not tested", "#52606d"),
    };
}
