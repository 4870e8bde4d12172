namespace Sparseland.Retrieval.Indexing;

/// <summary>What one search at a time needs, kept from query to query.</summary>
internal sealed class SearchWorkspace
{
    private ListCursor[] _cursors = [];
    private ListCursor[] _probes = [];

    internal TopKHeap Heap { get; } = new();

    internal CancellationToken Cancel { get; set; }

    /// <summary>Cursors of the query's terms, ascending by term.</summary>
    internal Span<ListCursor> Cursors => _cursors.AsSpan(0, Count);

    /// <summary>A second cursor for each term, for those that look up single documents.</summary>
    internal Span<ListCursor> Probes => _probes.AsSpan(0, Count);

    internal int Count { get; private set; }

    /// <summary>What lies between a bound summed in one order and a score summed in another, at most.</summary>
    internal double Slack { get; private set; }

    /// <summary>The same where a part was summed in float32, which rounds each weight, part, product and sum.</summary>
    internal double RoundedSlack { get; private set; }

    /// <summary>Whether float32 holds every weight with all its digits; a product may be plain where a weight is not.</summary>
    internal bool HasPlainWeights { get; private set; }

    internal double[] Sums { get; private set; } = [];

    internal float[] RoundedSums { get; private set; } = [];

    internal int[] Order { get; private set; } = [];

    internal double[] Bounds { get; private set; } = [];

    /// <summary>Documents that may enter, with what they have so far.</summary>
    internal List<Hit> Candidates { get; } = [];

    internal double[] Contributions { get; private set; } = [];

    /// <summary>Places cursors on the terms of a query that the index has and that count.</summary>
    internal void Start(InvertedIndex index, SparseVector query, int k, bool probes, SearchStatistics? statistics)
    {
        Heap.Reset(k);
        Count = 0;
        Slack = 0;
        HasPlainWeights = true;
        if (_cursors.Length < query.Count)
        {
            int old = _cursors.Length;
            Array.Resize(ref _cursors, query.Count);
            Array.Resize(ref _probes, query.Count);
            for (int i = old; i < query.Count; i++) (_cursors[i], _probes[i]) = (new(), new());
            (Order, Bounds, Contributions) = (new int[query.Count], new double[query.Count + 1], new double[query.Count]);
        }

        for (int i = 0; i < query.Count; i++)
        {
            int term = query.Terms[i];
            if (term >= index.Terms || index.DocumentFrequency(term) == 0) continue;
            double weight = query.Weights[i] * index.TermWeight(term);
            if (weight == 0) continue;
            if (statistics is not null) statistics.PostingsOfTerms += index.DocumentFrequency(term);
            _cursors[Count].Start(index, term, weight);
            if (probes) _probes[Count].Start(index, term, weight);
            Slack += Math.Abs(weight) * index.TermMax[term];
            HasPlainWeights &= Math.Abs(weight) is > 1e-30 and < 1e30;
            Count++;
        }

        RoundedSlack = Slack * 1.2e-7 * (Count + 4);
        Slack *= 1e-12;
        if (statistics is not null) statistics.Queries++;
    }

    internal double[] SumsOf(int length)
    {
        if (Sums.Length < length) Sums = new double[length];
        return Sums;
    }

    internal float[] RoundedSumsOf(int length)
    {
        if (RoundedSums.Length < length) RoundedSums = new float[length];
        return RoundedSums;
    }

    internal Hit[] Finish(SearchStatistics? statistics)
    {
        if (statistics is not null)
        {
            foreach (ListCursor cursor in Cursors) statistics.BlocksDecoded += cursor.BlocksDecoded;
        }

        return Heap.Ranked();
    }
}
