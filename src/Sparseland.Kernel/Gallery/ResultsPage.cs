using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Sparseland.Evaluation;
using Sparseland.Kernel.Notebooks;
using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Kernel.Gallery;

/// <summary>
/// What held and what did not, over all papers: a figure, and each claim of a paper that was not reproduced with the paper's number, ours with its spread, and the reason. From the stored
/// outputs and the reasons in the notebooks' metadata ("sparseland": "reasons": statement -> sentence).
/// </summary>
internal static class ResultsPage
{
    private const double Width = 960, LabelWidth = 380, RowHeight = 18, Side = 20;
    private static readonly string[] Colours = ["#009e73", "#d55e00", "#c3c9d0"];

    /// <summary>The claims of the paper that were tested and did not hold.</summary>
    public static IReadOnlyList<Claim> NotReproduced(Card card) =>
        [.. card.Claims.Where(c => c.IsStated && c.Origin == ClaimOrigin.Paper && c.Outcome == ClaimOutcome.NotReproduced)];

    /// <summary>Why a claim did not hold, in a sentence; null where the notebook's metadata do not say it.</summary>
    public static string? Reason(Card card, Claim claim) => Reasons(card).TryGetValue(claim.Statement, out string? reason) ? reason : null;

    /// <summary>The reasons in a notebook's metadata, by statement.</summary>
    public static IReadOnlyDictionary<string, string> Reasons(Card card) =>
        card.Notebook.Metadata["sparseland"] is JsonObject json && json["reasons"] is JsonObject reasons
            ? reasons.Where(r => r.Value is not null).ToDictionary(r => r.Key, r => r.Value!.GetValue<string>())
            : [];

    /// <summary>The page as Markdown.</summary>
    /// <param name="cards">All notebooks.</param>
    /// <param name="picture">Address of <see cref="Svg"/>; null for none.</param>
    /// <param name="address">Address of a notebook.</param>
    public static string Markdown(IReadOnlyList<Card> cards, string? picture, Func<Card, string> address)
    {
        var text = new StringBuilder("# What held, and what did not\n\n");
        ClaimCounts all = ClaimCounts.Of(cards.SelectMany(c => c.Claims));
        int outOfScale = cards.Sum(c => OutOfScale(c));
        List<Card> failed = [.. cards.Where(c => NotReproduced(c).Count > 0)];
        text.Append(CultureInfo.InvariantCulture, $"{all.Paper} claims of the papers held at the scale of these notebooks; {outOfScale} more of their figures need a scale that cannot run here and are printed beside ours without being judged. {all.Identities} identities hold that prove the implementations, and {all.Findings} findings that no paper states. ");
        text.Append("Bounds were set before the runs and are not moved afterwards. Made by `sparseland gallery --ledger` from the stored outputs; not edited by hand.\n\n");
        if (picture is not null)
            text.Append(CultureInfo.InvariantCulture, $"![Claims of each paper: held, not reproduced, out of scale]({picture})\n\n");
        text.Append("## Claims of papers that were not reproduced here\n\nNot reproduced means: at this scale, with these models and data, the measured value does not satisfy the bound. It does not mean that the paper is wrong.\n");
        foreach (IGrouping<string, Card> chapter in failed.GroupBy(c => c.Chapter))
        {
            text.Append(CultureInfo.InvariantCulture, $"\n### {chapter.Key}\n");
            foreach (Card card in chapter)
            {
                IReadOnlyList<Claim> claims = NotReproduced(card);
                text.Append(CultureInfo.InvariantCulture, $"\n**[{card.Notebook.Title}]({address(card)})**{(PaperFacts.Read(card.Notebook) is { } facts ? ", " + facts.Paper : "")}: {card.Counts.Paper} of the paper's claims held. Not:\n\n");
                text.Append("| claim | the paper | asked | measured here | why |\n| --- | --- | --- | --- | --- |\n");
                foreach (Claim claim in claims)
                    text.Append(CultureInfo.InvariantCulture, $"| {Cell(claim.Statement)} | {Cell(claim.Reported)} | {Cell(claim.RequiredText)} | {Cell(claim.MeasuredText)} | {Cell(Reason(card, claim) ?? claim.Note)} |\n");
            }
        }

        return text.ToString();
    }

    /// <summary>A bar for each paper: claims that held, that were not reproduced, and figures out of scale.</summary>
    public static string Svg(IReadOnlyList<Card> cards)
    {
        List<Card> papers = [.. cards.Where(c => c.Counts.Paper.Stated > 0 || OutOfScale(c) > 0)];
        double most = papers.Count == 0 ? 1 : papers.Max(c => c.Counts.Paper.Stated + OutOfScale(c)), unit = (Width - LabelWidth - (2 * Side)) / most, y = 30;
        var canvas = new Canvas();
        string[] legend = ["held", "not reproduced", "out of scale: printed, not judged"];
        double at = LabelWidth;
        for (int i = 0; i < legend.Length; i++)
        {
            canvas.Rect(new Box(at, y - 11, 12, 12), Colours[i]);
            canvas.Text(at + 17, y, legend[i]);
            at += 40 + TextMetrics.Width(legend[i]);
        }

        foreach (IGrouping<string, Card> chapter in papers.GroupBy(c => c.Chapter))
        {
            y += 30;
            canvas.Text(Side, y, chapter.Key.Length > 0 ? chapter.Key : "To begin with", size: 14, bold: true);
            y += 6;
            foreach (Card card in chapter)
            {
                int[] counts = [card.Counts.Paper.Held, card.Counts.Paper.Stated - card.Counts.Paper.Held, OutOfScale(card)];
                IReadOnlyList<string> title = TextMetrics.Wrap(card.Notebook.Title.Replace("`", "", StringComparison.Ordinal), LabelWidth - Side - 20);
                canvas.Text(LabelWidth - 10, y + 13, title.Count > 1 ? title[0].TrimEnd(':', ',') + " …" : title.FirstOrDefault(""), "end");
                double x = LabelWidth;
                for (int i = 0; i < counts.Length; i++)
                {
                    if (counts[i] == 0)
                        continue;
                    canvas.Rect(new Box(x, y + 2, (counts[i] * unit) - 1, RowHeight - 4), Colours[i]);
                    canvas.Text(x + 5, y + 13, counts[i].ToString(CultureInfo.InvariantCulture), size: 11, fill: i == 2 ? Theme.Ink : Theme.Paper, bold: true);
                    x += counts[i] * unit;
                }

                y += RowHeight;
            }
        }

        return CourseMap.Picture(canvas, Width, y + 16, "Claims of each paper", "For each notebook the number of the paper's claims that held, that were not reproduced, and that are out of scale.");
    }

    private static int OutOfScale(Card card) => card.Claims.Count(c => c.Kind == ClaimKind.ReportedOnly);

    private static string Cell(string text) => string.IsNullOrWhiteSpace(text) ? "-" : text.ReplaceLineEndings(" ").Replace("|", "\\|", StringComparison.Ordinal);
}
