using System.Globalization;
using System.Text;
using Sparseland.Evaluation;
using Sparseland.Kernel.Running;

namespace Sparseland.Kernel.Gallery;

/// <summary>The page with a card for every notebook.</summary>
public static class GalleryPage
{
    /// <summary>File of <see cref="Results"/> beside the page.</summary>
    public const string ResultsFile = "results.html";

    /// <summary>First of the pages that docfx writes beside the page (src/api/docfx.json), where somebody ran it.</summary>
    public const string ApiFile = "api/types/Sparseland.html";

    private const int StripPictures = 4, EagerCards = 3;

    // Cards are hidden that do not have every word; nothing is needed of it to read the page.
    private const string SearchScript = """
        (function(){
        var box=document.getElementById('find'),none=document.getElementById('none');
        box.parentNode.hidden=false;
        box.addEventListener('input',function(){
          var words=box.value.toLowerCase().split(/\s+/).filter(Boolean),any=false;
          document.querySelectorAll('section.chapter').forEach(function(s){
            var left=0;
            s.querySelectorAll('article').forEach(function(a){
              var text=a.textContent.toLowerCase();
              a.hidden=!words.every(function(w){return text.indexOf(w)>=0;});
              if(!a.hidden)left++;
            });
            s.hidden=left===0;
            any=any||left>0;
          });
          none.hidden=any;
        });
        })();
        """;

    /// <summary>The files with the pictures of the page: path below the gallery, and SVG.</summary>
    public static IEnumerable<(string Path, string Svg)> Pictures(IReadOnlyList<Card> cards)
    {
        ArgumentNullException.ThrowIfNull(cards);
        return cards.SelectMany(card => card.Pictures.Take(1 + StripPictures).Select((svg, i) => (card.PictureFile(i), svg)));
    }

    /// <summary>The page, a section for each chapter; its pictures are files beside it (<see cref="Pictures"/>).</summary>
    /// <param name="cards">The notebooks.</param>
    /// <param name="hasApi">Whether the pages of the library's types are there to be linked (<see cref="ApiFile"/>). Default false.</param>
    public static string Render(IReadOnlyList<Card> cards, bool hasApi = false)
    {
        ArgumentNullException.ThrowIfNull(cards);
        var body = new StringBuilder();
        body.Append("<h1>Sparseland</h1>\n<p>Papers on sparsity, rebuilt step by step in C# and run on this machine. Each notebook ends with claims against what was measured.</p>\n");
        body.Append($"<p class=\"meta\">{HtmlPage.Encode(Summary(cards))}. <a href=\"{ResultsFile}\">What did not hold, and why</a>{(hasApi ? $" · <a href=\"{ApiFile}\">Every type of the library</a>" : "")}</p>\n");
        body.Append(CourseMap.Html(Course.Of(cards, isWhole: false), Address));
        List<IGrouping<string, Card>> chapters = [.. cards.GroupBy(c => c.ChapterFolder)];
        body.Append("<nav class=\"jump\" aria-label=\"Chapters\">").AppendJoin("", chapters.Select(c => $"<a href=\"#{HtmlPage.Encode(Uri.EscapeDataString(c.Key))}\">{HtmlPage.Encode(Name(c))} <span class=\"meta\">{c.Count()}</span></a>"));
        body.Append("<label hidden><input type=\"search\" id=\"find\" placeholder=\"Search titles, questions, claims\" aria-label=\"Search\"></label></nav>\n<p id=\"none\" class=\"meta\" hidden>No notebook has all of these words.</p>\n");
        int shown = 0;
        foreach (IGrouping<string, Card> chapter in chapters)
        {
            body.Append($"<section class=\"chapter\" id=\"{HtmlPage.Encode(chapter.Key)}\">\n<h2>{HtmlPage.Encode(Name(chapter))}</h2>\n<p class=\"meta\">{HtmlPage.Encode(Summary([.. chapter]))}</p>\n<div class=\"cards\">\n");
            foreach (Card card in chapter)
                Append(body, card, isEager: shown++ < EagerCards);
            body.Append("</div>\n</section>\n");
        }

        body.Append($"<script>{SearchScript}</script>\n");
        body.Append("<p class=\"meta\">The paper's claims, identities that prove the implementation, and findings of the notebooks themselves are counted apart. ✓ held: this machine's measurement satisfies the claim. ✗ not reproduced: it does not. Exploratory figures (○), those measured at a scale too small to judge them (○), and the paper's at a scale that cannot run here (·) are shown and not counted.</p>\n");
        return HtmlPage.Of("Sparseland gallery", body.ToString(), wide: true);
    }

    /// <summary>The page with what held and what did not.</summary>
    public static string Results(IReadOnlyList<Card> cards)
    {
        ArgumentNullException.ThrowIfNull(cards);
        var body = MarkdownHtml.Render(ResultsPage.Markdown(cards, picture: null, Address));
        int end = body.IndexOf("<h2", StringComparison.Ordinal);
        return HtmlPage.Of("What held, and what did not", $"<nav><a href=\"index.html\">All notebooks</a></nav>\n{body[..end]}<div class=\"output\"><figure style=\"margin:0\">{ResultsPage.Svg(cards)}</figure></div>\n{body[end..]}", wide: true);
    }

    /// <summary>How much ran and what held, in one line.</summary>
    public static string Summary(IReadOnlyList<Card> cards)
    {
        ArgumentNullException.ThrowIfNull(cards);
        var seconds = Card.SecondsOf(cards);
        var failed = cards.Count(c => c.Failure is not null);
        var scales = string.Join(" and ", cards.Select(c => RunRecord.Read(c.Notebook)?.Scale).OfType<string>().Distinct());
        var counts = ClaimCounts.Of(cards.SelectMany(c => c.Claims));
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{cards.Count} notebook{(cards.Count == 1 ? "" : "s")}{(scales.Length > 0 ? $" at {scales} scale" : "")}: {counts}; {HtmlPage.Time(seconds)} of running{(failed > 0 ? $", {failed} failed" : "")}");
    }

    private static string Address(Card card) => HtmlPage.Address(card.Page);

    private static string Name(IGrouping<string, Card> chapter) => chapter.First().Chapter is { Length: > 0 } name ? name : "Start here";

    private static void Append(StringBuilder body, Card card, bool isEager)
    {
        var page = HtmlPage.Encode(Address(card));
        body.Append("<article class=\"card\">\n");
        string Picture(int picture) => HtmlPage.Encode(HtmlPage.Address(card.PictureFile(picture)));
        body.Append(card.Pictures.Count > 0
            ? $"<a class=\"cover\" href=\"{page}\"><img alt=\"{HtmlPage.Encode(card.Notebook.Title)}\"{(isEager ? "" : " loading=\"lazy\"")} src=\"{Picture(0)}\"></a>\n"
            : $"<a class=\"cover empty\" href=\"{page}\" aria-label=\"{HtmlPage.Encode(card.Notebook.Title)}\"></a>\n");
        if (card.Pictures.Count > 1)
            body.Append("<div class=\"strip\">").AppendJoin("", Enumerable.Range(1, Math.Min(card.Pictures.Count - 1, StripPictures)).Select(i => $"<img alt=\"\" loading=\"lazy\" src=\"{Picture(i)}\">")).Append("</div>\n");
        body.Append("<div class=\"body\">\n");
        body.Append($"<h3><a href=\"{page}\">{MarkdownHtml.Line(card.Notebook.Title)}</a></h3>\n");
        body.Append(MarkdownHtml.Render(card.Question));
        if (card.Failure is not null)
            body.Append($"<p class=\"bad\">{HtmlPage.Encode(card.Failure)}</p>\n");
        if (card.Claims.Count > 0)
            AppendClaims(body, card);
        var record = RunRecord.Read(card.Notebook);
        body.Append($"<span class=\"meta\">{(record is null ? "no completed run" : HtmlPage.Encode($"{HtmlPage.Time(record.Seconds)} at {record.Scale} scale, {record.PeakMemoryMB} MB"))}</span>\n");
        body.Append("</div>\n</article>\n");
    }

    // The bar says what held; the list behind it is for whoever asks.
    private static void AppendClaims(StringBuilder body, Card card)
    {
        var counts = card.Counts;
        if (counts.Stated > 0)
            body.Append(CultureInfo.InvariantCulture, $"<div class=\"bar\" aria-hidden=\"true\"><i style=\"width:{100.0 * counts.Held / counts.Stated:0}%\"></i></div>\n");
        foreach (var remark in card.Remarks)
            body.Append($"<p class=\"meta\">{HtmlPage.Encode(remark)}</p>\n");
        body.Append($"<details><summary>{HtmlPage.Encode(counts.ToString())}</summary>\n");
        foreach (var group in card.Claims.GroupBy(c => c.Origin).OrderBy(g => g.Key))
            body.Append($"<p class=\"meta\">{Heading(group.Key)}</p>\n<ul class=\"claims\">\n").AppendJoin("", group.Select(Item)).Append("</ul>\n");
        body.Append("</details>\n");
    }

    private static string Heading(ClaimOrigin origin) => origin switch
    {
        ClaimOrigin.Paper => "The paper's claims",
        ClaimOrigin.Identity => "Identities",
        _ => "Findings",
    };

    private static string Item(Claim claim)
    {
        var (mark, style) = claim switch
        {
            { Kind: ClaimKind.ReportedOnly } => ("·", "meta"),
            { IsStated: false } => ("○", "meta"),
            { Outcome: ClaimOutcome.Held } => ("✓", "good"),
            _ => ("✗", "bad"),
        };
        var measured = claim.Kind == ClaimKind.ReportedOnly ? $"paper: {claim.Reported}" : $"measured {claim.MeasuredText}";
        return $"<li><span class=\"{style}\">{mark}</span> {HtmlPage.Encode(claim.Statement)} <span class=\"meta\">{HtmlPage.Encode(measured)}</span></li>\n";
    }
}
