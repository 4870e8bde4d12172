namespace Sparseland.Retrieval.Indexing;

/// <summary>What a search did: work that does not depend on the machine. One object may gather many searches of one thread.</summary>
public sealed class SearchStatistics
{
    private readonly List<int> _documents = [];

    /// <summary>Whether <see cref="PivotDocuments"/> is kept, for looking at a search. Default false.</summary>
    public bool KeepsPivots { get; init; }

    /// <summary>Postings whose contribution was computed.</summary>
    public long PostingsScored { get; internal set; }

    /// <summary>Postings of all terms of the queries: what an exhaustive search computes.</summary>
    public long PostingsOfTerms { get; internal set; }

    /// <summary>Blocks whose documents were unpacked.</summary>
    public long BlocksDecoded { get; internal set; }

    /// <summary>Documents that were looked at as candidates: pivots of WAND, survivors of the first bound of MaxScore.</summary>
    public long Pivots { get; private set; }

    /// <summary>Those documents in the order in which they were looked at, with repetition; empty unless <see cref="KeepsPivots"/>.</summary>
    public IReadOnlyList<int> PivotDocuments => _documents;

    /// <summary>Queries.</summary>
    public long Queries { get; internal set; }

    /// <summary>Share of the postings that was scored; 0 where there were none.</summary>
    public double ScoredShare => PostingsOfTerms > 0 ? (double)PostingsScored / PostingsOfTerms : 0;

    internal void Pivot(int document)
    {
        Pivots++;
        if (KeepsPivots) _documents.Add(document);
    }

    internal void Add(SearchStatistics other)
    {
        PostingsScored += other.PostingsScored;
        PostingsOfTerms += other.PostingsOfTerms;
        BlocksDecoded += other.BlocksDecoded;
        Pivots += other.Pivots;
        if (KeepsPivots) _documents.AddRange(other._documents);
        Queries += other.Queries;
    }

    /// <summary>Its numbers in words.</summary>
    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture,
        $"{Queries} queries: {PostingsScored} of {PostingsOfTerms} postings scored ({ScoredShare:0.0%}), {BlocksDecoded} blocks decoded, {Pivots} pivots");
}
