namespace Sparseland.Retrieval;

/// <summary>
/// Documents, queries and judgements: what a retriever is tried on. A folder in BEIR's form, the .NET documentation and a generated set are
/// all of this type, and every method of the room takes it. Judgements may name documents or queries that do not exist, as published
/// collections do: they stay, since a document that cannot be found counts in the ideal, and are counted.
/// </summary>
public sealed class RetrievalCollection
{
    private readonly Dictionary<string, int> _documents;

    /// <summary>A collection.</summary>
    /// <param name="name">What figures call it.</param>
    /// <param name="documents">Documents, at least one; their places here are their numbers in every index of the collection.</param>
    /// <param name="queries">Queries, perhaps none.</param>
    /// <param name="qrels">Judgements.</param>
    /// <exception cref="ArgumentException">No document, an empty id, an id twice (both places are named), or null for a text.</exception>
    public RetrievalCollection(string name, IReadOnlyList<RetrievalDocument> documents, IReadOnlyList<RetrievalQuery> queries, Qrels qrels)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(documents);
        ArgumentNullException.ThrowIfNull(queries);
        ArgumentNullException.ThrowIfNull(qrels);
        if (documents.Count == 0) throw new ArgumentException("A collection has at least one document.", nameof(documents));
        _documents = Places([.. documents.Select(d => d?.Id)], "document", nameof(documents));
        Dictionary<string, int> places = Places([.. queries.Select(q => q?.Id)], "query", nameof(queries));
        if (documents.FirstOrDefault(d => d.Text is null || d.Title is null) is { } without)
            throw new ArgumentException($"Document '{without.Id}' has null for its {(without.Text is null ? "text" : "title")}; an empty one is allowed.", nameof(documents));
        if (queries.FirstOrDefault(q => q.Text is null) is { } wordless) throw new ArgumentException($"Query '{wordless.Id}' has null for its text; an empty one is allowed.", nameof(queries));
        (Name, Documents, Queries, Qrels) = (name, documents, queries, qrels);
        UnknownDocuments = qrels.All.Count(j => !_documents.ContainsKey(j.Document));
        UnknownQueries = qrels.Queries.Count(q => !places.ContainsKey(q));
    }

    /// <summary>What figures call it.</summary>
    public string Name { get; }

    /// <summary>Documents; a document's place is its number.</summary>
    public IReadOnlyList<RetrievalDocument> Documents { get; }

    /// <summary>Queries.</summary>
    public IReadOnlyList<RetrievalQuery> Queries { get; }

    /// <summary>Judgements.</summary>
    public Qrels Qrels { get; }

    /// <summary>Number of judgements that name a document which the collection does not have.</summary>
    public int UnknownDocuments { get; }

    /// <summary>Number of judged queries which the collection does not have.</summary>
    public int UnknownQueries { get; }

    /// <summary>
    /// Whether a document that bears a query's own id is left out when that query's list is judged, as BEIR has it where queries are documents
    /// of the collection. <see cref="Measures.RetrievalMetrics"/> keeps to it where it is given the collection. False but for what the reader of BEIR made.
    /// </summary>
    public bool DropsIdenticalIds { get; init; }

    /// <summary>Number of queries whose id is also a document's.</summary>
    public int IdenticalIds => Queries.Count(q => _documents.ContainsKey(q.Id));

    /// <summary>Number of the document with an id; null where there is none.</summary>
    /// <param name="id">Id of a document.</param>
    public int? Find(string id) => _documents.TryGetValue(id, out int number) ? number : null;

    /// <summary>The same documents and judgements with other queries.</summary>
    /// <param name="queries">Queries.</param>
    /// <exception cref="ArgumentException">An id is empty or stands twice.</exception>
    public RetrievalCollection With(IReadOnlyList<RetrievalQuery> queries) => new(Name, Documents, queries, Qrels) { DropsIdenticalIds = DropsIdenticalIds };

    /// <summary>Some of the documents with all queries and judgements; a judged document that is left out cannot be found, and still counts in the ideal.</summary>
    /// <param name="keep">Whether a document stays.</param>
    /// <exception cref="ArgumentException">No document stays.</exception>
    public RetrievalCollection Where(Func<RetrievalDocument, bool> keep)
    {
        ArgumentNullException.ThrowIfNull(keep);
        return new(Name, [.. Documents.Where(keep)], Queries, Qrels) { DropsIdenticalIds = DropsIdenticalIds };
    }

    /// <summary>Name and numbers.</summary>
    public override string ToString() => $"{Name}: {Documents.Count} documents, {Queries.Count} queries, {Qrels.Count} judgements"
        + (UnknownDocuments > 0 ? $", {UnknownDocuments} of them of unknown documents" : "") + (UnknownQueries > 0 ? $", {UnknownQueries} judged queries unknown" : "")
        + (DropsIdenticalIds && IdenticalIds > 0 ? $", {IdenticalIds} queries are documents too, which are not counted as their own answers" : "");

    private static Dictionary<string, int> Places(string?[] ids, string what, string argument)
    {
        var places = new Dictionary<string, int>(ids.Length, StringComparer.Ordinal);
        for (int i = 0; i < ids.Length; i++)
        {
            if (string.IsNullOrEmpty(ids[i])) throw new ArgumentException($"The {what} at place {i} is null or has an empty id.", argument);
            if (!places.TryAdd(ids[i]!, i)) throw new ArgumentException($"The {what} id '{ids[i]}' stands at places {places[ids[i]!]} and {i}.", argument);
        }

        return places;
    }
}
