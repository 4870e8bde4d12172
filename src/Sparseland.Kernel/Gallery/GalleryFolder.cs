using Sparseland.Kernel.Notebooks;
using Sparseland.Notebooks.Charts;

namespace Sparseland.Kernel.Gallery;

/// <summary>The gallery as files: the page, the page of results, a reading copy for each notebook, the pictures and the script of live charts.</summary>
internal static class GalleryFolder
{
    private const string ChartScript = "charts.js";

    /// <summary>Writes all files, or none where one of them cannot be written.</summary>
    /// <param name="place">The folder.</param>
    /// <param name="cards">The notebooks.</param>
    /// <returns>Path of the page to open.</returns>
    public static string Write(string place, IReadOnlyList<Card> cards)
    {
        using var files = new FileSet();
        if (cards.Any(c => ReadingCopy.HasInteractiveCharts(c.Notebook)))
            files.Add(Path.Combine(place, ChartScript), InteractiveCharts.PageScript());
        for (var i = 0; i < cards.Count; i++)
        {
            var up = string.Concat(Enumerable.Repeat("../", cards[i].Page.Count(c => c == '/')));
            var html = ReadingCopy.Render(cards[i].Notebook, new ReadingCopyOptions(up + "index.html", LinkAmong(cards[i], cards), up + ChartScript, PlaceOf(cards, i, up)));
            files.Add(Path.Combine(place, cards[i].Page), html);
        }

        foreach (var (picture, svg) in GalleryPage.Pictures(cards))
            files.Add(Path.Combine(place, picture), svg);
        var index = Path.Combine(place, "index.html");
        files.Add(index, GalleryPage.Render(cards, File.Exists(Path.Combine(place, GalleryPage.ApiFile))));
        files.Add(Path.Combine(place, GalleryPage.ResultsFile), GalleryPage.Results(cards));
        files.Commit();
        return index;
    }

    private static SeriesPlace PlaceOf(IReadOnlyList<Card> cards, int index, string up)
    {
        PageLink Link(int i) => new(cards[i].Notebook.Title, i == index ? null : up + HtmlPage.Address(cards[i].Page));
        return new(
            cards[index].Chapter.Length > 0 ? cards[index].Chapter : "Start here",
            [.. Enumerable.Range(0, cards.Count).Where(i => cards[i].ChapterFolder == cards[index].ChapterFolder).Select(Link)],
            index > 0 ? Link(index - 1) : null,
            index + 1 < cards.Count ? Link(index + 1) : null);
    }

    /// <summary>A link between notebooks becomes one between their reading copies.</summary>
    private static Func<string, string?> LinkAmong(Card from, IReadOnlyList<Card> cards) => url =>
    {
        if (!url.EndsWith(".ipynb", StringComparison.OrdinalIgnoreCase) || url.Contains(':', StringComparison.Ordinal))
            return null;
        var folder = Path.GetDirectoryName(Path.GetFullPath(from.Notebook.Name))!;
        var target = Path.GetFullPath(Uri.UnescapeDataString(url), folder);
        return cards.Any(c => Path.GetFullPath(c.Notebook.Name) == target) ? url[..^".ipynb".Length] + ".html" : null;
    };
}
