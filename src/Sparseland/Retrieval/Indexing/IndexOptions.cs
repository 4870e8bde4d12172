using Sparseland.Retrieval.Analysis;

namespace Sparseland.Retrieval.Indexing;

/// <summary>How documents become an index.</summary>
public sealed record IndexOptions
{
    /// <summary>Makes terms of documents, and later of queries. Default <see cref="Analyzers.English"/>.</summary>
    public Analyzer Analyzer { get; init; } = Analyzers.English();

    /// <summary>How a count becomes a score; <see cref="InvertedIndex.With"/> takes another one later. Default <see cref="Bm25"/> with its defaults.</summary>
    public IImpactModel Model { get; init; } = new Bm25();

    /// <summary>What makes a document's length. Default <see cref="LengthCount.Terms"/>.</summary>
    public LengthCount Length { get; init; } = LengthCount.Terms;

    /// <summary>Most threads; the index is the same for any number. Default 0: one a core.</summary>
    public int Threads { get; init; }

    internal int MostThreads => Threads == 0 ? Environment.ProcessorCount : Threads;

    internal void Validate()
    {
        if (Analyzer is null) throw new ArgumentException($"{nameof(Analyzer)} is null.", nameof(Analyzer));
        if (Model is null) throw new ArgumentException($"{nameof(Model)} is null.", nameof(Model));
        if (!Enum.IsDefined(Length)) throw new ArgumentOutOfRangeException(nameof(Length), Length, "The length counts Terms or Positions.");
        if (Threads < 0) throw new ArgumentOutOfRangeException(nameof(Threads), Threads, "Threads are at least 1, or 0 for one a core.");
        (Model as Bm25)?.Validate();
    }
}
