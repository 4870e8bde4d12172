namespace Sparseland.Retrieval.Learned;

/// <summary>Documents that a retriever ranks high and that are not judged relevant: what a model can learn most from, and what it may be wronged by.</summary>
public static class HardNegatives
{
    /// <summary>
    /// The first documents of each query's list without the judged ones and, where the collection drops identical ids, without the one that is the query.
    /// </summary>
    /// <param name="run">What a retriever found for training queries.</param>
    /// <param name="collection">The collection; documents that it has not are left out.</param>
    /// <param name="depth">Ranks that are looked at, at least 1. Default 50, as the paper has it.</param>
    /// <returns>Numbers of documents by id of the query, in the order of the run; perhaps none.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The depth is less than 1.</exception>
    public static IReadOnlyDictionary<string, IReadOnlyList<int>> Mine(Run run, RetrievalCollection collection, int depth = 50)
    {
        ArgumentNullException.ThrowIfNull(run);
        ArgumentNullException.ThrowIfNull(collection);
        ArgumentOutOfRangeException.ThrowIfLessThan(depth, 1);
        var mined = new Dictionary<string, IReadOnlyList<int>>(StringComparer.Ordinal);
        foreach (string query in run.Queries)
        {
            IReadOnlyDictionary<string, int> judged = collection.Qrels[query];
            mined.Add(query, [.. run[query].Take(depth).Where(d => !judged.ContainsKey(d.Id) && !(collection.DropsIdenticalIds && d.Id == query)).Select(d => collection.Find(d.Id)).OfType<int>()]);
        }

        return mined;
    }
}
