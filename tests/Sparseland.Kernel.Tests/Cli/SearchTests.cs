namespace Sparseland.Kernel.Tests.Cli;

/// <summary>From a BEIR folder to an index, to found documents and to a run.</summary>
public sealed class SearchTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("sparseland-search-").FullName;

    public SearchTests()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "set", "qrels"));
        File.WriteAllLines(Path.Combine(_folder, "set", "corpus.jsonl"), [
            """{"_id": "a", "title": "StreamReader", "text": "Reads characters from a stream."}""",
            """{"_id": "b", "title": "", "text": "Writes bytes to a buffer."}""",
            """{"_id": "c", "title": "JsonReader", "text": "Reads tokens."}"""]);
        File.WriteAllLines(Path.Combine(_folder, "set", "queries.jsonl"), ["""{"_id": "q1", "text": "read a stream"}""", """{"_id": "q2", "text": "unheard of"}"""]);
        File.WriteAllLines(Path.Combine(_folder, "set", "qrels", "test.tsv"), ["query-id\tcorpus-id\tscore", "q1\ta\t1", "q2\tb\t1"]);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_collection_is_indexed_and_searched_from_the_command_line()
    {
        var (code, text, error) = await Command.RunAsync(_folder, "index", "set", "--out", "set.index");
        Assert.True(code == 0, error);
        Assert.Contains("3 documents", text, StringComparison.Ordinal);
        (code, text, error) = await Command.RunAsync(_folder, "search", "set.index", "reading streams", "--explain");
        Assert.True(code == 0, error);
        string[] lines = text.Split('\n');
        Assert.EndsWith("  a", lines[0], StringComparison.Ordinal);
        Assert.Contains("  stream: ", text, StringComparison.Ordinal);
        Assert.DoesNotContain("  b\n", text, StringComparison.Ordinal);
        (code, text, error) = await Command.RunAsync(_folder, "search", "set.index", "--queries", "set", "--run", "set.run");
        Assert.True(code == 0, error);
        Assert.StartsWith("q1 Q0 a 1 ", File.ReadAllLines(Path.Combine(_folder, "set.run"))[0], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_of_text_files_is_indexed_as_it_is()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "notes", "old"));
        File.WriteAllText(Path.Combine(_folder, "notes", "plan.md"), "# Plan\nA stream of requests.\n");
        File.WriteAllText(Path.Combine(_folder, "notes", "old", "draft.txt"), "Nothing of that.");
        File.WriteAllText(Path.Combine(_folder, "notes", "code.cs"), "// streams");
        var (code, text, error) = await Command.RunAsync(_folder, "index", "notes");
        Assert.True(code == 0, error);
        Assert.Contains("2 documents", text, StringComparison.Ordinal);
        (code, text, error) = await Command.RunAsync(_folder, "search", "notes.index", "streams");
        Assert.True(code == 0, error);
        Assert.EndsWith("  plan.md", text.TrimEnd(), StringComparison.Ordinal);
        (code, text, error) = await Command.RunAsync(_folder, "index", "notes", "--endings", ".cs", ".txt", "--out", "code.index");
        Assert.True(code == 0, error);
        (code, text, error) = await Command.RunAsync(_folder, "search", "code.index", "streams");
        Assert.EndsWith("  code.cs", text.TrimEnd(), StringComparison.Ordinal);
        (code, _, error) = await Command.RunAsync(_folder, "index", "notes", "--endings", "cs", "--out", "bad.index");
        Assert.Equal(2, code);
        Assert.Contains("'cs' is no ending", error, StringComparison.Ordinal);
        (code, _, error) = await Command.RunAsync(_folder, "index", "notes/old", "--endings", ".pdf", "--out", "bad.index");
        Assert.Equal(2, code);
        Assert.Contains(".pdf", error, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(_folder, "bad.index")));
    }

    [Fact]
    public async Task Mistakes_are_one_line_and_leave_nothing()
    {
        File.WriteAllText(Path.Combine(_folder, "no.index"), "no index, but a text that is long enough");
        var (code, _, error) = await Command.RunAsync(_folder, "search", "no.index", "x");
        Assert.Equal(2, code);
        Assert.Contains("no.index", error, StringComparison.Ordinal);
        (code, _, error) = await Command.RunAsync(_folder, "index", "set", "--out", "set.index", "--b", "2");
        Assert.Equal(2, code);
        Assert.Contains("b is from 0 to 1", error, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(_folder, "set.index")));
    }

    [Fact]
    public async Task All_queries_of_a_folder_are_searched_and_neither_corpus_nor_judgements_need_be_there()
    {
        await Command.RunAsync(_folder, "index", "set", "--out", "set.index");
        Directory.CreateDirectory(Path.Combine(_folder, "asked", "qrels"));
        File.WriteAllLines(Path.Combine(_folder, "asked", "queries.jsonl"), ["""{"_id": "q1", "text": "stream"}""", """{"_id": "q7", "text": "buffer"}"""]);
        var (code, _, error) = await Command.RunAsync(_folder, "search", "set.index", "--queries", "asked", "--run", "all.run");
        Assert.True(code == 0, error);
        Assert.Equal(["q1", "q7"], File.ReadAllLines(Path.Combine(_folder, "all.run")).Select(l => l.Split(' ')[0]));

        // Several splits, none of them named test.
        File.WriteAllLines(Path.Combine(_folder, "asked", "qrels", "dev.tsv"), ["q7\tb\t1"]);
        File.WriteAllLines(Path.Combine(_folder, "asked", "qrels", "train.tsv"), ["q1\ta\t1"]);
        (code, _, error) = await Command.RunAsync(_folder, "search", "set.index", "--queries", "asked", "--split", "dev", "--run", "dev.run");
        Assert.True(code == 0, error);
        Assert.Equal(["q7"], File.ReadAllLines(Path.Combine(_folder, "dev.run")).Select(l => l.Split(' ')[0]));
        (code, _, error) = await Command.RunAsync(_folder, "search", "set.index", "--queries", "asked", "--split", "test", "--run", "test.run");
        Assert.Equal(2, code);
        Assert.Contains("dev, train", error, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(_folder, "test.run")));
    }

    [Fact]
    public async Task Options_are_refused_before_a_file_is_read()
    {
        File.WriteAllText(Path.Combine(_folder, "set", "corpus.jsonl"), "no JSON");
        var (code, _, error) = await Command.RunAsync(_folder, "index", "set", "--out", "set.index", "--k1", "-1");
        Assert.Equal(2, code);
        Assert.Contains("K1", error, StringComparison.Ordinal);
        (code, _, error) = await Command.RunAsync(_folder, "encode", "set", "--out", "vectors", "--tokens", "0");
        Assert.Equal(2, code);
        Assert.Contains("--tokens: 0", error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(_folder, "vectors")));
    }
}
