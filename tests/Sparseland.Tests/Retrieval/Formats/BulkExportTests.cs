using System.Text.Json;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Feedback;
using Sparseland.Retrieval.Formats;
using Sparseland.Retrieval.Indexing;

namespace Sparseland.Tests.Retrieval.Formats;

public class BulkExportTests
{
    private static readonly RetrievalDocument[] s_documents = [new("a", "some \"text\"") { Title = "A" }, new(new string('x', 600), ""), new("c", "none")];
    private static readonly SparseVector[] s_vectors = [SparseVector.Of([0, 1], [1.23456f, 300.7f]), SparseVector.Of([1], [1e-20f]), SparseVector.Empty];
    private static readonly string[] s_names = ["reader", "ü##"];

    // The forms of the engines' own pages: a line with the action, a line with the document, a hash of strictly positive numbers.
    [Theory]
    [InlineData(BulkEngine.OpenSearch)]
    [InlineData(BulkEngine.Elasticsearch)]
    public void Lines_have_the_documented_form(BulkEngine engine)
    {
        using var folder = new TemporaryFolder();
        BulkExportResult result = BulkExport.Write(folder.Path, engine, s_documents, s_vectors, s_names, new() { Index = "docs" });
        string text = File.ReadAllText(Assert.Single(result.Files));
        Assert.EndsWith("\n", text, StringComparison.Ordinal);
        string[] lines = text.TrimEnd('\n').Split('\n');
        Assert.Equal(6, lines.Length);
        Assert.Equal("""{"index":{"_index":"docs","_id":"a"}}""", lines[0]);
        Assert.Equal("""{"id":"a","title":"A","text":"some \"text\"","impacts":{"reader":1.234375,"ü##":301}}""", lines[1]);
        Assert.Equal("""{"index":{"_index":"docs"}}""", lines[2]);
        Assert.False(JsonDocument.Parse(lines[5]).RootElement.TryGetProperty("impacts", out _));
        Assert.Equal((1, 1), (result.EmptyVectors, result.LongIds));
        Assert.InRange(result.LargestChange, 1e-5, 1.0 / 512);
    }

    [Fact]
    public void Mappings_and_queries_are_the_engines()
    {
        using var folder = new TemporaryFolder();
        BulkExport.Write(folder.Path, BulkEngine.OpenSearch, s_documents, s_vectors, s_names, new() { WithText = false });
        Assert.Equal("""{"mappings":{"properties":{"id":{"type":"keyword"},"impacts":{"type":"rank_features"}}}}""", File.ReadAllText(folder.File("mapping.json")).Trim());
        Assert.Equal("""{"query":{"neural_sparse":{"impacts":{"query_tokens":{"reader":1.23456,"ü##":300.7}}}}}""", File.ReadAllText(folder.File("query.json")).Trim());
        BulkExport.Write(folder.Path, BulkEngine.Elasticsearch, s_documents, s_vectors, s_names, new() { WithText = false, Field = "weights" });
        Assert.Equal("""{"mappings":{"properties":{"id":{"type":"keyword"},"weights":{"type":"sparse_vector","index_options":{"prune":false}}}}}""", File.ReadAllText(folder.File("mapping.json")).Trim());
        Assert.Equal(
            """{"query":{"sparse_vector":{"field":"weights","query_vector":{"ü##":2},"prune":false}}}""",
            BulkExport.QueryOf(BulkEngine.Elasticsearch, SparseVector.Of([1], [2]), s_names, new() { Field = "weights" }));
        Assert.Throws<ArgumentException>(() => BulkExport.QueryOf(BulkEngine.OpenSearch, SparseVector.Of([1], [-2]), s_names));
    }

    [Fact]
    public void Weights_are_what_the_engines_store()
    {
        var random = new Random(1);
        for (int i = 0; i < 1000; i++)
        {
            float weight = (float)Math.Exp(20 * (random.NextDouble() - 0.5)), stored = BulkExport.NineBits(weight);

            // The engines keep the upper 17 of 32 bits.
            Assert.Equal(stored, BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(stored) >> 15 << 15));
            Assert.True(Math.Abs(stored - weight) <= weight / 512, $"{weight} became {stored}");
        }

        Assert.Equal(2, BulkExport.NineBits(1.9999f));
    }

    [Fact]
    public void Files_are_cut_between_documents()
    {
        using var folder = new TemporaryFolder();
        RetrievalDocument[] many = [.. Enumerable.Range(0, 100).Select(i => new RetrievalDocument($"d{i}", "text"))];
        BulkExportResult result = BulkExport.Write(folder.Path, BulkEngine.OpenSearch, many, [.. many.Select(_ => s_vectors[0])], s_names, new() { FileBytes = 1024 });
        Assert.True(result.Files.Count > 5);
        Assert.All(result.Files, f => Assert.Equal(0, File.ReadLines(f).Count() % 2));
        Assert.Equal(200, result.Files.Sum(f => File.ReadLines(f).Count()));
    }

    [Fact]
    public void What_an_engine_refuses_is_refused_before_anything_is_written()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("out");
        void Refused(IReadOnlyList<SparseVector> vectors, IReadOnlyList<string> names, BulkExportOptions? options = null) =>
            Assert.ThrowsAny<ArgumentException>(() => BulkExport.Write(path, BulkEngine.OpenSearch, s_documents, vectors, names, options));
        Refused(s_vectors, ["System.IO", "b"]);
        Refused(s_vectors, ["a", ""]);
        Refused(s_vectors, ["a", "a"]);
        Refused(s_vectors, ["a"]);
        Refused([s_vectors[0], s_vectors[1], SparseVector.Of([0], [-1])], s_names);
        Refused([s_vectors[0], s_vectors[1], SparseVector.Of([0], [1e-40f])], s_names);
        Refused([s_vectors[0], s_vectors[1], SparseVector.Of([0], [float.MaxValue])], s_names);
        Refused(s_vectors[..2], s_names);
        Refused(s_vectors, s_names, new() { Index = "Upper" });
        Refused(s_vectors, s_names, new() { Field = "a.b" });
        Refused(s_vectors, s_names, new() { FileBytes = 10 });
        Assert.False(Directory.Exists(path));
    }

    [Fact]
    public void An_index_gives_its_counts_and_its_impacts()
    {
        RetrievalDocument[] documents = [new("a", "read read file"), new("b", "file"), new("c", "")];
        using InvertedIndex index = InvertedIndex.Build(documents);
        DocumentTerms counts = DocumentTerms.Of(index);
        int read = index.FindTerm("read")!.Value, file = index.FindTerm("file")!.Value;
        Assert.Equal((2f, 1f, 0), (counts.Counts(0)[read], counts.Counts(0)[file], counts.Counts(2).Count));
        Assert.Equal((1, 2, "file"), (counts.DocumentFrequency(read), counts.DocumentFrequency(file), counts.Term(file)));

        // A vector of impacts times the query's counts is the score.
        SparseVector query = index.Query("read the file");
        Hit best = TopK.Exhaustive(index, query, 1)[0];
        Assert.Equal(best.Score, DocumentTerms.Impacts(index)[best.Document].Dot(query), 1e-6);
    }

    [Fact]
    public void Vectors_go_round_in_whole_numbers()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("v.jsonl");
        ImpactVectors.Write(path, s_documents, [SparseVector.Of([0, 1], [1.234f, 0.001f]), SparseVector.Of([1], [2]), SparseVector.Empty], s_names);
        Assert.Equal("""{"id":"a","contents":"A\nsome \"text\"","vector":{"reader":123}}""", File.ReadLines(path).First());
        ImpactVectorFile read = ImpactVectors.Read(path);
        Assert.Equal(s_names, read.Names);
        Assert.Equal((123f, 200f, 0), (read.Vectors[0][0], read.Vectors[1][1], read.Vectors[2].Count));
        Assert.Throws<ArgumentException>(() => ImpactVectors.Write(path, s_documents, [SparseVector.Of([0], [-1]), s_vectors[1], s_vectors[2]], s_names));
    }

    [Theory]
    [InlineData("{\"id\":\"a\",\"vector\":{\"t\":-1}}", "weights are finite")]
    [InlineData("{\"id\":\"a\",\"vector\":{\"t\":1e99}}", "weights are finite")]
    [InlineData("{\"id\":\"a\",\"vector\":{\"t\":\"x\"}}", "weights are finite")]
    [InlineData("{\"id\":\"a\"}", "line 2")]
    [InlineData("{\"vector\":{}}", "line 2")]
    [InlineData("{\"id\":\"z\",\"vector\":{}}", "first in line 1")]
    [InlineData("[", "line 2")]
    public void Broken_vectors_are_refused_with_the_line(string line, string what)
    {
        using var folder = new TemporaryFolder();
        Assert.Contains(what, Assert.Throws<InvalidDataException>(() => ImpactVectors.Read(folder.Write("v.jsonl", "{\"id\":\"z\",\"vector\":{\"t\":1}}\n" + line + "\n"))).Message, StringComparison.Ordinal);
    }
}
