using Sparseland.Retrieval;
using Sparseland.Retrieval.Formats;

namespace Sparseland.Tests.Retrieval.Formats;

public class BeirTests
{
    private const string CorpusText = "\uFEFF{\"_id\": \"d1\", \"title\": \"First\", \"text\": \"one \\\"two\\\"\", \"metadata\": {\"a\": 1}}\r\n"
        + "{\"_id\": \"d2\", \"text\": \"only text\"}\r\n\r\n{\"_id\": 3, \"title\": null, \"text\": \"\"}\r\n";

    private const string QueryText = "{\"_id\": \"q1\", \"text\": \"one\"}\n{\"_id\": \"d2\", \"text\": \"a document too\"}\n{\"_id\": \"q3\", \"text\": \"\"}\n";
    private const string QrelsText = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td1\t2\nd2\td2\t1\nq9\td1\t1\nq1\tgone\t1\n";

    private static TemporaryFolder Folder(string corpus = CorpusText, string queries = QueryText, string qrels = QrelsText)
    {
        var folder = new TemporaryFolder();
        folder.Write("corpus.jsonl", corpus);
        folder.Write("queries.jsonl", queries);
        folder.Write("qrels/test.tsv", qrels);
        return folder;
    }

    [Fact]
    public void A_folder_as_it_is_is_read_and_its_oddities_counted()
    {
        using TemporaryFolder folder = Folder();
        BeirFolder read = Beir.Read(folder.Path);
        RetrievalCollection collection = read.Collection;
        Assert.Equal(["d1", "d2", "3"], collection.Documents.Select(d => d.Id));
        Assert.Equal("First\none \"two\"", collection.Documents[0].Contents);
        Assert.Equal(["q1", "d2"], collection.Queries.Select(q => q.Id));
        Assert.Equal((2, 1, 1), (read.MissingTitles, read.EmptyDocuments, read.RepeatedJudgements));
        Assert.Equal((1, 1, 1), (collection.UnknownDocuments, collection.UnknownQueries, collection.IdenticalIds));
        Assert.Equal(2, collection.Qrels.Grade("q1", "d1"));
        Assert.True(collection.DropsIdenticalIds);
        Assert.Contains("1 queries are documents too", read.ToString(), StringComparison.Ordinal);
        Assert.Contains("1 judgements repeated", read.ToString(), StringComparison.Ordinal);
        Assert.Equal(3, Beir.Read(folder.Path, new() { AllQueries = true }).Collection.Queries.Count);
        Assert.False(Beir.Read(folder.Path, new() { DropIdenticalIds = false }).Collection.DropsIdenticalIds);
        Assert.Throws<InvalidDataException>(() => Beir.Read(folder.Path, new() { RefuseUnknown = true }));
    }

    [Fact]
    public void Judgements_without_a_heading_lose_no_line()
    {
        using TemporaryFolder folder = Folder(qrels: "q1\td1\t1\nq1\td2\t0\n");
        Assert.Equal(2, Beir.Read(folder.Path).Collection.Qrels.Count);
    }

    [Fact]
    public void Splits_are_chosen_by_name()
    {
        using TemporaryFolder folder = Folder();
        folder.Write("qrels/dev.tsv", "query-id\tcorpus-id\tscore\nq3\td1\t1\n");
        Assert.Equal(["dev", "test"], Beir.Splits(folder.Path));
        Assert.Equal("test", Beir.Read(folder.Path).Split);
        Assert.Equal(["q3"], Beir.Read(folder.Path, new() { Split = "dev" }).Collection.Queries.Select(q => q.Id));
        Assert.Contains("dev, test", Assert.Throws<ArgumentException>(() => Beir.Read(folder.Path, new() { Split = "train" })).Message, StringComparison.Ordinal);
        File.Move(folder.File("qrels/test.tsv"), folder.File("qrels/train.tsv"));
        Assert.Throws<ArgumentException>(() => Beir.Read(folder.Path));
        File.Delete(folder.File("qrels/train.tsv"));
        Assert.Equal("dev", Beir.Read(folder.Path).Split);
    }

    [Theory]
    [InlineData("{\"_id\": \"d1\", \"text\": \"a\"}\n{\"_id\": \"d2\", \"text\"\n", "corpus.jsonl', line 2: no JSON")]
    [InlineData("{\"_id\": \"d1\", \"text\": \"a\"}\n\n{\"_id\": \"d1\", \"text\": \"b\"}\n", "line 3: the id 'd1' stands again, first in line 1")]
    [InlineData("[1]\n", "line 1: a JSON object is expected")]
    [InlineData("{\"text\": \"a\"}\n", "line 1: there is no \"_id\"")]
    [InlineData("{\"_id\": \"d1\", \"text\": 5}\n", "line 1: \"text\" is Number")]
    [InlineData("{\"_id\": \"d1\", \"text\": \"\\ud800\"}\n", "line 1: \"text\" is no valid text")]
    [InlineData("\n", "holds no document")]
    public void Broken_documents_are_refused_with_file_and_line(string corpus, string message)
    {
        using TemporaryFolder folder = Folder(corpus);
        Assert.Contains(message, Assert.Throws<InvalidDataException>(() => Beir.Read(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("q1\td1\n", "line 1: 2 fields")]
    [InlineData("q1\td1\t1\nq1 0 d1 1\n", "line 2: 1 fields")]
    [InlineData("q1\td1\t1\nq1\td2\tx\n", "line 2: the grade 'x'")]
    [InlineData("q1\t\t1\n", "line 1: an id is empty")]
    public void Broken_judgements_are_refused_with_file_and_line(string qrels, string message)
    {
        using TemporaryFolder folder = Folder(qrels: qrels);
        Assert.Contains(message, Assert.Throws<InvalidDataException>(() => Beir.Read(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_files_and_texts_are_named()
    {
        using TemporaryFolder folder = Folder(queries: "{\"_id\": \"q1\"}\n");
        Assert.Contains("'q1' has no \"text\"", Assert.Throws<InvalidDataException>(() => Beir.Read(folder.Path)).Message, StringComparison.Ordinal);
        File.Delete(folder.File("queries.jsonl"));
        Assert.Throws<FileNotFoundException>(() => Beir.Read(folder.Path));
        Assert.Throws<DirectoryNotFoundException>(() => Beir.Read(folder.File("none")));
        Assert.Throws<OperationCanceledException>(() => Beir.Read(Folder().Path, cancel: new CancellationToken(true)));
    }

    [Fact]
    public void A_collection_goes_round()
    {
        using var folder = new TemporaryFolder();
        RetrievalDocument[] documents =
        [
            new("M:System.String.Trim(System.Char)", "line\nbreak \u05E9\u05DC\u05D5\u05DD e\u0301") { Title = "String.Trim" }, new("b", ""), new("c", new string('x', 1 << 20)),
        ];
        var collection = new RetrievalCollection("c", documents, [new("q1", "\"quoted\" \\ <x>"), new("q2", "")], RetrievalData.Qrels(("q1", "b", 2), ("q2", "gone", 1)));
        Beir.Write(folder.Path, collection, new Dictionary<string, Qrels> { ["test"] = collection.Qrels, ["dev"] = RetrievalData.Qrels(("q1", "c", 1)) });
        BeirFolder read = Beir.Read(folder.Path);
        Assert.Equal(documents, read.Collection.Documents);
        Assert.Equal(collection.Queries, read.Collection.Queries);
        Assert.Equal(collection.Qrels.All, read.Collection.Qrels.All);
        Assert.Equal(1, read.Collection.UnknownDocuments);
        Assert.Equal(["q1"], Beir.Read(folder.Path, new() { Split = "dev" }).Collection.Queries.Select(q => q.Id));
        Assert.Equal("{\"_id\":\"b\",\"title\":\"\",\"text\":\"\"}", File.ReadLines(folder.File("corpus.jsonl")).ElementAt(1));
    }

    [Fact]
    public void What_the_files_cannot_hold_is_refused_before_anything_is_written()
    {
        using var folder = new TemporaryFolder();
        RetrievalCollection Of(string id, string text = "") => new("c", [new(id, text)], [new("q", "")], RetrievalData.Qrels(("q", id, 1)));
        Assert.Throws<ArgumentException>(() => Beir.Write(folder.Path, Of("a\tb")));
        Assert.Throws<ArgumentException>(() => Beir.Write(folder.Path, Of("a", "\uD800")));
        Assert.Throws<ArgumentException>(() => Beir.Write(folder.Path, Of("a"), "te/st"));
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
        Assert.Throws<OperationCanceledException>(() => Beir.Write(folder.Path, Of("a"), cancel: new CancellationToken(true)));
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void A_grade_in_the_first_line_is_no_heading()
    {
        string folder = Directory.CreateTempSubdirectory("beir").FullName;
        try
        {
            string path = Path.Combine(folder, "test.tsv");
            File.WriteAllText(path, "q1\td1\t1.0\nq1\td2\t2\n");
            InvalidDataException error = Assert.Throws<InvalidDataException>(() => Beir.ReadQrels(path));
            Assert.Contains("line 1: the grade '1.0' is no whole number", error.Message);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Documents_are_read_without_queries_and_judgements()
    {
        string folder = Directory.CreateTempSubdirectory("beir").FullName;
        try
        {
            Assert.Throws<FileNotFoundException>(() => Beir.ReadDocuments(folder));
            File.WriteAllText(Path.Combine(folder, "corpus.jsonl"), "{\"_id\":\"a\",\"title\":\"T\",\"text\":\"x\"}\n{\"_id\":\"b\"}\n");
            Assert.Equal([new RetrievalDocument("a", "x") { Title = "T" }, new RetrievalDocument("b", "")], Beir.ReadDocuments(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
