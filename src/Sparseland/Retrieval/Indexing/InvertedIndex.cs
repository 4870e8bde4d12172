using Sparseland.Retrieval.Analysis;
using Sparseland.Tensors;

namespace Sparseland.Retrieval.Indexing;

/// <summary>
/// Documents by their terms: for each term the documents that hold it, packed, each with a value that an <see cref="IImpactModel"/> turns into
/// a contribution. The values are counts of a text, weights of a learned vector, or scores quantised to a few bits: search is the same.
/// Immutable; any number of threads may search it. Terms of an index of texts are in the order of their UTF-8 bytes.
/// </summary>
public sealed partial class InvertedIndex : IDisposable
{
    private readonly Vocabulary _vocabulary;
    private readonly Vocabulary _ids;
    private readonly int[] _lengths;
    private readonly double[] _weights;

    private InvertedIndex(Vocabulary ids, int[] lengths, Vocabulary vocabulary, PostingLists lists, IImpactModel model, Analyzer? analyzer, LengthCount count, (float[] Block, float[] Term)? maxima = null)
    {
        (_ids, _lengths, _vocabulary, Lists, Model, Analyzer, Counting) = (ids, lengths, vocabulary, lists, model, analyzer, count);
        TotalTerms = lists.Totals.Sum();
        Norms = model.Norms(lengths, TotalTerms);
        Table = Norms is null || lists.Floats ? null : PartTable.Of(Norms);
        _weights = new double[lists.Terms];
        for (int term = 0; term < _weights.Length; term++)
        {
            double weight = lists.Frequencies[term] == 0 ? 0 : model.TermWeight(lists.Documents, lists.Frequencies[term]);
            if (!(weight >= 0 && double.IsFinite(weight)))
                throw new ArgumentException($"The model gives term '{vocabulary.Names[term]}' the weight {weight}; weights are finite and at least 0.", nameof(model));
            _weights[term] = weight;
        }

        (BlockMax, TermMax) = maxima ?? Maxima();
    }

    /// <summary>Number of documents.</summary>
    public int Documents => Lists.Documents;

    /// <summary>Number of terms.</summary>
    public int Terms => Lists.Terms;

    /// <summary>Number of postings: pairs of a document and a term in it.</summary>
    public long Postings => Lists.Postings;

    /// <summary>All terms of all documents, with repetition; the sum of impacts where they are whole, the number of postings where they are weights.</summary>
    public long TotalTerms { get; }

    /// <summary>Mean length of a document.</summary>
    public double AverageLength => _lengths.Average();

    /// <summary>Bytes of the packed postings and of their tables of blocks and terms; names and ids are not counted.</summary>
    public long Size => Lists.Bytes.Length + (12L * Lists.BlockLast.Length) + (20L * Terms) + (4L * Documents);

    /// <summary>Whether the postings are read from a mapped file.</summary>
    public bool Mapped => Lists.Bytes.Mapped;

    /// <summary>How values become contributions.</summary>
    public IImpactModel Model { get; }

    /// <summary>What made terms of the documents; null where the documents came as vectors.</summary>
    public Analyzer? Analyzer { get; }

    /// <summary>What made a document's length.</summary>
    public LengthCount Counting { get; }

    internal PostingLists Lists { get; }

    /// <summary>Norm of each document; null where values count as they are.</summary>
    internal double[]? Norms { get; }

    /// <summary>Parts of small counts; null where values count as they are or are no whole numbers.</summary>
    internal PartTable? Table { get; }

    /// <summary>Largest value of each block as the model sees it, before the term's weight, rounded up.</summary>
    internal float[] BlockMax { get; }

    internal float[] TermMax { get; }

    /// <summary>Id of a document.</summary>
    /// <param name="document">Its number.</param>
    public string Id(int document) => _ids.Names[document];

    /// <summary>Number of the document with an id; null where there is none.</summary>
    /// <param name="id">An id.</param>
    public int? Find(string id) => _ids.Find(id);

    /// <summary>Length of a document.</summary>
    /// <param name="document">Its number.</param>
    public int Length(int document) => _lengths[document];

    /// <summary>Name of a term.</summary>
    /// <param name="term">Its number.</param>
    public string Term(int term) => _vocabulary.Names[term];

    /// <summary>Number of a term as the analyzer gives it; null where no document has it.</summary>
    /// <param name="name">A term.</param>
    public int? FindTerm(ReadOnlySpan<char> name) => _vocabulary.Find(name);

    /// <summary>Number of documents with a term.</summary>
    /// <param name="term">Its number.</param>
    public int DocumentFrequency(int term) => Lists.Frequencies[term];

    /// <summary>How often the documents have a term together; the sum of impacts where they are whole, the number of documents where they are weights.</summary>
    /// <param name="term">Its number.</param>
    public long CollectionFrequency(int term) => Lists.Totals[term];

    /// <summary>The model's weight of a term: its idf with BM25.</summary>
    /// <param name="term">Its number.</param>
    public double TermWeight(int term) => _weights[term];

    /// <summary>The documents with a term, ascending, and the values there.</summary>
    /// <param name="term">Its number.</param>
    public (int[] Documents, float[] Values) PostingsOf(int term)
    {
        var (documents, values) = (new int[DocumentFrequency(term)], new float[DocumentFrequency(term)]);
        using IndexBytes.Lease lease = Lists.Bytes.Hold();
        Lists.Read(term, documents, values);
        return (documents, values);
    }

    /// <summary>The value of a term in a document; 0 where the document has it not.</summary>
    /// <param name="term">Number of the term.</param>
    /// <param name="document">Number of the document.</param>
    public float Value(int term, int document)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(document);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(document, Documents);
        if (DocumentFrequency(term) == 0) return 0;
        int block = Array.BinarySearch(Lists.BlockLast, Lists.FirstBlock[term], Lists.FirstBlock[term + 1] - Lists.FirstBlock[term], document);
        if (block < 0) block = ~block;
        if (block == Lists.FirstBlock[term + 1]) return 0;
        using IndexBytes.Lease lease = Lists.Bytes.Hold();
        int count = Lists.CountOf(term, block);
        var (documents, values) = (new int[PostingBlocks.Size], new float[PostingBlocks.Size]);
        Lists.ReadBlock(Lists.Bytes.Span, term, block, count, documents, values);
        int at = Array.BinarySearch(documents, 0, count, document);
        return at < 0 ? 0 : values[at];
    }

    /// <summary>What a term gives a document's score: weight times f / (f + norm), or times f.</summary>
    /// <param name="term">Number of the term.</param>
    /// <param name="document">Number of the document.</param>
    public double Contribution(int term, int document)
    {
        double value = Value(term, document);
        return value == 0 ? 0 : TermWeight(term) * (Norms is null ? value : value / (value + Norms[document]));
    }

    /// <summary>A text as a query: its terms that the index has, each weighing how often it stands there.</summary>
    /// <param name="text">A text, perhaps empty.</param>
    /// <exception cref="InvalidOperationException">The index was made of vectors and has no analyzer.</exception>
    public SparseVector Query(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (Analyzer is null) throw new InvalidOperationException("The index was made of vectors: it has no analyzer, so its queries come as vectors too.");
        var terms = new QueryTerms(_vocabulary, []);
        Analyzer.Analyze(text, ref terms);
        terms.Found.Sort();
        var (numbers, weights) = (new int[terms.Found.Count], new float[terms.Found.Count]);
        int count = 0;
        foreach (int term in terms.Found)
        {
            if (count > 0 && numbers[count - 1] == term) weights[count - 1]++;
            else (numbers[count], weights[count++]) = (term, 1);
        }

        return SparseVector.Of(numbers.AsSpan(0, count), weights.AsSpan(0, count));
    }

    /// <summary>The same postings under another model; their bytes are shared.</summary>
    /// <param name="model">How values become contributions.</param>
    public InvertedIndex With(IImpactModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return new(_ids, _lengths, _vocabulary, Lists, model, Analyzer, Counting);
    }

    /// <summary>Closes the mapped file; of no effect on an index in memory. Views of <see cref="With"/> share the file.</summary>
    public void Dispose() => Lists.Bytes.Dispose();

    /// <summary>Its numbers in words.</summary>
    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture,
        $"{Documents} documents, {Terms} terms, {Postings} postings in {Size / 1e6:0.0} MB ({(Postings > 0 ? 8.0 * Lists.Bytes.Length / Postings : 0):0.0} bits each), {Model}");

    /// <summary>The largest value of each block and term as the model sees them, taken over what is computed in a search, not over bounds of it.</summary>
    private (float[] Block, float[] Term) Maxima()
    {
        var (block, term) = (new float[Lists.BlockLast.Length], new float[Terms]);
        using IndexBytes.Lease lease = Lists.Bytes.Hold();
        FirstFailure.Of(() => Parallel.ForEach(System.Collections.Concurrent.Partitioner.Create(0, Math.Max(Terms, 1), Math.Max(64, Terms / 64)), range =>
        {
            var (documents, values) = (new int[PostingBlocks.Size], new float[PostingBlocks.Size]);
            ReadOnlySpan<byte> bytes = Lists.Bytes.Span;
            for (int t = range.Item1; t < Math.Min(range.Item2, Terms); t++)
            {
                for (int b = Lists.FirstBlock[t]; b < Lists.FirstBlock[t + 1]; b++)
                {
                    int count = Lists.CountOf(t, b);
                    Lists.ReadBlock(bytes, t, b, count, documents, values);
                    double most = 0;
                    for (int i = 0; i < count; i++)
                    {
                        double value = values[i];
                        most = Math.Max(most, Norms is null ? value : value / (value + Norms[documents[i]]));
                    }

                    block[b] = (float)most < most ? MathF.BitIncrement((float)most) : (float)most;
                    term[t] = Math.Max(term[t], block[b]);
                }
            }
        }));
        return (block, term);
    }

    private readonly struct QueryTerms(Vocabulary vocabulary, List<int> found) : ITokenSink
    {
        internal List<int> Found => found;

        public void Add(ReadOnlySpan<char> text, int position)
        {
            if (vocabulary.Find(text) is int term) found.Add(term);
        }
    }
}
