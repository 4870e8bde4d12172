using System.Text.Json.Nodes;
using Sparseland.Evaluation;
using Sparseland.Kernel.Gallery;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;
using Sparseland.Notebooks;

namespace Sparseland.Kernel.Tests.Cli;

/// <summary>What gallery, reading copies and reports say of claims: by origin, and at which scale.</summary>
public class ClaimCardTests
{
    [Fact]
    public void The_three_origins_are_counted_apart()
    {
        var card = With(Stated("lesson"));
        Assert.Equal("paper's claims 0 of 1 held, identities 1 of 1, findings 1 of 1", card.Counts.ToString());
        Assert.Contains("1 notebook at lesson scale: paper's claims 0 of 1 held", GalleryPage.Summary([card]), StringComparison.Ordinal);
        var page = GalleryPage.Render([card]);
        foreach (var part in new[] { "The paper's claims", "Identities", "Findings", "✗</span> five times" })
            Assert.Contains(part, page, StringComparison.Ordinal);
        Assert.Contains("paper&#39;s claims 0 of 1 held, identities 1 of 1, findings 1 of 1", ReadingCopy.Render(card.Notebook, new ReadingCopyOptions()), StringComparison.Ordinal);
    }

    [Fact]
    public void At_quick_scale_pages_say_so_and_only_identities_are_judged()
    {
        var card = With(Stated("quick"));
        var page = GalleryPage.Render([card]);
        Assert.Contains("1 notebook at quick scale: identities 1 of 1 held, 2 measured but not judged", GalleryPage.Summary([card]), StringComparison.Ordinal);
        Assert.Contains("Measured at quick scale. Only exact claims are judged", page, StringComparison.Ordinal);
        Assert.DoesNotContain("✗</span>", page, StringComparison.Ordinal);
        var copy = ReadingCopy.Render(card.Notebook, new ReadingCopyOptions());
        Assert.Contains("run at quick scale", copy, StringComparison.Ordinal);
        Assert.DoesNotContain("not reproduced", copy, StringComparison.Ordinal);
    }

    [Fact]
    public void A_card_says_that_only_an_abstract_could_be_read()
    {
        const string Said = "Only the abstract of the paper could be read.";
        Assert.Contains(Said, GalleryPage.Render([With(Stated("lesson", PaperRead.AbstractOnly))]), StringComparison.Ordinal);
        Assert.DoesNotContain(Said, GalleryPage.Render([With(Stated("lesson"))]), StringComparison.Ordinal);
    }

    [Fact]
    public void Claims_are_folded_under_their_bar_even_where_one_did_not_hold()
    {
        var page = GalleryPage.Render([With(Stated("lesson"))]);
        Assert.Contains("<i style=\"width:67%\">", page, StringComparison.Ordinal);
        Assert.Contains("<details><summary>", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<details open", page, StringComparison.Ordinal);
    }

    [Fact]
    public void A_long_line_of_code_goes_on_below_and_is_never_cut() =>
        Assert.Matches(@"pre\.source \{[^}]*white-space: pre-wrap; overflow-wrap: anywhere;", ReadingCopy.Render(With(Stated("lesson")).Notebook, new ReadingCopyOptions()));

    [Fact]
    public void The_report_counts_by_origin()
    {
        var notebook = With(Stated("lesson")).Notebook;
        var run = new NotebookRun("a.ipynb", notebook, RunStatus.Passed, null, null, TimeSpan.Zero, 0, StoredClaims.Of(notebook), []);
        var report = RunReport.Of([run], new Dictionary<string, string>(), RunScale.Lesson)["notebooks"]![0]!;
        Assert.Equal((2, 3), ((int)report["held"]!, (int)report["stated"]!));
        Assert.Equal("""{"held":0,"stated":1}""", report["paper"]!.ToJsonString());
        Assert.Equal("""{"held":1,"stated":1}""", report["identities"]!.ToJsonString());
        Assert.Equal("""{"held":1,"stated":1}""", report["findings"]!.ToJsonString());
        Assert.Equal(0, (int)report["notJudged"]!);
    }

    private static Claims Stated(string scale, PaperRead read = PaperRead.Whole)
    {
        var claims = new Claims("Toy", "A paper, 2023") { Scale = scale, JudgesOnlyExact = scale == "quick", Read = read };
        claims.FromPaper("five times", "5 x", "abstract", [1.0, 2, 3], [1, 2, 3], Relation.AtLeast, 5);
        claims.Identity("one is one", "definition", 1, Relation.Equal, 1);
        claims.Finding("also twice", [1.0, 2, 3], [1, 2, 3], Relation.AtLeast, 2);
        return claims;
    }

    private static Card With(Claims claims)
    {
        var notebook = Notebook.Create("a.ipynb");
        notebook.Add("markdown", "# Toy\n\n**Question.** Does it hold?");
        notebook.Add("code", "claims");
        var data = new JsonObject(ClaimsTable.Render(claims).Data.Select(d => KeyValuePair.Create(d.Key, (JsonNode?)d.Value.DeepClone())));
        notebook.CodeCells.Single().SetOutputs(1, [new() { ["data"] = data, ["metadata"] = new JsonObject(), ["output_type"] = "display_data" }]);
        new RunRecord("x", "0", claims.Scale, 1, 1).Write(notebook);
        return new Card(notebook, "01-toys/a.ipynb");
    }
}
