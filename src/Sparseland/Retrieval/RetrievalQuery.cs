namespace Sparseland.Retrieval;

/// <summary>A query.</summary>
/// <param name="Id">Its id, as qrels and runs name it: not empty, unique among the queries of a collection.</param>
/// <param name="Text">Its words, perhaps none: such a query finds nothing.</param>
public sealed record RetrievalQuery(string Id, string Text);
