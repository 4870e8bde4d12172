using System.Runtime.InteropServices;
using Sparseland.Retrieval.Analysis;

namespace Sparseland.Retrieval.Indexing;

/// <summary>
/// Postings of a contiguous range of documents under numbers of its own. Words repeat (Zipf), so the terms of a word are worked out once
/// and kept.
/// </summary>
internal sealed class DocumentRange
{
    // Words beyond this many are analysed each time: a collection of random names must not hold them all twice.
    private const int MostWords = 1 << 20;

    private readonly Dictionary<string, int> _numbers = new(StringComparer.Ordinal);
    private readonly List<int> _documents = [], _terms = [];
    private readonly List<float> _counts = [];
    private int[] _start = [];

    /// <summary>Terms, by the range's own numbers.</summary>
    internal List<string> Terms { get; } = [];

    /// <summary>Length of each document of the range.</summary>
    internal int[] Lengths { get; private set; } = [];

    /// <summary>The postings of one of its terms.</summary>
    internal (ArraySegment<int> Documents, ArraySegment<float> Counts) this[int term] =>
        (new(_sortedDocuments, _start[term], _start[term + 1] - _start[term]), new(_sortedCounts, _start[term], _start[term + 1] - _start[term]));

    private int[] _sortedDocuments = [];
    private float[] _sortedCounts = [];

    internal void Read(IReadOnlyList<RetrievalDocument> documents, int from, int to, IndexOptions options, Action<int> done, CancellationToken cancel)
    {
        Lengths = new int[to - from];
        var terms = new DocumentTerms(this, options.Analyzer, options.Length, cancel);
        for (int document = from; document < to; document++)
        {
            if ((document - from) % 256 == 255)
            {
                cancel.ThrowIfCancellationRequested();
                done(256);
            }

            terms.Begin();
            RetrievalDocument source = documents[document];
            if (source.Title.Length > 0) options.Analyzer.Scan(source.Title, ref terms);
            options.Analyzer.Scan(source.Text, ref terms);
            Lengths[document - from] = terms.End(document, source.Id);
        }

        SortByTerm();
    }

    private int Number(ReadOnlySpan<char> term)
    {
        ref int number = ref CollectionsMarshal.GetValueRefOrAddDefault(_numbers.GetAlternateLookup<ReadOnlySpan<char>>(), term, out bool known);
        if (known) return number;
        number = Terms.Count;
        Terms.Add(term.ToString());
        return number;
    }

    /// <summary>Postings came document by document; they are wanted term by term (a counting sort, which keeps the documents ascending).</summary>
    private void SortByTerm()
    {
        _start = new int[Terms.Count + 1];
        foreach (int term in _terms) _start[term + 1]++;
        for (int term = 0; term < Terms.Count; term++) _start[term + 1] += _start[term];
        int[] next = [.. _start];
        (_sortedDocuments, _sortedCounts) = (new int[_terms.Count], new float[_terms.Count]);
        for (int i = 0; i < _terms.Count; i++)
        {
            int to = next[_terms[i]]++;
            (_sortedDocuments[to], _sortedCounts[to]) = (_documents[i], _counts[i]);
        }

        _documents.Clear();
        _terms.Clear();
        _counts.Clear();
    }

    /// <summary>Counts the terms of a document.</summary>
    private sealed class DocumentTerms(DocumentRange range, Analyzer analyzer, LengthCount count, CancellationToken cancel) : IWordSink, ITokenSink
    {
        private readonly Dictionary<string, int[]> _words = new(StringComparer.Ordinal);
        private readonly List<int> _numbers = [], _inDocument = [];
        private int[] _counts = new int[1024];
        private int _length, _last, _seen;

        internal void Begin() => _length = 0;

        public void Word(ReadOnlySpan<char> word)
        {
            // A document can be a book.
            if ((++_seen & 4095) == 0) cancel.ThrowIfCancellationRequested();

            // Kept for a word: its length, then the numbers of its terms. A word begins at a new place, so its length stands for itself.
            if (!_words.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(word, out int[]? kept))
            {
                _numbers.Clear();
                _numbers.Add(0);
                _last = -1;
                DocumentTerms sink = this;
                analyzer.Terms(word, 0, ref sink);
                kept = [.. _numbers];
                if (word.Length <= analyzer.Options.LongestWord && _words.Count < MostWords) _words.Add(word.ToString(), kept);
            }

            _length += kept[0];
            for (int i = 1; i < kept.Length; i++)
            {
                int number = kept[i];
                if (number >= _counts.Length) Array.Resize(ref _counts, Math.Max(2 * _counts.Length, number + 1));
                if (_counts[number]++ == 0) _inDocument.Add(number);
            }
        }

        public void Add(ReadOnlySpan<char> text, int position)
        {
            if (count == LengthCount.Terms || position != _last) _numbers[0]++;
            _last = position;
            _numbers.Add(range.Number(text));
        }

        internal int End(int document, string id)
        {
            foreach (int number in _inDocument)
            {
                if (_counts[number] > PostingBlocks.LargestValue)
                    throw new ArgumentException($"Document '{id}' has the term '{range.Terms[number]}' {_counts[number]} times; an index counts to {PostingBlocks.LargestValue}.");
                range._documents.Add(document);
                range._terms.Add(number);
                range._counts.Add(_counts[number]);
                _counts[number] = 0;
            }

            _inDocument.Clear();
            return _length;
        }
    }
}
