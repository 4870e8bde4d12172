using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Sparseland.Kernel.Gallery;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

namespace Sparseland.Kernel.Workshops;

/// <summary>What an instructor holds in hand: the paths with their times, what goes wrong in a room of thirty, and the solutions apart from the notebooks.</summary>
internal static partial class InstructorPage
{
    /// <summary>The page, as HTML that needs no network.</summary>
    /// <param name="cards">All notebooks with their stored outputs.</param>
    public static string Render(IReadOnlyList<Card> cards)
    {
        ArgumentNullException.ThrowIfNull(cards);
        Course course = Course.Of(cards, isWhole: false);
        var text = new StringBuilder("# Teaching a day on sparsity\n\n");
        text.Append("Times of running are those of the stored runs (two cores, lesson scale); reading, talking and the exercises take about twenty minutes a notebook. `SPARSELAND_SCALE=quick` makes every notebook run in seconds: claims are then not judged.\n\n");
        text.Append("| path | notebooks | running | with reading and exercises |\n| --- | --- | --- | --- |\n");
        foreach (LearningPath path in course.Paths)
            text.Append(CultureInfo.InvariantCulture, $"| {path.Title} | {path.Cards.Count} | {HtmlPage.Time(path.Seconds)} | {((path.Seconds / 3600) + (path.Cards.Count / 3.0)).ToString("0.0", CultureInfo.InvariantCulture)} hours |\n");
        text.Append("\n## A day\n\n| time | what |\n| --- | --- |\n| 30 min | `start` on every laptop, `doctor` without a red line, *Start here* |\n| 2 h 30 | the first four notebooks of a path, the exercises of each |\n| 1 h | a break |\n| 2 h | the rest of the path |\n| 1 h | own work: the last notebook's method on the learner's own data |\n\n");
        text.Append("""
            ## What breaks in a room of thirty

            | what happens | what to do |
            | --- | --- |
            | the SDK is an older one | the installer from the stick; `dotnet --list-sdks` must show 10.0 |
            | restore asks the network | it was not started by `start`: `dotnet restore Notebooks.sln --source FEED` |
            | "NU1101: Unable to find package libtorch-cpu-..." | the feed was made for another system: make it with `--systems` for that one too |
            | Windows: `DllNotFoundException` | the Visual C++ redistributable is missing |
            | the kernel is listed and dies | the folder was moved after the installation: `sparseland kernel install --user` again |
            | a cell runs for minutes | an old laptop: interrupt (variables are kept), set `SPARSELAND_SCALE=quick`, restart |
            | a laptop with 4 GB runs out of memory | one notebook at a time; those above 2 GB are marked in notebooks/README.md |
            | no laptop at all, or a broken one | `gallery/index.html` on the stick: every notebook with its outputs |
            | somebody is done early | the next notebook of the path, or "Your turn" with the folded solution left closed |


            """);
        text.Append("## Times and memory\n\n| notebook | running | memory |\n| --- | --- | --- |\n");
        foreach (Card card in cards)
        {
            RunRecord? record = RunRecord.Read(card.Notebook);
            text.Append(CultureInfo.InvariantCulture, $"| {card.Notebook.Title.Replace("|", "\\|", StringComparison.Ordinal)} | {HtmlPage.Time(card.Seconds)} | {(record is null ? "-" : record.PeakMemoryMB + " MB")} |\n");
        }

        return HtmlPage.Of("Teaching a day on sparsity", MarkdownHtml.Render(text.ToString()));
    }

    /// <summary>All folded solutions, notebook by notebook.</summary>
    /// <param name="cards">All notebooks.</param>
    public static string Solutions(IReadOnlyList<Card> cards)
    {
        ArgumentNullException.ThrowIfNull(cards);
        var body = new StringBuilder("<h1>Solutions</h1>\n<p>For the instructor. In the notebooks they are folded below each exercise.</p>\n");
        foreach (Card card in cards)
        {
            List<string> found = [.. SolutionsOf(card.Notebook)];
            if (found.Count == 0)
                continue;
            body.Append(CultureInfo.InvariantCulture, $"<h2>{MarkdownHtml.Line(card.Notebook.Title)}</h2>\n");
            for (int i = 0; i < found.Count; i++)
                body.Append(CultureInfo.InvariantCulture, $"<h3>Exercise {i + 1}</h3>\n{MarkdownHtml.Render(found[i])}\n");
        }

        return HtmlPage.Of("Solutions", body.ToString());
    }

    /// <summary>The folded solutions of a notebook, in order, as Markdown.</summary>
    internal static IEnumerable<string> SolutionsOf(Notebook notebook) =>
        notebook.Cells.Where(c => c.Type == "markdown").SelectMany(c => Folded().Matches(c.Source).Select(m => m.Groups[1].Value.Trim()));

    [GeneratedRegex(@"<details>\s*<summary>[^<]*[Ss]olution[^<]*</summary>(.*?)</details>", RegexOptions.Singleline)]
    private static partial Regex Folded();
}
