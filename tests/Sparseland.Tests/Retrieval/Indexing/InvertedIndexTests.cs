using Lucene.Net.Documents;
using Lucene.Net.Index;
using Lucene.Net.Search;
using Lucene.Net.Search.Similarities;
using Lucene.Net.Store;
using Lucene.Net.Util;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Indexing;
using IndexOptions = Sparseland.Retrieval.Indexing.IndexOptions;

namespace Sparseland.Tests.Retrieval.Indexing;

public class InvertedIndexTests
{
    internal static RetrievalDocument[] Texts(int count, int seed = 1)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(i => new RetrievalDocument($"id{i}", string.Join(' ',
            Enumerable.Range(0, random.Next(0, 60)).Select(_ => "w" + (int)(3000 * Math.Pow(random.NextDouble(), 4)))))
        { Title = i % 3 == 0 ? "title W1" : "" })];
    }

    private static byte[] Saved(InvertedIndex index)
    {
        string path = Path.GetTempFileName();
        try
        {
            index.Save(path);
            return File.ReadAllBytes(path);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void The_bytes_do_not_depend_on_the_number_of_threads()
    {
        RetrievalDocument[] documents = Texts(3000);
        byte[] one = Saved(InvertedIndex.Build(documents, new IndexOptions { Threads = 1 }));
        foreach (int threads in new[] { 2, 3, 7 }) Assert.Equal(one, Saved(InvertedIndex.Build(documents.Select(d => d), new IndexOptions { Threads = threads })));
    }

    [Fact]
    public void Postings_are_the_counts_of_the_texts()
    {
        RetrievalDocument[] documents = Texts(1000);
        Analyzer analyzer = Analyzers.English();
        using InvertedIndex index = InvertedIndex.Build(documents);
        Dictionary<string, int>[] counts = [.. documents.Select(d => analyzer.Analyze(d.Contents).GroupBy(t => t.Text).ToDictionary(g => g.Key, g => g.Count()))];
        Assert.Equal(counts.SelectMany(c => c.Keys).Distinct().Order(StringComparer.Ordinal), Enumerable.Range(0, index.Terms).Select(index.Term));
        Assert.Equal(counts.Sum(c => c.Count), index.Postings);
        for (int term = 0; term < index.Terms; term++)
        {
            int[] expected = [.. Enumerable.Range(0, counts.Length).Where(d => counts[d].ContainsKey(index.Term(term)))];
            (int[] found, float[] values) = index.PostingsOf(term);
            Assert.Equal(expected, found);
            Assert.Equal(expected.Select(d => (float)counts[d][index.Term(term)]), values);
            Assert.Equal(expected.Length, index.DocumentFrequency(term));
            Assert.Equal(values.Sum(), index.CollectionFrequency(term));
            Assert.Equal(term, index.FindTerm(index.Term(term)));
        }

        Assert.Equal(documents.Select(d => analyzer.Length(d.Contents)), Enumerable.Range(0, documents.Length).Select(index.Length));
        Assert.Equal(5, index.Find("id5"));
        Assert.Null(index.Find("none"));
        Assert.Equal(0, index.Value(0, 999) - (counts[999].GetValueOrDefault(index.Term(0))));
    }

    [Fact]
    public void Lengths_count_places_where_asked()
    {
        RetrievalDocument[] documents = [new("a", "XMLReader XMLReader plain"), new("b", "of the XMLReader") { Title = "JsonReader" }];
        using InvertedIndex terms = InvertedIndex.Build(documents), places = InvertedIndex.Build(documents, new IndexOptions { Length = LengthCount.Positions });
        Assert.Equal([7, 6], new[] { terms.Length(0), terms.Length(1) });
        Assert.Equal([5, 4], new[] { places.Length(0), places.Length(1) });
    }

    [Fact]
    public void Terms_stand_in_the_order_of_their_bytes()
    {
        using InvertedIndex index = InvertedIndex.Build([new("a", "𐐨x ﬁx z ab a \uFF41")], new IndexOptions { Analyzer = Analyzers.Words() });
        string[] terms = [.. Enumerable.Range(0, index.Terms).Select(index.Term)];
        Assert.Equal(terms.OrderBy(t => Convert.ToHexString(System.Text.Encoding.UTF8.GetBytes(t)), StringComparer.Ordinal), terms);
        Assert.Equal("𐐨x", terms[^1]);
    }

    [Fact]
    public void Bad_documents_are_refused_by_name_and_a_cancelled_build_ends()
    {
        Assert.Contains("at least one", Assert.Throws<ArgumentException>(() => InvertedIndex.Build([])).Message);
        Assert.Contains("places 0 and 2", Assert.Throws<ArgumentException>(() => InvertedIndex.Build([new("a", ""), new("b", ""), new("a", "")])).Message);
        Assert.Contains("place 1", Assert.Throws<ArgumentException>(() => InvertedIndex.Build([new("a", ""), new("", "")])).Message);
        Assert.Contains("place 0", Assert.Throws<ArgumentException>(() => InvertedIndex.Build([null!])).Message);
        Assert.Equal("Threads", Assert.Throws<ArgumentOutOfRangeException>(() => InvertedIndex.Build(Texts(1), new IndexOptions { Threads = -1 })).ParamName);
        using var cancel = new CancellationTokenSource();
        Assert.ThrowsAny<OperationCanceledException>(() => InvertedIndex.Build(Texts(5000), null, new Stopping(cancel), cancel.Token));
        using InvertedIndex empty = InvertedIndex.Build([new("a", ""), new("b", "of the")]);
        Assert.Equal((2, 0, 0L), (empty.Documents, empty.Terms, empty.Postings));
        Assert.Empty(new Searcher(empty).Search("anything"));
    }

    private sealed class Stopping(CancellationTokenSource source) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => source.Cancel();
    }

    [Fact]
    public void Vectors_are_checked_and_keep_the_numbers_of_their_terms()
    {
        SparseVector[] vectors = [SparseVector.Of([2, 0], [0.5f, 1.25f]), SparseVector.Empty];
        using InvertedIndex index = InvertedIndex.FromVectors(["a", "b"], vectors, ["z", "y", "x"]);
        Assert.Equal(["z", "y", "x"], Enumerable.Range(0, 3).Select(index.Term));
        Assert.Equal([new Hit(0, 1.25 * 2 + 0.5)], TopK.MaxScore(index, SparseVector.Of([0, 2], [2, 1]), 5));
        Assert.Contains("'a'", Assert.Throws<ArgumentException>(() => InvertedIndex.FromVectors(["a", "b"], [SparseVector.Of([0], [-1]), SparseVector.Empty], ["z"])).Message);
        Assert.Contains("term 2", Assert.Throws<ArgumentException>(() => InvertedIndex.FromVectors(["a", "b"], vectors, ["z"])).Message);
        Assert.Throws<ArgumentException>(() => InvertedIndex.FromVectors(["a"], vectors, ["z", "y", "x"]));
        Assert.Throws<InvalidOperationException>(() => index.Query("z"));
    }

    [Fact]
    public void Impacts_are_quantised_by_the_rules()
    {
        using InvertedIndex index = InvertedIndex.Build(Texts(2000)), quantised = index.Quantise(4), hundredth = index.QuantiseBy(100);
        double most = Enumerable.Range(0, index.Terms).Max(t => index.PostingsOf(t).Documents.Max(d => index.Contribution(t, d)));
        var all = new HashSet<float>();
        for (int term = 0; term < index.Terms; term++)
        {
            int[] documents = index.PostingsOf(term).Documents;
            float[] expected = [.. documents.Select(d => (float)Math.Floor(index.Contribution(term, d) / most * 14) + 1)];
            Assert.Equal(expected, quantised.PostingsOf(term).Values);
            all.UnionWith(expected);
            Assert.All(documents, d => Assert.Equal(Math.Round(100 * index.Contribution(term, d)), hundredth.Value(term, d)));
        }

        Assert.Equal((1, 15), (all.Min(), all.Max()));
        Assert.True(hundredth.Postings <= index.Postings);
        Assert.Throws<ArgumentOutOfRangeException>(() => index.Quantise(1));
        Assert.Throws<ArgumentOutOfRangeException>(() => index.QuantiseBy(0));
    }

    [Fact]
    public void Scores_are_those_of_Lucene_NET()
    {
        RetrievalDocument[] documents = Texts(2000, seed: 8);
        using InvertedIndex index = InvertedIndex.Build(documents, new IndexOptions { Analyzer = Analyzers.Words(), Model = Bm25.LuceneNet });
        using var directory = new RAMDirectory();
        using var analyzer = new Lucene.Net.Analysis.Core.WhitespaceAnalyzer(LuceneVersion.LUCENE_48);
        using (var writer = new IndexWriter(directory, new IndexWriterConfig(LuceneVersion.LUCENE_48, analyzer) { Similarity = new BM25Similarity() }))
        {
            foreach (RetrievalDocument document in documents)
                writer.AddDocument([new TextField("text", document.Contents.ToLowerInvariant(), Field.Store.NO)]);
            writer.ForceMerge(1);
        }

        using DirectoryReader reader = DirectoryReader.Open(directory);
        var searcher = new IndexSearcher(reader) { Similarity = new BM25Similarity() };
        var random = new Random(2);
        for (int q = 0; q < 50; q++)
        {
            string[] words = [.. Enumerable.Range(0, random.Next(1, 7)).Select(_ => "w" + (int)(3000 * Math.Pow(random.NextDouble(), 4))).Distinct()];
            var query = new BooleanQuery();
            foreach (string word in words) query.Add(new TermQuery(new Term("text", word)), Occur.SHOULD);
            ScoreDoc[] theirs = searcher.Search(query, 3000).ScoreDocs;
            IReadOnlyList<Hit> ours = TopK.MaxScore(index, index.Query(string.Join(' ', words)), 3000);
            Assert.Equal(theirs.Length, ours.Count);
            Dictionary<int, double> scores = ours.ToDictionary(h => h.Document, h => h.Score);
            Assert.All(theirs, t => Assert.Equal(1, scores[t.Doc] / t.Score, 1e-5));
        }
    }

    [Fact]
    public void What_is_null_in_a_document_is_named()
    {
        ArgumentException title = Assert.Throws<ArgumentException>(() => InvertedIndex.Build([new("x", "text"), new("y", "text") { Title = null! }]));
        Assert.Contains("'y' has null for its title", title.Message);
        ArgumentException text = Assert.Throws<ArgumentException>(() => InvertedIndex.Build([new("x", null!)]));
        Assert.Contains("'x' has null for its text", text.Message);
    }

    [Fact]
    public void A_book_of_a_document_is_left_when_the_build_is_cancelled()
    {
        // Cancelled from within, at the second of two long documents: its words are never counted to the end.
        using var cancel = new CancellationTokenSource();
        RetrievalDocument[] documents = [new("a", "short"), new("b", string.Concat(Enumerable.Repeat("some words of a book ", 20_000)))];
        cancel.Cancel();
        var range = new DocumentRange();
        Assert.Throws<OperationCanceledException>(() => range.Read(documents, 0, 2, new(), _ => { }, cancel.Token));
    }
}
