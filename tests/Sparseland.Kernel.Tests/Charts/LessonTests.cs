using System.Text.Json.Nodes;
using Sparseland.Evaluation;
using Sparseland.Notebooks;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>What belongs to the process (environment, the switch of interactive charts) is tested alone.</summary>
[CollectionDefinition(nameof(WholeProcess), DisableParallelization = true)]
public sealed class WholeProcess;

/// <summary>Scale, items under a progress bar, and the bar itself on a clock of the test's own.</summary>
[Collection(nameof(WholeProcess))]
public class LessonTests
{
    [Theory]
    [InlineData(null, LessonScale.Lesson)]
    [InlineData("", LessonScale.Lesson)]
    [InlineData("lesson", LessonScale.Lesson)]
    [InlineData(" Quick ", LessonScale.Quick)]
    [InlineData("FULL", LessonScale.Full)]
    public void The_scale_is_read_generously(string? text, LessonScale expected) => Assert.Equal(expected, Lesson.ParseScale(text));

    [Theory]
    [InlineData("fast")]
    [InlineData("0")]
    [InlineData("quick,full")]
    public void A_scale_that_there_is_not_is_refused_with_those_that_there_are(string text)
    {
        string message = Assert.Throws<ArgumentException>(() => Started(text)).Message;
        foreach (string part in new[] { "SPARSELAND_SCALE", $"\"{text}\"", "quick", "lesson", "full" })
            Assert.Contains(part, message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("quick", 1)]
    [InlineData("lesson", 2)]
    [InlineData("full", 3)]
    public void Pick_gives_the_value_of_the_scale(string scale, int expected)
    {
        var (lesson, host) = Started(scale, seed: 7);
        Assert.Equal((expected, 7), (lesson.Pick(1, 2, 3), lesson.Seed));
        string banner = Assert.Single(host.Events).Text;
        Assert.Contains("scale " + scale, banner);
        Assert.DoesNotContain("\n", banner);
    }

    [Theory]
    [InlineData("quick", ClaimOutcome.NotJudged)]
    [InlineData("lesson", ClaimOutcome.NotReproduced)]
    [InlineData("full", ClaimOutcome.NotReproduced)]
    public void Claims_know_their_scale_and_at_quick_scale_only_exact_ones_are_judged(string scale, ClaimOutcome expected)
    {
        Claims claims = Started(scale).Lesson.Claims("Toy", "A paper, 2023", PaperRead.AbstractOnly);
        Assert.Equal((scale, PaperRead.AbstractOnly, "Toy", "A paper, 2023"), (claims.Scale, claims.Read, claims.Title, claims.Paper));
        Assert.Equal(expected, claims.FromPaper("five times", "5 x", "abstract", [1.0, 2, 3], [1, 2, 3], Relation.AtLeast, 5).Outcome);
        Assert.Equal(ClaimOutcome.NotReproduced, claims.Identity("one is two", "definition", 1, Relation.Equal, 2).Outcome);
        Assert.Throws<ArgumentException>(() => Started(scale).Lesson.Claims(" ", "paper"));
    }

    [Fact]
    public void Track_walks_through_all_items_under_one_bar_that_ends_as_one_line()
    {
        var (lesson, host) = Started("quick");
        host.Events.Clear();
        NotebookHost.Enter(host);
        try
        {
            Assert.Equal(["a", "b", "c"], lesson.Track((string[])["a", "b", "c"], "Walking"));
            Assert.Equal([0, 1], lesson.Track(2, "Counting"));
            Assert.Empty(lesson.Track(0, "Nothing"));
        }
        finally
        {
            NotebookHost.Enter(null);
        }
        var bars = host.Events.GroupBy(e => e.Id).Select(g => g.Last().Text).ToArray();
        Assert.Equal(3, bars.Length);
        Assert.StartsWith("Walking: 3 steps in ", bars[0]);
        Assert.StartsWith("Counting: 2 steps in ", bars[1]);
        Assert.StartsWith("Nothing: done in ", bars[2]);
        Assert.All(host.Events.GroupBy(e => e.Id), g => Assert.Equal(0, g.Skip(1).Count(e => !e.IsUpdate)));
    }

    [Fact]
    public void Track_stops_when_the_cell_is_interrupted_and_says_how_far_it_came()
    {
        var (lesson, host) = Started("quick");
        NotebookHost.Enter(host);
        try
        {
            int seen = 0;
            Assert.Throws<OperationCanceledException>(() =>
            {
                foreach (int i in lesson.Track(1000, "Long"))
                {
                    seen++;
                    if (i == 4)
                        host.Cancel.Cancel();
                }
            });
            Assert.Equal(5, seen);
            Assert.True(lesson.Cancel.IsCancellationRequested);
        }
        finally
        {
            NotebookHost.Enter(null);
        }
        Assert.Contains("(interrupted)", host.Events[^1].Text);
    }

    [Fact]
    public void Track_refuses_at_once_and_not_at_the_first_item()
    {
        var (lesson, _) = Started("quick");
        Assert.Throws<ArgumentOutOfRangeException>(() => lesson.Track(-1, "x"));
        Assert.Throws<ArgumentException>(() => lesson.Track(3, " "));
        Assert.Throws<ArgumentNullException>(() => lesson.Track<int>(null!, "x"));
    }

    private static (Lesson Lesson, FakeHost Host) Started(string scale, int seed = 1)
    {
        string? before = Environment.GetEnvironmentVariable(Lesson.ScaleVariable);
        var host = new FakeHost();
        NotebookHost.Enter(host);
        try
        {
            Environment.SetEnvironmentVariable(Lesson.ScaleVariable, scale);
            return (Lesson.Start(seed), host);
        }
        finally
        {
            Environment.SetEnvironmentVariable(Lesson.ScaleVariable, before);
            NotebookHost.Enter(null);
        }
    }
}

/// <summary>Keeps what is displayed.</summary>
internal sealed class FakeHost : INotebookHost
{
    public List<(string Id, bool IsUpdate, string Text, string Html)> Events { get; } = [];

    public CancellationTokenSource Cancel { get; } = new();

    public CancellationToken CellCancelled => Cancel.Token;

    public void Display(MimeBundle bundle, string displayId) => Add(bundle, displayId, false);

    public string Ask(string prompt, bool isPassword) => throw new NotSupportedException();

        public void Update(MimeBundle bundle, string displayId) => Add(bundle, displayId, true);

    private void Add(MimeBundle bundle, string id, bool update)
    {
        lock (Events)
            Events.Add((id, update, bundle.Data["text/plain"].GetValue<string>(), bundle.Data.TryGetValue("text/html", out JsonNode? html) ? html.GetValue<string>() : ""));
    }
}
