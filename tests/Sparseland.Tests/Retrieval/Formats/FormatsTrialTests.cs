using Sparseland.Evaluation;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Formats;
using Sparseland.Retrieval.Indexing;
using Sparseland.Retrieval.Measures;

namespace Sparseland.Tests.Retrieval.Formats;

/// <summary>Files from and for others, and trec_eval's measures, tried by another hand.</summary>
public class FormatsTrialTests
{
    private static TemporaryFolder Folder(string corpus, string queries = "{\"_id\": \"q\", \"text\": \"x\"}\n", string qrels = "q\ta\t1\n")
    {
        var folder = new TemporaryFolder();
        folder.Write("corpus.jsonl", corpus);
        folder.Write("queries.jsonl", queries);
        folder.Write("qrels/test.tsv", qrels);
        return folder;
    }

    [Theory]
    [InlineData("{\"\\ud800\": 1, \"_id\": \"b\"}")]
    [InlineData("{\"_id\": \"\\ud800\"}")]
    [InlineData("{\"_id\": \"b\", \"text\": \"\\udc00\"}")]
    [InlineData("{\"_id\": \"b\", \"text\": [\"x\"]}")]
    [InlineData("{\"_id\": \"b\"")]
    [InlineData("{\"_id\": \"b\"}}")]
    [InlineData("{\"_id\": NaN}")]
    [InlineData("{\"_id\": {}}")]
    [InlineData("{\"_id\": \"\"}")]
    [InlineData("{\"id\": \"b\"}")]
    [InlineData("[\"b\"]")]
    [InlineData("null")]
    [InlineData("{\"_id\": \"a\"}")]
    public void A_malformed_line_is_named_with_its_file(string line)
    {
        using TemporaryFolder folder = Folder("\uFEFF{\"_id\": \"a\", \"text\": \"x\"}\r\n\r\n" + line + "\r\n");
        Exception error = Assert.ThrowsAny<Exception>(() => Beir.ReadDocuments(folder.Path));
        Assert.IsType<InvalidDataException>(error);
        Assert.Contains("corpus.jsonl", error.Message, StringComparison.Ordinal);
        Assert.Contains("line 3", error.Message, StringComparison.Ordinal);
        folder.Write("vectors.jsonl", "{\"id\": \"a\", \"vector\": {}}\r\n\r\n" + line.Replace("_id", "id", StringComparison.Ordinal).Replace("text", "contents", StringComparison.Ordinal) + "\r\n");
        error = Assert.ThrowsAny<Exception>(() => ImpactVectors.Read(folder.File("vectors.jsonl")));
        Assert.IsType<InvalidDataException>(error);
        Assert.Contains("line 3", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Judgements_that_a_writer_of_csv_quoted_are_the_ids_themselves()
    {
        // Python's csv, which writes and reads BEIR's files, quotes a field that holds a quote and doubles those within; one that only holds them is as it stands.
        using TemporaryFolder folder = Folder(
            "{\"_id\": \"\\\"Heroes\\\"\", \"text\": \"x\"}\n{\"_id\": \"<dbpedia:\\\"Weird_Al\\\">\", \"text\": \"y\"}\n{\"_id\": \"5\\\" disk\", \"text\": \"z\"}\n{\"_id\": \"\\\"\", \"text\": \"z\"}\n",
            qrels: "query-id\tcorpus-id\tscore\r\nq\t\"\"\"Heroes\"\"\"\t1\r\nq\t\"<dbpedia:\"\"Weird_Al\"\">\"\t2\r\nq\t5\" disk\t\"1\"\r\n");
        RetrievalCollection read = Beir.Read(folder.Path).Collection;
        Assert.Equal(0, read.UnknownDocuments);
        Assert.Equal(2, read.Qrels.Grade("q", "<dbpedia:\"Weird_Al\">"));
        Beir.Write(folder.File("again"), read);
        RetrievalCollection again = Beir.Read(folder.File("again")).Collection;
        Assert.Equal(read.Qrels.All, again.Qrels.All);
        Assert.Equal(read.Documents, again.Documents);
        folder.Write("qrels/test.tsv", "q\t\"a\t1\n");
        Assert.Contains("line 1", Assert.Throws<InvalidDataException>(() => Beir.Read(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_an_engine_or_our_own_reader_would_lose_is_refused_before_anything_is_written()
    {
        using var folder = new TemporaryFolder();
        SparseVector one = SparseVector.Of([0], [1]), two = SparseVector.Of([0, 1], [1, 2]);
        RetrievalDocument a = new("a", "x"), b = new("b", "y");
        (string What, IReadOnlyList<RetrievalDocument> Documents, IReadOnlyList<SparseVector> Vectors, string[] Names)[] cases =
        [
            ("stands at places 0 and 1", [a, a], [one, one], ["s", "t"]), ("empty id", [a, new("", "y")], [one, one], ["s", "t"]), ("null", [a, null!], [one, one], ["s", "t"]),
            ("null", [a, new("b", null!)], [one, one], ["s", "t"]), ("null", [a, b], [one, null!], ["s", "t"]), ("stands twice", [a, b], [one, two], ["s", "s"]),
            ("surrogate", [a, new("b", "\uD800")], [one, one], ["s", "t"]),
        ];
        foreach ((string what, IReadOnlyList<RetrievalDocument> documents, IReadOnlyList<SparseVector> vectors, string[] names) in cases)
        {
            foreach (Action write in new Action[]
                { () => BulkExport.Write(folder.File("bulk"), BulkEngine.OpenSearch, documents, vectors, names), () => ImpactVectors.Write(folder.File("vectors"), documents, vectors, names), () => LuceneExport.Write(folder.File("lucene"), documents) })
            {
                if (what == "surrogate" || ReferenceEquals(vectors[1], null) || names[0] == names[1])
                {
                    // Lucene replaces what is no text, and takes no vectors.
                    if (write.Method.Name.Contains("LuceneExport", StringComparison.Ordinal)) continue;
                }

                Exception? error = Record.Exception(write);
                if (error is null && Directory.Exists(folder.File("lucene")))
                {
                    Directory.Delete(folder.File("lucene"), true);
                    Assert.True(what is "surrogate" or "stands twice" or "null", what);
                    continue;
                }

                Assert.True(error is ArgumentException, $"{what}: {error}");
                Assert.Contains(what, error!.Message, StringComparison.OrdinalIgnoreCase);
            }

            Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
        }

        Assert.Throws<ArgumentException>(() => BulkExport.QueryOf(BulkEngine.OpenSearch, two, ["s"]));
        Assert.Throws<ArgumentException>(() => new RetrievalCollection("c", [new("a", null!)], [], new Qrels([])));
        Assert.Throws<ArgumentException>(() => new RetrievalCollection("c", [a], [new("q", null!)], new Qrels([])));
    }

    [Fact]
    public void A_smaller_export_leaves_no_bulk_file_of_the_larger_one_before()
    {
        using var folder = new TemporaryFolder();
        RetrievalDocument[] documents = [.. Enumerable.Range(0, 40).Select(d => new RetrievalDocument($"d{d}", new string('x', 300)))];
        SparseVector[] vectors = [.. documents.Select(_ => SparseVector.Of([0], [1]))];
        Assert.True(BulkExport.Write(folder.Path, BulkEngine.OpenSearch, documents, vectors, ["t"], new() { FileBytes = 1024 }).Files.Count > 5);
        folder.Write("bulk-notes.txt", "mine");
        BulkExportResult small = BulkExport.Write(folder.Path, BulkEngine.OpenSearch, documents[..3], vectors[..3], ["t"], new() { FileBytes = 1024 });
        Assert.Equal(small.Files.Order(StringComparer.Ordinal), Directory.GetFiles(folder.Path, "*.ndjson").Order(StringComparer.Ordinal));
        Assert.True(File.Exists(folder.File("bulk-notes.txt")));
    }

    [Fact]
    public void Measures_are_those_of_trec_eval_written_out_over_drawn_runs()
    {
        for (int seed = 0; seed < 150; seed++)
        {
            var random = new Random(seed);
            string[] ids = [.. Enumerable.Range(0, 30).Select(d => $"d{d}").OrderBy(_ => random.Next())];
            (string Id, double Score)[] list = [.. ids.Take(random.Next(0, 25)).Select(id => (id, random.Next(6) / 4.0))];
            (string, string, int)[] judged = [.. ids.Where(_ => random.Next(3) == 0).Append("gone").Select(id => ("q", id, random.Next(-1, 4)))];
            RetrievalEvaluation found = RetrievalMetrics.Evaluate(RetrievalData.Run("r", ("q", list)), RetrievalData.Qrels(judged), ["nDCG@10", "MAP", "MRR@5", "Recall@7", "P@12", "Success@1", "AP@6"]);
            Dictionary<string, int> grade = judged.ToDictionary(j => j.Item2, j => j.Item3);
            int[] gains = [.. list.OrderByDescending(d => d.Score).ThenByDescending(d => d.Id, StringComparer.Ordinal).Select(d => Math.Max(0, grade.GetValueOrDefault(d.Id)))];
            int relevant = judged.Count(j => j.Item3 > 0);
            double Dcg(IEnumerable<int> g) => g.Take(10).Select((x, i) => x / Math.Log2(i + 2)).Sum();
            double ideal = Dcg(judged.Select(j => Math.Max(0, j.Item3)).OrderDescending());
            double Ap(int k) => relevant == 0 ? 0 : gains.Take(k).Select((g, i) => g > 0 ? gains.Take(i + 1).Count(x => x > 0) / (i + 1.0) : 0).Sum() / relevant;
            int first = Array.FindIndex(gains, g => g > 0);
            double[] expected =
            [
                ideal > 0 ? Dcg(gains) / ideal : 0, Ap(100), first is >= 0 and < 5 ? 1.0 / (first + 1) : 0, relevant == 0 ? 0 : gains.Take(7).Count(g => g > 0) / (double)relevant,
                gains.Take(12).Count(g => g > 0) / 12.0, first == 0 ? 1 : 0, Ap(6)
            ];
            for (int m = 0; m < expected.Length; m++) Assert.Equal(expected[m], found[found.Measures[m]][0], 1e-12);
        }
    }

    [Fact]
    public void A_run_and_judgements_come_back_to_the_last_bit_whatever_line_ends_and_spaces_others_use()
    {
        using var folder = new TemporaryFolder();
        var random = new Random(3);
        Run run = RetrievalData.Run("my run", ("q1", [.. Enumerable.Range(0, 50).Select(d => ($"d{d}", Math.ScaleB(random.NextDouble() - 0.5, random.Next(-900, 900)))).OrderByDescending(d => d.Item2)]), ("q2", [("x", -0.0), ("y", double.MinValue)]));
        TrecFiles.WriteRun(folder.File("a.run"), run);
        Assert.Equal(run["q1"], TrecFiles.ReadRun(folder.File("a.run")).Run["q1"]);
        File.WriteAllText(folder.File("b.run"), "\uFEFF# a comment\r\n" + File.ReadAllText(folder.File("a.run")).Replace("\n", " \r\n", StringComparison.Ordinal).Replace(" ", "\t ", StringComparison.Ordinal));
        TrecRun again = TrecFiles.ReadRun(folder.File("b.run"));
        Assert.Equal(run["q1"], again.Run["q1"]);
        Assert.Equal(run["q2"], again.Run["q2"]);
        Assert.Equal("my-run", again.Run.Name);
    }
}
