using Lucene.Net.Analysis;
using Lucene.Net.Analysis.TokenAttributes;
using Lucene.Net.Documents;
using Lucene.Net.Index;
using Lucene.Net.Search;
using Lucene.Net.Search.Similarities;
using Lucene.Net.Store;
using Lucene.Net.Util;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;

namespace Benchmarks.Retrieval;

/// <summary>Lucene.NET 4.8 in memory over the terms of our analyzer: BM25, one segment, a searcher that is reused.</summary>
internal sealed class LucenePeer : IDisposable
{
    private readonly RAMDirectory _directory = new();
    private readonly Sparseland.Retrieval.Analysis.Analyzer _analyzer;
    private readonly DirectoryReader _reader;
    private readonly IndexSearcher _searcher;

    public LucenePeer(IReadOnlyList<RetrievalDocument> documents, Sparseland.Retrieval.Analysis.Analyzer analyzer)
    {
        _analyzer = analyzer;
        Size = Build(documents, analyzer, _directory);
        _reader = DirectoryReader.Open(_directory);
        _searcher = new IndexSearcher(_reader) { Similarity = new BM25Similarity() };
    }

    /// <summary>Bytes of its files.</summary>
    public long Size { get; }

    public static long Build(IReadOnlyList<RetrievalDocument> documents, Sparseland.Retrieval.Analysis.Analyzer analyzer, RAMDirectory directory)
    {
        using var terms = new Terms(analyzer);
        var config = new IndexWriterConfig(LuceneVersion.LUCENE_48, terms) { Similarity = new BM25Similarity(), RAMBufferSizeMB = 256 };
        using var writer = new IndexWriter(directory, config);
        // No positions: neither side can answer phrases.
        var type = new FieldType(TextField.TYPE_NOT_STORED) { IndexOptions = IndexOptions.DOCS_AND_FREQS };
        foreach (RetrievalDocument document in documents) writer.AddDocument([new Field("text", document.Contents, type), new StoredField("id", document.Id)]);
        writer.ForceMerge(1);
        writer.Commit();
        return directory.ListAll().Sum(directory.FileLength);
    }

    public ScoreDoc[] Search(string text, int k)
    {
        var weights = new Dictionary<string, int>();
        foreach (var token in _analyzer.Analyze(text)) weights[token.Text] = weights.GetValueOrDefault(token.Text) + 1;
        var query = new BooleanQuery();
        foreach ((string term, int weight) in weights) query.Add(new TermQuery(new Term("text", term)) { Boost = weight }, Occur.SHOULD);
        return _searcher.Search(query, k).ScoreDocs;
    }

    public void Dispose()
    {
        _reader.Dispose();
        _directory.Dispose();
    }

    private sealed class Terms(Sparseland.Retrieval.Analysis.Analyzer analyzer) : Lucene.Net.Analysis.Analyzer
    {
        protected override TokenStreamComponents CreateComponents(string fieldName, TextReader reader) => new(new TermTokenizer(reader, analyzer));
    }

    /// <summary>Our analyzer as Lucene's tokenizer.</summary>
    private sealed class TermTokenizer : Tokenizer, ITokenSink
    {
        private readonly Sparseland.Retrieval.Analysis.Analyzer _analyzer;
        private readonly ICharTermAttribute _term;
        private readonly List<int> _ends = [];
        private readonly char[] _part = new char[1 << 16];
        private char[] _terms = new char[1024];
        private int _next;

        public TermTokenizer(TextReader reader, Sparseland.Retrieval.Analysis.Analyzer analyzer) : base(reader)
        {
            _analyzer = analyzer;
            _term = AddAttribute<ICharTermAttribute>();
        }

        public void Add(ReadOnlySpan<char> text, int position)
        {
            int from = _ends.Count == 0 ? 0 : _ends[^1];
            if (from + text.Length > _terms.Length) Array.Resize(ref _terms, Math.Max(from + text.Length, 2 * _terms.Length));
            text.CopyTo(_terms.AsSpan(from));
            _ends.Add(from + text.Length);
        }

        public override void Reset()
        {
            base.Reset();
            _ends.Clear();
            _next = 0;
            int read = m_input.ReadBlock(_part, 0, _part.Length);
            TermTokenizer sink = this;
            _analyzer.Analyze(read < _part.Length ? _part.AsSpan(0, read) : string.Concat(new string(_part), m_input.ReadToEnd()), ref sink);
        }

        public override bool IncrementToken()
        {
            if (_next == _ends.Count) return false;
            ClearAttributes();
            int from = _next == 0 ? 0 : _ends[_next - 1];
            _term.CopyBuffer(_terms, from, _ends[_next++] - from);
            return true;
        }
    }
}
