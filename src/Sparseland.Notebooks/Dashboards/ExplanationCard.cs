using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Sparseland.Autoencoders.Dashboards;
using Sparseland.Models.Language;
using Sparseland.Notebooks.Charts.Drawing;
using Sparseland.Notebooks.Hosting;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Indexing;

namespace Sparseland.Notebooks.Dashboards;

/// <summary>
/// Why a document matched, as a notebook shows it: its text with the matched words marked, and a bar for what each term gave, weight in the
/// query times weight in the document. Terms that the document's vector has but its text has not, the expansions, stand apart. A light panel of its own,
/// without script, every style inline.
/// </summary>
public sealed class ExplanationCard : IMimeRenderable
{
    private const string Mono = "font-family:ui-monospace,'Cascadia Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace", Heading = "font-size:13px;font-weight:600;margin:12px 0 4px";
    private const int MostText = 1500;
    private readonly IReadOnlyList<TextMark> _text;
    private readonly int _terms;
    private readonly bool _cut;

    internal ExplanationCard(Explanation explanation, string? text, Func<string, IReadOnlyList<TextMark>>? pieces, int terms)
    {
        ArgumentNullException.ThrowIfNull(explanation);
        ArgumentOutOfRangeException.ThrowIfLessThan(terms, 1);
        (Explanation, _terms) = (explanation, terms);
        HashSet<string> matched = [.. explanation.Terms.Where(t => t.Value != 0).Select(t => t.Term)];
        TextMark[] marks = text is null || pieces is null ? [] : [.. TextMarks.Of(text, pieces, matched)];
        HashSet<string> found = [.. marks.SelectMany(m => m.Terms)];
        bool StandsThere(TermImpact t) => text is null || pieces is null || found.Contains(t.Term);
        InText = [.. explanation.Terms.Where(t => t.Value != 0 && StandsThere(t))];
        Expansions = [.. explanation.Terms.Where(t => t.Value != 0 && !StandsThere(t))];
        Absent = [.. explanation.Terms.Where(t => t.Value == 0)];

        // Long documents are cut after a part; what matched beyond it is in the bars all the same.
        int shown = 0, length = 0;
        while (shown < marks.Length && (length += marks[shown].Text.Length) <= MostText) shown++;
        (_text, _cut) = (marks[..shown], shown < marks.Length);
    }

    /// <summary>What is shown.</summary>
    public Explanation Explanation { get; }

    /// <summary>Terms of the query that stand in the document's text; all that it has, where no text was given.</summary>
    public IReadOnlyList<TermImpact> InText { get; }

    /// <summary>Terms of the query that the document's vector has and its text has not.</summary>
    public IReadOnlyList<TermImpact> Expansions { get; }

    /// <summary>Terms of the query that the document has not.</summary>
    public IReadOnlyList<TermImpact> Absent { get; }

    /// <inheritdoc/>
    public MimeBundle Render() => new(new Dictionary<string, JsonNode>
    {
        ["text/html"] = JsonValue.Create(Html()),
        ["text/plain"] = JsonValue.Create(ToString()),
    });

    /// <summary>Score, the text with matched words in brackets, then a line for each term.</summary>
    public override string ToString()
    {
        var text = new StringBuilder($"{Plain(Explanation.Document)}: {Sum()}");
        if (_text.Count > 0) text.Append('\n').AppendJoin("", _text.Select(m => m.Terms.Count > 0 ? $"[{Plain(m.Text)}]" : Plain(m.Text))).Append(_cut ? " …" : "");
        foreach (TermImpact t in InText) text.Append($"\n  {Plain(t.Term)}: {Product(t)}");
        foreach (TermImpact t in Expansions) text.Append($"\n  {Plain(t.Term)}: {Product(t)}, not in the text");
        if (Absent.Count > 0) text.Append("\n  not in the document: ").AppendJoin(", ", Absent.Select(t => Plain(t.Term)));
        return text.ToString();
    }

    private static string Plain(string text) => VisibleText.Plain([new(TokenPartKind.Text, text)]);

    private static string Shown(string text, bool alone = false) => VisibleText.Html([new(TokenPartKind.Text, text)], alone);

    private static string Number(double value) => LatentNames.Short((float)value);

    private static string Product(TermImpact t) => $"{Number(t.QueryWeight)} × {Number(t.Impact / t.QueryWeight)} = {Number(t.Impact)}";

    private string Sum()
    {
        int count = InText.Count + Expansions.Count;
        return count == 0 ? "score 0, no term of the query" : $"score {Number(Explanation.Score)} = sum of {count} impact{(count == 1 ? "" : "s")}";
    }

    private string Html()
    {
        var html = new StringBuilder(
            $"<div class=\"sl-explanation\" style=\"background:{Theme.Paper};color:{Theme.Ink};border:1px solid {Theme.Border};border-radius:8px;padding:14px 16px;max-width:960px;font:13px/1.5 {Theme.Font};color-scheme:light\">");
        html.Append($"<div style=\"font-size:15px;font-weight:700;overflow-wrap:anywhere\">{Shown(Explanation.Document, alone: true)}</div>")
            .Append(CultureInfo.InvariantCulture, $"<div style=\"color:{Theme.Muted}\">{Sum()}; length {Explanation.Length}</div>");
        double most = InText.Concat(Expansions).Select(t => Math.Abs(t.Impact)).DefaultIfEmpty(1).Max();
        if (most == 0) most = 1;
        Text(html, most);
        if (InText.Count + Expansions.Count > 0)
            html.Append($"<div style=\"color:{Theme.Muted};font-size:12px;margin-top:10px\">weight in the query × weight in the document = impact</div>");
        Bars(html, _text.Count == 0 ? "Terms" : "In the text", InText, Theme.Colour(0), most);
        Bars(html, "Not in the text: expansions", Expansions, Theme.Colour(4), most);
        if (Absent.Count > 0)
        {
            IEnumerable<string> names = Absent.Take(_terms).Select(t => $"<span style=\"{Mono};font-size:12px\">{Shown(t.Term, alone: true)}</span>");
            html.Append($"<div style=\"margin-top:10px;overflow-wrap:anywhere\"><span style=\"font-weight:600\">Not in the document:</span> {string.Join(", ", names)}{(Absent.Count > _terms ? $" and {Absent.Count - _terms} more" : "")}</div>");
        }

        return html.Append("</div>").ToString();
    }

    private void Text(StringBuilder html, double most)
    {
        if (_text.Count == 0) return;
        Dictionary<string, double> impacts = Explanation.Terms.DistinctBy(t => t.Term).ToDictionary(t => t.Term, t => t.Impact, StringComparer.Ordinal);
        html.Append($"<div style=\"margin-top:10px;padding:8px 10px;border-left:3px solid {Theme.Border};overflow-wrap:anywhere\">");
        foreach (TextMark mark in _text)
        {
            if (mark.Terms.Count == 0)
            {
                html.Append(Shown(mark.Text));
                continue;
            }

            double impact = mark.Terms.Sum(t => impacts[t]), strength = 0.15 + (0.35 * Math.Min(1, Math.Abs(impact) / most));
            html.Append(CultureInfo.InvariantCulture, $"<span style=\"background:rgba({(impact < 0 ? "213,94,0" : "0,114,178")},{strength:0.##});border-radius:3px;padding:1px 0;font-weight:600\" title=\"{Number(impact)}\">{Shown(mark.Text)}</span>");
        }

        html.Append(_cut ? " …</div>" : "</div>");
    }

    private void Bars(StringBuilder html, string heading, IReadOnlyList<TermImpact> terms, string colour, double most)
    {
        if (terms.Count == 0) return;
        html.Append($"<div style=\"{Heading}\">{heading} <span style=\"font-weight:400;color:{Theme.Muted}\">{Number(terms.Sum(t => t.Impact))}</span></div>");
        foreach (TermImpact t in terms.Take(_terms))
        {
            string about = $"in {t.DocumentFrequency} document{(t.DocumentFrequency == 1 ? "" : "s")}, term weight {Number(t.TermWeight)}, value {Number(t.Value)}";
            html.Append("<div style=\"display:grid;grid-template-columns:minmax(64px,22%) minmax(40px,1fr) 142px;gap:10px;align-items:center;min-height:20px\">")
                .Append($"<span style=\"{Mono};font-size:12px;white-space:pre;overflow:hidden;text-overflow:ellipsis\" title=\"{about}\">{Shown(t.Term, alone: true)}</span>")
                .Append(CultureInfo.InvariantCulture, $"<span><span style=\"display:block;height:9px;border-radius:2px;background:{(t.Impact < 0 ? Theme.Colour(1) : colour)};width:{100 * Math.Abs(t.Impact) / most:0.#}%\"></span></span>")
                .Append($"<span style=\"color:{Theme.Muted};text-align:right;font-size:12px;white-space:nowrap\">{Product(t)}</span></div>");
        }

        if (terms.Count > _terms)
            html.Append($"<div style=\"color:{Theme.Muted};font-size:12px\">and {terms.Count - _terms} more, together {Number(terms.Skip(_terms).Sum(t => t.Impact))}</div>");
    }
}

/// <summary>Cards of explanations.</summary>
public static class ExplanationCards
{
    /// <summary>An explanation beside its document, to show as a cell's value: of an index of texts.</summary>
    /// <param name="explanation">From <see cref="Explanation.Of"/>.</param>
    /// <param name="text">The document's text as it was indexed; the first 1,500 characters are shown.</param>
    /// <param name="analyzer">What made its terms: that of the index.</param>
    /// <param name="terms">Most bars of a group, at least 1. Default 12.</param>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than one bar.</exception>
    public static ExplanationCard Card(this Explanation explanation, string text, Analyzer analyzer, int terms = 12)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(analyzer);
        return new(explanation, text, word => TextMarks.Words(word, analyzer), terms);
    }

    /// <summary>An explanation beside its document, to show as a cell's value: of an index of vectors over the pieces of an encoder.</summary>
    /// <param name="explanation">From <see cref="Explanation.Of"/>.</param>
    /// <param name="text">The document's text as the encoder had it; the first 1,500 characters are shown.</param>
    /// <param name="encoder">The encoder whose pieces are the index's terms.</param>
    /// <param name="terms">Most bars of a group, at least 1. Default 12.</param>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than one bar.</exception>
    public static ExplanationCard Card(this Explanation explanation, string text, BertEncoder encoder, int terms = 12)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(encoder);
        return new(explanation, text, word => TextMarks.Pieces(word, encoder), terms);
    }
}
