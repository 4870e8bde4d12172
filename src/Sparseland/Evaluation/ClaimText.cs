using System.Globalization;
using System.Text;

namespace Sparseland.Evaluation;

/// <summary>Claims as text: the cells that every table of claims shows, and the two plain tables.</summary>
internal static class ClaimText
{
    private static readonly string[] Headings = ["claim", "kind", "paper", "source", "required", "measured here", "outcome", "note"];

    internal static string Measured(Claim claim)
    {
        if (claim.Kind == ClaimKind.ReportedOnly)
            return "-";
        string text = WithUnit(Number(claim.Measured), claim.Unit);
        if (claim.Values.Count == 0)
            return text;
        string runs = claim.Seeds.Count > 0 ? "seed" : "run";
        string plural = claim.Values.Count == 1 ? "" : "s";
        return $"{text} ({claim.Statistic} of {claim.Values.Count} {runs}{plural}, {Number(claim.Values.Min())} to {Number(claim.Values.Max())})";
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
        _ => "not tested",
    };

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
        text.Append("| ").AppendJoin(" | ", Headings).Append(" |\n|").Insert(text.Length, " --- |", Headings.Length).Append('\n');
        foreach (Claim claim in claims)
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
        foreach (Claim claim in claims)
        {
            text.Append("  ").Append(Outcome(claim).PadRight(15)).Append(OneLine(claim.Statement)).Append(" [").Append(Kind(claim.Kind)).Append("]\n");
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
        claim.Statement, Kind(claim.Kind), claim.Reported, claim.Source, Required(claim), Measured(claim), Outcome(claim), claim.Note,
    ];

    private static string WithUnit(string number, string unit) => unit.Length == 0 ? number : $"{number} {unit}";

    private static string OneLine(string value) => value.ReplaceLineEndings(" ");
}
