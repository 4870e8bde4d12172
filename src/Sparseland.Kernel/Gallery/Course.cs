using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Gallery;

/// <summary>What to read before and after each notebook, and the learning paths: from the notebooks' metadata alone.</summary>
public sealed class Course
{
    /// <summary>Tag and identity of the cell that says a notebook's place.</summary>
    public const string CellTag = "course";

    private const int MostAfter = 4;
    private readonly Dictionary<string, Card> _cards;
    private readonly Dictionary<string, CoursePlace> _places = [];
    private readonly ILookup<string, Card> _after;

    private Course(IReadOnlyList<Card> cards, bool isWhole)
    {
        _cards = cards.ToDictionary(c => c.Path);
        foreach (Card card in cards)
        {
            if (CoursePlace.Read(card.Notebook) is { } place)
                _places[card.Path] = isWhole ? place : place with { Before = [.. place.Before.Where(_cards.ContainsKey)] };
        }

        foreach ((string path, CoursePlace place) in _places)
        {
            foreach (string before in place.Before.Where(b => !_cards.ContainsKey(b)))
                throw new InvalidDataException($"{path}: 'before' names {before}, which is no notebook of the series.");
        }

        Paths = [.. LearningPath.Known.Select(known => known with { Cards = Ordered(known.Key, isWhole) }).Where(p => p.Cards.Count > 0)];
        if (isWhole && _places.FirstOrDefault(p => p.Value.Path is { } name && LearningPath.Known.All(k => k.Key != name)) is { Key: { } lost } stray)
            throw new InvalidDataException($"{lost}: there is no learning path '{stray.Value.Path}'.");
        _after = _places.SelectMany(p => p.Value.Before.Select(b => (Before: b, Card: _cards[p.Key]))).ToLookup(p => p.Before, p => p.Card);
        if (isWhole)
            RefuseCircles();
    }

    /// <summary>The learning paths that have notebooks.</summary>
    public IReadOnlyList<LearningPath> Paths { get; }

    /// <summary>The course of some notebooks.</summary>
    /// <param name="cards">The notebooks.</param>
    /// <param name="isWhole">Whether they are the whole series; otherwise what is not among them is left out. Default true.</param>
    /// <exception cref="InvalidDataException">A notebook is to be read before itself, names one that there is not, or the steps of a path are not 1, 2, 3 and so on.</exception>
    public static Course Of(IReadOnlyList<Card> cards, bool isWhole = true)
    {
        ArgumentNullException.ThrowIfNull(cards);
        return new(cards, isWhole);
    }

    /// <summary>What to read before a notebook.</summary>
    public IReadOnlyList<Card> Before(Card card) => _places.TryGetValue(card.Path, out CoursePlace? place) ? [.. place.Before.Select(b => _cards[b])] : [];

    /// <summary>What a notebook prepares for: the next one on its path first, then those that name it.</summary>
    public IReadOnlyList<Card> After(Card card)
    {
        List<Card> after = [];
        if (NextOnPath(card) is { } next) after.Add(next);
        return [.. after.Concat(_after[card.Path]).DistinctBy(c => c.Path)];
    }

    /// <summary>What comes after a notebook on its path; null on none, and at its end.</summary>
    public Card? NextOnPath(Card card) => PathOf(card)?.Cards.SkipWhile(c => c.Path != card.Path).Skip(1).FirstOrDefault();

    /// <summary>The learning path of a notebook; null where it is on none.</summary>
    public LearningPath? PathOf(Card card) => Paths.FirstOrDefault(p => p.Cards.Any(c => c.Path == card.Path));

    /// <summary>The text that says a notebook's place, with links that work beside the notebook; null where its metadata say none.</summary>
    public string? CellFor(Card card)
    {
        ArgumentNullException.ThrowIfNull(card);
        if (!_places.ContainsKey(card.Path))
            return null;
        var text = new StringBuilder("## Before and after\n");
        IReadOnlyList<Card> before = Before(card), after = After(card);
        text.Append(CultureInfo.InvariantCulture, $"\n**Read before:** {(before.Count > 0 ? Links(card, before) : "nothing; this is the beginning")}.\n");
        Card? following = NextOnPath(card);
        if (following is not null)
        {
            text.Append(CultureInfo.InvariantCulture, $"\n**Next on this path:** {Links(card, [following])}.\n");
            after = [.. after.Where(c => c.Path != following.Path)];
        }

        if (after.Count > 0)
        {
            int rest = after.Count - MostAfter;
            text.Append(CultureInfo.InvariantCulture, $"\n**{(following is null ? "Read next" : "Also next")}:** {Links(card, after.Take(MostAfter))}{(rest > 0 ? $", and {rest} more that build on this one" : "")}.\n");
        }

        if (PathOf(card) is { } path)
        {
            int step = path.Cards.TakeWhile(c => c.Path != card.Path).Count() + 1;
            text.Append(CultureInfo.InvariantCulture, $"\n**Learning path:** {path.Title}, {step} of {path.Cards.Count}{(following is null ? ", its end" : "")}. It needs {path.Needs}; at its end you can {path.Leads}. All paths: [the notebooks]({Up(card)}README.md).\n");
        }
        else
        {
            text.Append(CultureInfo.InvariantCulture, $"\nOn no learning path; all of them: [the notebooks]({Up(card)}README.md).\n");
        }

        return text.ToString().TrimEnd('\n');
    }

    /// <summary>The notebook with the cell that says its place, added as the last one where there is none; null where it has it already, or where its metadata say no place.</summary>
    internal string? WithCell(Card card)
    {
        if (CellFor(card) is not { } text)
            return null;
        NotebookCell? old = card.Notebook.Cells.FirstOrDefault(IsPlace);
        if (old?.Source == text)
            return null;
        Notebook changed = card.Notebook.Clone();
        NotebookCell cell = changed.Cells.FirstOrDefault(IsPlace) ?? changed.Add("markdown", text, CellTag);
        cell.Source = text;
        if (!cell.HasTag(CellTag))
            cell.Metadata.Set("tags", new JsonArray(CellTag));
        return changed.ToText();

        static bool IsPlace(NotebookCell cell) => cell.Type == "markdown" && cell.HasTag(CellTag);
    }

    private IReadOnlyList<Card> Ordered(string key, bool isWhole)
    {
        List<KeyValuePair<string, CoursePlace>> on = [.. _places.Where(p => p.Value.Path == key).OrderBy(p => p.Value.Step)];
        for (int i = 0; isWhole && i < on.Count; i++)
        {
            if (on[i].Value.Step != i + 1)
                throw new InvalidDataException($"{on[i].Key}: it is step {on[i].Value.Step} of the path '{key}', where step {i + 1} is expected.");
        }

        return [.. on.Select(p => _cards[p.Key])];
    }

    private void RefuseCircles()
    {
        HashSet<string> done = [];
        foreach (string start in _places.Keys)
            Visit(start, []);

        void Visit(string path, HashSet<string> open)
        {
            if (done.Contains(path) || !_places.TryGetValue(path, out CoursePlace? place))
                return;
            if (!open.Add(path))
                throw new InvalidDataException($"{path}: by 'before' it is to be read before itself.");
            foreach (string before in place.Before)
                Visit(before, open);
            open.Remove(path);
            done.Add(path);
        }
    }

    private static string Links(Card from, IEnumerable<Card> to) => string.Join(", ", to.Select(c => $"[{c.Notebook.Title.Replace("[", "\\[", StringComparison.Ordinal)}]({Up(from)}{HtmlPage.Address(c.Path)})"));

    private static string Up(Card card) => string.Concat(Enumerable.Repeat("../", card.Path.Count(c => c == '/')));
}
