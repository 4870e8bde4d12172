using System.Globalization;
using System.Text;

namespace Sparseland.Evaluation;

/// <summary>Claims as text: the cells that every table of claims shows, and the two plain tables.</summary>
internal static class ClaimText
{
    private static readonly string[] Headings = ["claim", "from", "judged", "paper", "source", "required", "measured here", "outcome", "note"];

    internal static string Measured(Claim claim)
    {
        if (claim.Kind == ClaimKind.ReportedOnly)
            return "-";
        string text = WithUnit(Number(claim.Measured), claim.Unit);
        string[] details =
        [
            .. Over(claim) is { Length: > 0 } over ? (string[])[over] : [],
            .. claim.Spread is { } range ? (string[])[$"range {Number(range.Low)} to {Number(range.High)}"] : [],
        ];
        return details.Length == 0 ? text : $"{text} ({string.Join("; ", details)})";
    }

    /// <summary>"median of 3 seeds: 1-3"; of one value over seeds "over 3 seeds: 1-3"; empty for a single measurement.</summary>
    private static string Over(Claim claim)
    {
        int count = Math.Max(claim.Values.Count, claim.Seeds.Count);
        if (count == 0)
            return "";
        string head = claim.Statistic.Length > 0 ? $"{claim.Statistic} of" : "over";
        string runs = (claim.Seeds.Count > 0 ? "seed" : "run") + (count == 1 ? "" : "s");
        return $"{head} {count} {runs}" + (claim.Seeds.Count > 0 ? $": {Seeds(claim.Seeds)}" : "");
    }

    /// <summary>"1-5" where each follows the one before, else "3, 7, 20", and from the ninth on an ellipsis.</summary>
    private static string Seeds(IReadOnlyList<int> seeds)
    {
        const int shown = 8;
        if (seeds.Count > 2 && Enumerable.Range(1, seeds.Count - 1).All(i => seeds[i] - (long)seeds[i - 1] == 1))
            return string.Create(CultureInfo.InvariantCulture, $"{seeds[0]}-{seeds[^1]}");
        return string.Join(", ", seeds.Take(shown).Select(s => s.ToString(CultureInfo.InvariantCulture))) + (seeds.Count > shown ? ", ..." : "");
    }

    internal static string Required(Claim claim)
    {
        if (claim.Kind == ClaimKind.ReportedOnly)
            return "";
        string sign = claim.Relation switch
        {
            Relation.Equal => "=",
            Relation.AtMost => "<=",
            Relation.AtLeast => ">=",
            Relation.Below => "<",
            _ => ">",
        };
        string slack = claim.Tolerance > 0 ? $" (tolerance {Number(claim.Tolerance)})" : "";
        return $"{sign} {WithUnit(Number(claim.Target), claim.Unit)}{slack}";
    }

    internal static string Outcome(Claim claim) => claim.Outcome switch
    {
        ClaimOutcome.Held => "held",
        ClaimOutcome.NotReproduced => "not reproduced",
        ClaimOutcome.NotJudged => "not judged",
        _ => "not tested",
    };

    /// <summary>What stands before a count: "paper's claims".</summary>
    internal static string Origin(ClaimOrigin origin) => origin switch
    {
        ClaimOrigin.Paper => "paper's claims",
        ClaimOrigin.Identity => "identities",
        _ => "findings",
    };

    internal static string Remark(Claims claims)
    {
        string?[] parts =
        [
            claims.Scale.Length > 0 ? $"Measured at {claims.Scale} scale." : null,
            claims.JudgesOnlyExact ? "Only exact claims are judged at this scale; the other figures are measured and say nothing about the claims." : null,
            claims.Read == PaperRead.AbstractOnly ? "Only the abstract of the paper could be read." : null,
        ];
        return string.Join(' ', parts.OfType<string>());
    }

    internal static string Kind(ClaimKind kind) => kind switch
    {
        ClaimKind.Exact => "exact",
        ClaimKind.Statistical => "statistical",
        ClaimKind.Exploratory => "exploratory",
        _ => "reported only",
    };

    internal static string Markdown(Claims claims)
    {
        var text = new StringBuilder();
        text.Append("**").Append(Escape(claims.Title)).Append("**: ").Append(Escape(claims.Summary)).Append(" (").Append(Escape(claims.Paper)).Append(")\n\n");
        if (claims.Remark is { Length: > 0 } remark)
            text.Append(Escape(remark)).Append("\n\n");
        text.Append("| ").AppendJoin(" | ", Headings).Append(" |\n|").Insert(text.Length, " --- |", Headings.Length).Append('\n');
        foreach (Claim claim in claims.OrderBy(c => c.Origin))
            text.Append("| ").AppendJoin(" | ", Cells(claim).Select(Escape)).Append(" |\n");
        return text.ToString();

        // A bar would end the cell; a line break the row; the angle brackets would be read as HTML.
        static string Escape(string value) => OneLine(value)
            .Replace("\\", "\\\\").Replace("|", "\\|").Replace("<", "&lt;").Replace(">", "&gt;");
    }

    internal static string Plain(Claims claims)
    {
        var text = new StringBuilder();
        text.Append(OneLine(claims.Title)).Append(" (").Append(OneLine(claims.Paper)).Append("): ").Append(claims.Summary).Append('\n');
        if (claims.Remark is { Length: > 0 } remark)
            text.Append(OneLine(remark)).Append('\n');
        foreach (Claim claim in claims.OrderBy(c => c.Origin))
        {
            text.Append("  ").Append(Outcome(claim).PadRight(15)).Append(OneLine(claim.Statement)).Append(" [").Append(From(claim.Origin)).Append(", ").Append(Kind(claim.Kind)).Append("]\n");
            text.Append(' ', 17).Append("paper: ").Append(OneLine(claim.Reported)).Append(" (").Append(OneLine(claim.Source)).Append(')');
            if (claim.Kind != ClaimKind.ReportedOnly)
                text.Append("; here: ").Append(OneLine(Measured(claim))).Append("; required: ").Append(OneLine(Required(claim)));
            if (claim.Note.Length > 0)
                text.Append("; ").Append(OneLine(claim.Note));
            text.Append('\n');
        }
        return text.ToString();
    }

    internal static string Number(double value) => value.ToString("g4", CultureInfo.InvariantCulture);

    private static string[] Cells(Claim claim) =>
    [
        claim.Statement, From(claim.Origin), Kind(claim.Kind), claim.Reported, claim.Source, Required(claim), Measured(claim), Outcome(claim), claim.Note,
    ];

    private static string From(ClaimOrigin origin) => origin.ToString().ToLowerInvariant();

    private static string WithUnit(string number, string unit) => unit.Length == 0 ? number : $"{number} {unit}";

    private static string OneLine(string value) => value.ReplaceLineEndings(" ");
}
