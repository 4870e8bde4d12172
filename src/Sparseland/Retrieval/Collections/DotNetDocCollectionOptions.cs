using Sparseland.Data.Documentation;

namespace Sparseland.Retrieval.Collections;

/// <summary>How the .NET documentation becomes a collection.</summary>
public sealed record DotNetDocCollectionOptions
{
    /// <summary>The split of types, and the namespaces left out. Default the one of TinyLM's training text, so that the model never saw a test type.</summary>
    public DocCorpusOptions Corpus { get; init; } = new();

    /// <summary>Number of types, besides those held out, whose queries are for choosing settings; at least 1. Default 220.</summary>
    public int DevTypes { get; init; } = 220;

    /// <summary>Seed of the draw of those types. Default 1.</summary>
    public int Seed { get; init; } = 1;

    internal void Validate()
    {
        ArgumentNullException.ThrowIfNull(Corpus);
        ArgumentOutOfRangeException.ThrowIfLessThan(DevTypes, 1);
    }
}
