using Lucene.Net.Index;
using Lucene.Net.Search;
using Lucene.Net.Search.Similarities;
using Lucene.Net.Store;
using Sparseland.Data.Documentation;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Formats;
using Sparseland.Retrieval.Indexing;
using Directory = System.IO.Directory;

namespace Sparseland.Tests.Retrieval.Formats;

public class LuceneExportTests
{
    private static readonly Lazy<RetrievalDocument[]> s_documents = new(() =>
        [.. DotNetDocs.Load().Where(m => m.Kind != DocMemberKind.Type && m.Summary.Length > 0).Where((_, i) => i % 20 == 0).Select(m => new RetrievalDocument(m.Id, m.Summary) { Title = m.Name })]);

    [Theory]
    [InlineData(LengthCount.Terms)]
    [InlineData(LengthCount.Positions)]
    public void An_exported_index_finds_what_ours_finds(LengthCount length)
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("index");
        RetrievalDocument[] documents = s_documents.Value;
        LuceneExport.Write(path, documents, new() { Length = length });
        Assert.Equal(["index"], Directory.GetFileSystemEntries(folder.Path).Select(Path.GetFileName));

        using InvertedIndex ours = InvertedIndex.Build(documents, new Sparseland.Retrieval.Indexing.IndexOptions { Model = Bm25.LuceneNet, Length = length });
        using FSDirectory directory = FSDirectory.Open(path);
        using DirectoryReader reader = DirectoryReader.Open(directory);
        var searcher = new IndexSearcher(reader) { Similarity = new BM25Similarity(1.2f, 0.75f) };
        Assert.Equal(documents.Length, reader.NumDocs);
        int compared = 0;
        foreach (RetrievalDocument asked in documents.Where((_, i) => i % 40 == 7))
        {
            SparseVector query = ours.Query(asked.Text);
            var lucene = new BooleanQuery();
            for (int i = 0; i < query.Count; i++) lucene.Add(new TermQuery(new Term(LuceneExport.Contents, ours.Term(query.Terms[i]))) { Boost = query.Weights[i] }, Occur.SHOULD);
            ScoreDoc[] theirs = searcher.Search(lucene, 12).ScoreDocs;
            IReadOnlyList<Hit> mine = TopK.Exhaustive(ours, query, 12);
            Assert.Equal(theirs.Length, mine.Count);

            // Sums in float32 may swap neighbours that differ in the sixth digit: scores are compared rank by rank, documents where neighbours are apart.
            for (int rank = 0; rank < Math.Min(10, mine.Count); rank++)
            {
                Assert.Equal(1, mine[rank].Score / theirs[rank].Score, 1e-5);
                bool apart = (rank == 0 || mine[rank - 1].Score > mine[rank].Score * (1 + 1e-5)) && (rank + 1 >= mine.Count || mine[rank].Score > mine[rank + 1].Score * (1 + 1e-5));
                if (!apart) continue;
                Assert.Equal(documents[mine[rank].Document].Id, searcher.Doc(theirs[rank].Doc).Get(LuceneExport.Id, System.Globalization.CultureInfo.InvariantCulture));
                compared++;
            }
        }

        Assert.True(compared > 300, $"{compared} documents stood apart from their neighbours");
        Assert.Equal(documents[3].Title, searcher.Doc(3).Get("title", System.Globalization.CultureInfo.InvariantCulture));
    }

    [Fact]
    public void The_analyzer_asks_an_exported_index_in_words()
    {
        using var folder = new TemporaryFolder();
        RetrievalDocument[] documents = [new("a", "Reads with an XMLReader."), new("b", "Writes files."), new("c", "")];
        LuceneExport.Write(folder.File("index"), documents, new() { Store = false });
        using FSDirectory directory = FSDirectory.Open(folder.File("index"));
        using DirectoryReader reader = DirectoryReader.Open(directory);
        using var analyzer = new LuceneAnalyzer(Analyzers.English());
        using Lucene.Net.Analysis.TokenStream stream = analyzer.GetTokenStream(LuceneExport.Contents, "the XMLReader's reading");
        var term = stream.GetAttribute<Lucene.Net.Analysis.TokenAttributes.ICharTermAttribute>();
        var increment = stream.GetAttribute<Lucene.Net.Analysis.TokenAttributes.IPositionIncrementAttribute>();
        stream.Reset();
        var terms = new List<(string, int)>();
        while (stream.IncrementToken()) terms.Add((term.ToString()!, increment.PositionIncrement));
        stream.End();

        // "the" leaves a gap; the parts of the name and the name stand at one place.
        Assert.Equal([("xml", 2), ("reader", 1), ("xmlreader", 0), ("read", 1)], terms);
        Assert.Equal(0, new IndexSearcher(reader).Search(new TermQuery(new Term(LuceneExport.Contents, "reader")), 5).ScoreDocs.Single().Doc);
        Assert.Null(new IndexSearcher(reader).Doc(0).Get("title", System.Globalization.CultureInfo.InvariantCulture));
    }

    [Fact]
    public void A_stopped_export_leaves_nothing_and_a_full_folder_is_refused()
    {
        using var folder = new TemporaryFolder();
        RetrievalDocument[] documents = [new("a", "text")];
        Assert.Throws<OperationCanceledException>(() => LuceneExport.Write(folder.File("index"), documents, cancel: new CancellationToken(true)));
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
        folder.Write("index/mine.txt", "mine");
        Assert.Throws<IOException>(() => LuceneExport.Write(folder.File("index"), documents));
        Assert.Throws<ArgumentException>(() => LuceneExport.Write(folder.File("other"), []));
        Assert.Equal("mine", File.ReadAllText(folder.File("index/mine.txt")));
    }
}
