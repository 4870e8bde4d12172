namespace Sparseland.Retrieval.Formats;

/// <summary>How a BEIR folder is read.</summary>
public sealed record BeirOptions
{
    /// <summary>
    /// A file of qrels/ without its ending ("test", "dev", "train"); null, the default, for "test", or for the only one there is.
    /// </summary>
    public string? Split { get; init; }

    /// <summary>Keeps queries without a judgement in the split too. Default false, as BEIR's own loader.</summary>
    public bool AllQueries { get; init; }

    /// <summary>
    /// Whether a document with the query's own id is left out when lists are judged (<see cref="RetrievalCollection.DropsIdenticalIds"/>). Default
    /// true, as BEIR evaluates.
    /// </summary>
    public bool DropIdenticalIds { get; init; } = true;

    /// <summary>
    /// Refuses judgements of documents and queries that are not there. Default false: they are kept, since they count in the ideal list, and
    /// counted.
    /// </summary>
    public bool RefuseUnknown { get; init; }
}

/// <summary>A BEIR folder as it was read.</summary>
/// <param name="Collection">Documents, queries and judgements of the split.</param>
/// <param name="Split">The split.</param>
/// <param name="MissingTitles">Number of documents without a title.</param>
/// <param name="EmptyDocuments">Number of documents with neither title nor text: kept, and never found.</param>
/// <param name="RepeatedJudgements">Number of judgements given again; the last one stands.</param>
public sealed record BeirFolder(RetrievalCollection Collection, string Split, int MissingTitles, int EmptyDocuments, int RepeatedJudgements)
{
    /// <summary>The collection and what was odd in its files.</summary>
    public override string ToString() => $"{Collection} (split '{Split}')"
        + (MissingTitles > 0 ? $", {MissingTitles} documents without title" : "")
        + (EmptyDocuments > 0 ? $", {EmptyDocuments} of them empty" : "")
        + (RepeatedJudgements > 0 ? $", {RepeatedJudgements} judgements repeated" : "");
}
