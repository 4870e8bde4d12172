using System.Text.Json.Nodes;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

namespace Sparseland.Kernel.Tests.Running;

public class StoringTests
{
    private static JsonObject Html(string html, string plain = "x") =>
        new() { ["data"] = new JsonObject { ["text/plain"] = plain, ["text/html"] = html }, ["metadata"] = new JsonObject(), ["output_type"] = "display_data" };

    private static string HtmlOf(JsonObject output) => NotebookJson.Lines(output["data"]!["text/html"])!;

    [Fact]
    public void Scripts_are_taken_out_and_what_is_then_empty_is_dropped()
    {
        var clean = new OutputCleaning().Clean([Html("<b>1</b><script type=\"a\">var x = '<b>';\n</script><i>2</i><SCRIPT src='x'></SCRIPT>"), Html("<script>1</script>", " ")]).ToList();
        Assert.Equal("<b>1</b><i>2</i>", HtmlOf(Assert.Single(clean)));
    }

    [Fact]
    public void Random_identities_become_stable_and_keep_their_pairs()
    {
        const string a = "3f2504e0-4f89-11d3-9a0c-0305e82c3301", b = "936da01f-9abd-4d9d-80c7-02af85c822a8";
        var clean = new OutputCleaning().Clean([Html($"<a id=\"{a}\"/><a id='{b}'/>"), Html($"<use href=\"#{a.Replace("-", "")}\"/>")]).ToList();
        Assert.Equal("<a id=\"id-1\"/><a id='id-2'/>", HtmlOf(clean[0]));
        Assert.Equal("<use href=\"#id-1\"/>", HtmlOf(clean[1]));
    }

    [Fact]
    public void Forms_are_stored_in_alphabetical_order_with_lines_as_Jupyter_has_them()
    {
        var clean = new OutputCleaning().Clean([Html("a\r\nb")]).Single();
        Assert.Equal(["text/html", "text/plain"], ((JsonObject)clean["data"]!).Select(d => d.Key));
        Assert.Equal(["a\n", "b"], ((JsonArray)clean["data"]!["text/html"]!).Select(l => (string?)l));
    }

    [Fact]
    public void Streams_are_joined_and_a_carriage_return_overwrites_its_line()
    {
        var recorder = new CellRecorder().Cell(1);
        recorder.Stream("stdout", "10 %\r50 %\r");
        recorder.Stream("stdout", "done\nnext");
        recorder.Stream("stderr", "oh");
        recorder.Stream("stdout", "!");
        var outputs = recorder.Outputs;
        Assert.Equal(["done\nnext", "oh", "!"], outputs.Select(o => NotebookJson.Lines(o["text"])));
    }

    [Fact]
    public void Output_without_end_is_cut()
    {
        var recorder = new CellRecorder().Cell(1);
        for (var i = 0; i < 300; i++)
            recorder.Stream("stdout", new string('x', 10_000) + "\n");
        var text = NotebookJson.Lines(recorder.Outputs.Single()["text"])!;
        Assert.InRange(text.Length, 1_000_000, 1_100_000);
        Assert.EndsWith("left out\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void The_code_hash_sees_code_and_nothing_else()
    {
        var notebook = Notebook.Load(Notes.Single("a", "b"));
        var hash = RunRecord.HashOf(notebook);
        notebook.Cells[0].Source = "# Another title";
        notebook.Metadata.Set("x", 1);
        notebook.CodeCells.First().SetOutputs(3, []);
        Assert.Equal(hash, RunRecord.HashOf(notebook));
        Assert.NotEqual(hash, RunRecord.HashOf(Notebook.Load(Notes.Single("ab", ""))));
        notebook.CodeCells.First().Source = "a ";
        Assert.NotEqual(hash, RunRecord.HashOf(notebook));
    }

    [Fact]
    public void Every_reason_for_stale_outputs_is_said()
    {
        var notebook = Notebook.Load(Notes.Single("a"));
        Assert.Equal(["no completed run is recorded"], StaleCheck.Reasons(notebook));
        new RunRecord("0", "0.0.1", "quick", 1, 1).Write(notebook);
        var reasons = StaleCheck.Reasons(notebook);
        Assert.Equal(4, reasons.Count);
        new RunRecord(RunRecord.HashOf(notebook), RunRecord.CurrentVersion, "lesson", 1, 1).Write(notebook);
        notebook.CodeCells.Single().SetOutputs(1, [Html("x")]);
        Assert.Empty(StaleCheck.Reasons(notebook));
    }

    [Fact]
    public void The_second_run_of_a_notebook_is_told_who_has_it()
    {
        var path = Notes.Single("1");
        using (NotebookLock.Take(path))
        {
            var error = Assert.Throws<IOException>(() => NotebookLock.Take(path));
            Assert.Contains($"process {Environment.ProcessId}", error.Message, StringComparison.Ordinal);
            using var other = NotebookLock.Take(Notes.Single("1"));
        }

        using var again = NotebookLock.Take(path);
    }

    [Fact]
    public void A_notebook_that_was_changed_while_it_ran_is_not_overwritten()
    {
        var path = Notes.Single("1");
        var before = File.ReadAllText(path);
        var run = new NotebookRun(path, Notebook.Load(path), RunStatus.Passed, null, null, TimeSpan.Zero, 0, [], []);
        File.WriteAllText(path, "the author's new text");
        var (written, remark, rescued) = NotebookSaver.Save(run, before, new SaveTarget(null));
        Assert.False(rescued);
        Assert.Equal("the author's new text", File.ReadAllText(path));
        Assert.Equal(before, File.ReadAllText(written));
        Assert.Contains("changed while it ran", remark, StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_be_written_where_it_should_is_rescued()
    {
        var path = Notes.Single("1");
        var run = new NotebookRun(path, Notebook.Load(path), RunStatus.Passed, null, null, TimeSpan.Zero, 0, [], []);
        var (written, remark, rescued) = NotebookSaver.Save(run, "", new SaveTarget(Path.Combine(path, "below-a-file")));
        Assert.True(rescued);
        Assert.True(File.Exists(written));
        Assert.Contains("could not be written", remark, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("90s", 90)]
    [InlineData("15m", 900)]
    [InlineData("1.5h", 5400)]
    [InlineData("250ms", 0.25)]
    [InlineData("30", 30)]
    public void Lengths_of_time_are_read(string text, double seconds) => Assert.Equal(seconds, RunOptions.ParseDuration(text).TotalSeconds, 9);

    [Theory]
    [InlineData("")]
    [InlineData("m")]
    [InlineData("0s")]
    [InlineData("-3m")]
    [InlineData("1e9h")]
    [InlineData("soon")]
    public void Other_text_is_no_length_of_time(string text) => Assert.Throws<FormatException>(() => RunOptions.ParseDuration(text));
}
