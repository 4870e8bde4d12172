using System.Text.Json.Nodes;
using Sparseland.Kernel.Gallery;
using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Tests.Cli;

public class CourseTests
{
    [Fact]
    public void Before_and_after_come_from_the_metadata()
    {
        Card[] cards = [Of("a.ipynb", []), Of("01-x/b.ipynb", ["a.ipynb"], ("signals", 1)), Of("01-x/c d.ipynb", ["a.ipynb", "01-x/b.ipynb"], ("signals", 2))];
        Course course = Course.Of(cards);
        Assert.Equal(["01-x/b.ipynb", "01-x/c d.ipynb"], course.After(cards[0]).Select(c => c.Path));
        Assert.Empty(course.Before(cards[0]));
        Assert.Equal(["01-x/b.ipynb", "01-x/c d.ipynb"], Assert.Single(course.Paths).Cards.Select(c => c.Path));
        string text = course.CellFor(cards[1])!;
        Assert.Contains("**Read before:** [Title of a.ipynb](../a.ipynb).", text, StringComparison.Ordinal);
        Assert.Contains("(../01-x/c%20d.ipynb)", text, StringComparison.Ordinal);
        Assert.Contains("Signals, 1 of 2.", text, StringComparison.Ordinal);
        Assert.Contains("Title of 01-x/c d.ipynb", CourseMap.Svg(course), StringComparison.Ordinal);
        Assert.Contains("<li>", CourseMap.Html(course, c => c.Page), StringComparison.Ordinal);
    }

    [Fact]
    public void The_cell_is_written_once_and_renewed_in_its_place()
    {
        Card[] cards = [Of("a.ipynb", []), Of("b.ipynb", ["a.ipynb"])];
        string text = Course.Of(cards).WithCell(cards[0])!;
        Card with = cards[0] with { Notebook = Notebook.Parse(text, "a.ipynb") };
        Assert.Null(Course.Of([with, cards[1]]).WithCell(with));
        Card alone = Card(Course.Of([with]).WithCell(with)!);
        Assert.Equal(with.Notebook.Cells.Count, alone.Notebook.Cells.Count);
        Assert.DoesNotContain("Read next", alone.Notebook.Cells[^1].Source, StringComparison.Ordinal);
        Card Card(string source) => new(Notebook.Parse(source, "a.ipynb"), "a.ipynb");
    }

    [Fact]
    public void A_notebook_without_a_place_is_left_alone()
    {
        Card card = new(Notebook.Create("a.ipynb"), "a.ipynb");
        Assert.Null(Course.Of([card]).WithCell(card));
        Assert.Empty(CourseMap.Html(Course.Of([card]), c => c.Page));
    }

    [Fact]
    public void A_part_of_the_series_shows_what_it_has()
    {
        Card[] part = [Of("b.ipynb", ["a.ipynb"], ("signals", 3))];
        Course course = Course.Of(part, isWhole: false);
        Assert.Empty(course.Before(part[0]));
        Assert.Same(part[0], Assert.Single(Assert.Single(course.Paths).Cards));
        Assert.Contains("Title of b.ipynb", GalleryPage.Render(part), StringComparison.Ordinal);
        Assert.Contains($"href=\"{GalleryPage.ApiFile}\"", GalleryPage.Render(part, hasApi: true), StringComparison.Ordinal);
        Assert.DoesNotContain(GalleryPage.ApiFile, GalleryPage.Render(part), StringComparison.Ordinal);
        Assert.Contains("What held", GalleryPage.Results(part), StringComparison.Ordinal);
    }

    [Fact]
    public void Circles_strangers_and_gaps_are_refused_by_name()
    {
        Assert.Contains("a.ipynb", Assert.Throws<InvalidDataException>(() => Course.Of([Of("a.ipynb", ["b.ipynb"]), Of("b.ipynb", ["a.ipynb"])])).Message, StringComparison.Ordinal);
        Assert.Contains("gone.ipynb", Assert.Throws<InvalidDataException>(() => Course.Of([Of("a.ipynb", ["gone.ipynb"])])).Message, StringComparison.Ordinal);
        Assert.Contains("step 2", Assert.Throws<InvalidDataException>(() => Course.Of([Of("a.ipynb", [], ("signals", 2))])).Message, StringComparison.Ordinal);
        Assert.Contains("nowhere", Assert.Throws<InvalidDataException>(() => Course.Of([Of("a.ipynb", [], ("nowhere", 1))])).Message, StringComparison.Ordinal);
    }

    private static Card Of(string path, string[] before, (string Name, int Step)? on = null)
    {
        Notebook notebook = Notebook.Create(path);
        notebook.Add("markdown", $"# Title of {path}");
        JsonObject place = new() { ["before"] = new JsonArray([.. before.Select(b => JsonValue.Create(b))]) };
        if (on is { } at)
            place["path"] = new JsonObject { ["name"] = at.Name, ["step"] = at.Step };
        notebook.Metadata["sparseland"] = place;
        return new(notebook, path);
    }
}
