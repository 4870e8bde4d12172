using Sparseland.Retrieval;
using Sparseland.Retrieval.Formats;

namespace Sparseland.Tests.Retrieval.Formats;

public class TrecFilesTests
{
    [Fact]
    public void Runs_go_round()
    {
        using var folder = new TemporaryFolder();
        Run run = RetrievalData.Run("two words", ("q2", [("b", 0.1 + 0.2), ("a", 1e-30), ("c", -4)]), ("q1", [("ü", 1.0 / 3)]));
        string path = folder.File("x.run");
        TrecFiles.WriteRun(path, run);
        TrecRun read = TrecFiles.ReadRun(path);
        Assert.Equal(0, read.ResortedQueries);
        Assert.Equal("two-words", read.Run.Name);
        Assert.Equal(run.Queries, read.Run.Queries);
        Assert.All(run.Queries, q => Assert.Equal(run[q], read.Run[q]));
        Assert.Equal("q2 Q0 b 1 0.30000000000000004 two-words", File.ReadLines(path).First());
    }

    [Fact]
    public void Lines_in_any_order_are_sorted_by_score_and_that_is_said()
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("x.run", "\uFEFFq1 Q0 a 1 0.5 t\r\nq2 Q0 a 1 3 t\r\nq1\tQ0\tb\t2\t0.75\tt\r\nq1  Q0 c 9 0.5 t\r\n\r\n");
        TrecRun read = TrecFiles.ReadRun(path, "mine");
        Assert.Equal(["b", "a", "c"], read.Run["q1"].Select(d => d.Id));
        Assert.Equal(1, read.ResortedQueries);
        Assert.Contains("1 were not in the order", read.ToString(), StringComparison.Ordinal);
        Assert.Equal("mine", read.Run.Name);
        Assert.Equal("a long tag", TrecFiles.ReadRun(folder.Write("y.run", "q1 Q0 a 1 0.5 a long  tag\n")).Run.Name);
    }

    [Theory]
    [InlineData("q1 Q0 a 1 1.0 t\nq1 Q0 b 2 NaN t\n", "line 2", "NaN")]
    [InlineData("q1 Q0 a 1 Infinity t\n", "line 1", "finite")]
    [InlineData("q1 Q0 a 1 x t\n", "line 1", "'x'")]
    [InlineData("q1 Q0 a 1 1.0\n", "line 1", "5 fields")]
    [InlineData("q1 Q0 an id 1 1.0 t\n", "line 1", "7 fields")]
    [InlineData("q1 Q0 a 1 1.0 t\nq2 Q0 a 1 1.0 t\nq1 Q0 a 2 0.5 t\n", "line 3", "first in line 1")]
    [InlineData("\n", "holds no line", "")]
    public void Broken_runs_are_refused_with_the_line(string text, string where, string what)
    {
        using var folder = new TemporaryFolder();
        string message = Assert.Throws<InvalidDataException>(() => TrecFiles.ReadRun(folder.Write("x.run", text))).Message;
        Assert.Contains(where, message, StringComparison.Ordinal);
        Assert.Contains(what, message, StringComparison.Ordinal);
        Assert.Contains("x.run", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Judgements_go_round()
    {
        using var folder = new TemporaryFolder();
        Qrels qrels = RetrievalData.Qrels(("q2", "a", 2), ("q1", "b", 0), ("q2", "c", -1));
        string path = folder.File("x.qrels");
        TrecFiles.WriteQrels(path, qrels);
        Assert.Equal(qrels.All, TrecFiles.ReadQrels(path).All);
        Assert.Equal("q2 0 a 2", File.ReadLines(path).First());
        Assert.Equal(1, TrecFiles.ReadQrels(folder.Write("y.qrels", "# a comment\r\nq 0 a 1\r\nq 0 a 2")).Repeated);
    }

    [Theory]
    [InlineData("q 0 a\n", "3 fields")]
    [InlineData("q 0 a 1 1\n", "5 fields")]
    [InlineData("q 0 a 1.5\n", "'1.5'")]
    public void Broken_judgements_are_refused_with_the_line(string text, string what)
    {
        using var folder = new TemporaryFolder();
        string message = Assert.Throws<InvalidDataException>(() => TrecFiles.ReadQrels(folder.Write("x.qrels", "q 0 b 1\n" + text))).Message;
        Assert.Contains("line 2", message, StringComparison.Ordinal);
        Assert.Contains(what, message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_file_cannot_hold_is_refused_and_nothing_is_written()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("x");
        Assert.Throws<ArgumentException>(() => TrecFiles.WriteRun(path, RetrievalData.Run("r", ("q 1", [("a", 1)]))));
        Assert.Throws<ArgumentException>(() => TrecFiles.WriteRun(path, RetrievalData.Run("r", ("q", [("a\tb", 1)]))));
        Assert.Throws<ArgumentException>(() => TrecFiles.WriteRun(path, RetrievalData.Run("r", ("#q", [("a", 1)]))));
        Assert.Throws<ArgumentException>(() => TrecFiles.WriteRun(path, RetrievalData.Run("r", ("q", [("a", 1), ("b", 2)]))));
        Assert.Throws<ArgumentException>(() => TrecFiles.WriteQrels(path, RetrievalData.Qrels(("q", "a b", 1))));
        Assert.Throws<OperationCanceledException>(() => TrecFiles.WriteRun(path, RetrievalData.Run("r", ("q", [("a", 1)])), new CancellationToken(true)));
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void Reading_stops_when_asked_and_other_encodings_are_refused()
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("x.run", "q1 Q0 a 1 1.0 t\n");
        Assert.Throws<OperationCanceledException>(() => TrecFiles.ReadRun(path, cancel: new CancellationToken(true)));
        File.WriteAllBytes(path, [0x71, 0x20, 0xFF, 0xFE, 0x41]);
        Assert.Contains("UTF-8", Assert.Throws<InvalidDataException>(() => TrecFiles.ReadRun(path)).Message, StringComparison.Ordinal);
    }
}
