using Sparseland.Retrieval.Analysis;

namespace Sparseland.Retrieval.Collections;

/// <summary>
/// The distinct terms of each document of a view and how many documents hold each: what overlap is weighed by. Numbers of terms are shared by all
/// views and queries of one collection.
/// </summary>
internal sealed class DocTerms
{
    private readonly int[][] _documents;
    private readonly int[] _frequencies;

    private DocTerms(int[][] documents, int[] frequencies) => (_documents, _frequencies) = (documents, frequencies);

    /// <summary>Terms of documents, in parallel.</summary>
    public static DocTerms Of(IReadOnlyList<RetrievalDocument> documents, TermNumbers numbers, CancellationToken cancel)
    {
        int[][] terms = new int[documents.Count][];
        Parallel.For(0, documents.Count, new ParallelOptions { CancellationToken = cancel }, d => terms[d] = numbers.Of(documents[d].Contents));
        int[] frequencies = new int[numbers.Count];
        foreach (int[] document in terms)
        {
            foreach (int term in document) frequencies[term]++;
        }

        return new(terms, frequencies);
    }

    /// <summary>The largest share of a query's weight that one of some documents holds.</summary>
    public double Overlap(int[] query, IEnumerable<int> documents)
    {
        double all = query.Sum(Weight);
        return documents.Max(d => query.Where(t => Array.BinarySearch(_documents[d], t) >= 0).Sum(Weight)) / all;
    }

    // Lucene's inverse document frequency, above 0 for every term; one that no document holds weighs most.
    private double Weight(int term)
    {
        int frequency = term < _frequencies.Length ? _frequencies[term] : 0;
        return Math.Log(1 + ((_documents.Length - frequency + 0.5) / (frequency + 0.5)));
    }
}

/// <summary>Numbers for terms. Which number a term gets depends on the threads, and nothing that is kept depends on the number.</summary>
internal sealed class TermNumbers(Analyzer analyzer)
{
    private readonly System.Collections.Concurrent.ConcurrentDictionary<string, int> _numbers = new(StringComparer.Ordinal);
    private int _count;

    /// <summary>Numbers given so far.</summary>
    public int Count => _count;

    /// <summary>The distinct terms of a text, ascending.</summary>
    public int[] Of(string text)
    {
        int[] terms = [.. analyzer.Analyze(text).Select(t => Number(t.Text)).Distinct()];
        Array.Sort(terms);
        return terms;
    }

    private int Number(string term) => _numbers.TryGetValue(term, out int number) ? number : Add(term);

    private int Add(string term)
    {
        lock (_numbers)
        {
            return _numbers.TryGetValue(term, out int number) ? number : _numbers[term] = _count++;
        }
    }
}
