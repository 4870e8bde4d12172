using System.Globalization;
using System.Text;
using Sparseland.Evaluation;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

namespace Sparseland.Kernel.Gallery;

/// <summary>
/// The ledger: every notebook with its picture, claims, seconds and day of its run, as Markdown. It is made from the stored
/// outputs alone, so it changes only when a notebook does.
/// </summary>
public static class Ledger
{
    /// <summary>What stands before the summary in README.md.</summary>
    public const string Start = "<!-- ledger:start -->";

    /// <summary>What stands after it.</summary>
    public const string End = "<!-- ledger:end -->";

    /// <summary>Folder of the pictures, below the folder of all notebooks.</summary>
    public const string Thumbnails = ".thumbnails";

    private const string ResultsPicture = Thumbnails + "/results.svg";
    private const string MapPicture = Thumbnails + "/paths.svg";

    /// <summary>The files of the ledger with their content, by full path.</summary>
    /// <param name="root">Root of the clone.</param>
    /// <param name="cards">All notebooks with their stored outputs.</param>
    /// <exception cref="InvalidDataException">README.md has not both marks.</exception>
    public static IReadOnlyDictionary<string, string> Files(string root, IReadOnlyList<Card> cards)
    {
        ArgumentNullException.ThrowIfNull(root);
        ArgumentNullException.ThrowIfNull(cards);
        var notebooks = Path.Combine(root, "notebooks");
        var course = Course.Of(cards);
        var files = new Dictionary<string, string>
        {
            [Path.Combine(notebooks, "README.md")] = Index(cards, course),
            [Path.Combine(notebooks, "RESULTS.md")] = ResultsPage.Markdown(cards, ResultsPicture, c => HtmlPage.Address(c.Path)),
            [Path.Combine(notebooks, ResultsPicture)] = ResultsPage.Svg(cards) + "\n",
            [Path.Combine(root, "README.md")] = WithSummary(File.ReadAllText(Path.Combine(root, "README.md")), Summary(cards)),
        };
        foreach (var card in cards.Where(c => c.Pictures.Count > 0))
            files[Path.Combine(notebooks, Thumbnail(card))] = card.Pictures[0].TrimEnd() + "\n";
        if (course.Paths.Count > 0)
            files[Path.Combine(notebooks, MapPicture)] = CourseMap.Svg(course) + "\n";
        foreach (var card in cards)
        {
            if (course.WithCell(card) is { } text)
                files[Path.Combine(notebooks, card.Path.Replace('/', Path.DirectorySeparatorChar))] = text;
        }

        return files;
    }

    /// <summary>Writes the ledger and removes pictures of notebooks that are gone.</summary>
    /// <returns>The files that changed.</returns>
    public static IReadOnlyList<string> Write(string root, IReadOnlyList<Card> cards)
    {
        var changed = new List<string>();
        var files = Files(root, cards);
        using var written = new FileSet();
        foreach (var (path, text) in files)
        {
            if (File.Exists(path) && File.ReadAllText(path) == text)
                continue;
            written.Add(path, text);
            changed.Add(path);
        }

        written.Commit();
        var folder = Path.Combine(root, "notebooks", Thumbnails);
        foreach (var old in Directory.Exists(folder) ? Directory.GetFiles(folder, "*.svg").Where(f => !files.ContainsKey(f)) : [])
        {
            File.Delete(old);
            changed.Add(old);
        }

        return changed;
    }

    /// <summary>Replaces what stands between the marks.</summary>
    /// <exception cref="InvalidDataException">A mark is missing, or they are in the wrong order.</exception>
    public static string WithSummary(string readme, string summary)
    {
        ArgumentNullException.ThrowIfNull(readme);
        var start = readme.IndexOf(Start, StringComparison.Ordinal);
        var end = readme.IndexOf(End, StringComparison.Ordinal);
        if (start < 0 || end < start)
            throw new InvalidDataException($"README.md: the marks {Start} and {End} must both be there, in this order.");
        return readme[..(start + Start.Length)] + "\n" + summary + readme[end..];
    }

    private static string Summary(IReadOnlyList<Card> cards)
    {
        var text = new StringBuilder();
        var all = ClaimCounts.Of(cards.SelectMany(c => c.Claims));
        text.Append(CultureInfo.InvariantCulture, $"In {cards.Count} notebook{(cards.Count == 1 ? "" : "s")} {all.Paper} claims of the papers held, {all.Identities} identities and {all.Findings} findings of our own.\n\n");
        text.Append("| | chapter | paper's claims | identities | findings | time |\n| --- | --- | --- | --- | --- | --- |\n");
        foreach (var chapter in cards.GroupBy(c => c.Chapter))
        {
            List<Card> those = [.. chapter];
            text.Append(CultureInfo.InvariantCulture, $"| {Picture(Opening(those), "notebooks/")} | **{Name(chapter.Key)}**<br>{string.Join(" · ", those.Select(c => $"[{Cell(c.Notebook.Title)}](notebooks/{HtmlPage.Address(c.Path)})"))} | {Claims(ClaimCounts.Of(those.SelectMany(c => c.Claims)))} | {HtmlPage.Time(Card.SecondsOf(those))} |\n");
        }

        return text.ToString();
    }

    /// <summary>The notebook that opens a chapter, whose picture stands for it.</summary>
    private static Card Opening(IReadOnlyList<Card> chapter) => chapter.FirstOrDefault(c => CoursePlace.Read(c.Notebook)?.IsOpening == true) ?? chapter[0];

    private static string Name(string chapter) => chapter.Length > 0 ? chapter : "To begin with";

    private static string Index(IReadOnlyList<Card> cards, Course course)
    {
        var text = new StringBuilder();
        text.Append("# The notebooks\n\nEvery paper with its notebook, and what held when the notebook ran last: of the paper's claims, of the identities that prove the implementation, and of the notebook's own findings. The code of each is in a room of the library, named with its main type. Made by `sparseland gallery --ledger` from the stored outputs; not edited by hand. What did not hold, and why: [RESULTS.md](RESULTS.md).\n");
        if (course.Paths.Count > 0)
            text.Append(CultureInfo.InvariantCulture, $"\n## Learning paths\n\n![Learning paths]({MapPicture})\n\n{CourseMap.Markdown(course, "")}");
        foreach (var chapter in cards.GroupBy(c => c.Chapter))
        {
            text.Append(CultureInfo.InvariantCulture, $"\n## {Name(chapter.Key)}\n\n| | notebook | code | paper's claims | identities | findings | time | memory | run on |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
            foreach (var card in chapter)
            {
                var link = HtmlPage.Address(card.Path);
                var record = RunRecord.Read(card.Notebook);
                text.Append(CultureInfo.InvariantCulture, $"| {Picture(card, "")} | [{Cell(card.Notebook.Title)}]({link}){Paper(card)} | {Code(card)} | {Claims(card.Counts)} | {HtmlPage.Time(card.Seconds)} | {(record is null ? "-" : record.PeakMemoryMB + " MB")} | {(record?.Date is { } date ? date.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture) : "-")} |\n");
            }
        }

        text.Append("\nA claim is held when the measurement satisfies it. Exploratory figures and figures at a scale that cannot run here are in the notebooks and not counted.\n");
        return text.ToString();
    }

    private static string Picture(Card card, string folder) => card.Pictures.Count > 0
        ? $"<a href=\"{folder}{HtmlPage.Address(card.Path)}\"><img src=\"{folder}{HtmlPage.Address(Thumbnail(card))}\" width=\"200\" alt=\"\"></a>"
        : "";

    private static string Thumbnail(Card card) => Thumbnails + "/" + Path.ChangeExtension(card.Path, null).Replace('/', '-') + ".svg";

    private static string Paper(Card card) => PaperFacts.Read(card.Notebook) is { } facts ? "<br>" + Cell(facts.Paper) : "";

    private static string Code(Card card) => PaperFacts.Read(card.Notebook) is { } facts
        ? $"[{facts.Room}](../{HtmlPage.Address(facts.Folder)}), [`{facts.Type}`](../{HtmlPage.Address(facts.File)})"
        : "";

    private static string Claims(ClaimCounts counts) =>
        string.Join(" | ", Enum.GetValues<ClaimOrigin>().Select(o => counts[o] is { Stated: > 0 } count ? string.Create(CultureInfo.InvariantCulture, $"{count.Held} / {count.Stated}") : "-"));

    private static string Cell(string text) => text.Replace("|", "\\|", StringComparison.Ordinal);
}
