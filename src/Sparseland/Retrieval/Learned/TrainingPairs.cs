using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>
/// Pairs of a query and a relevant document that a retriever learns from, with the negatives of each query. Batches are numbers of pairs; every pair
/// comes once an epoch.
/// </summary>
public sealed class TrainingPairs : IBatchSource
{
    private readonly int _batch;
    private readonly HashSet<int>[] _relevant;
    private readonly EpochOrder _order;

    /// <summary>The pairs of a collection: each query with each of its documents of the best grade that it has.</summary>
    /// <param name="collection">Documents, training queries and judgements.</param>
    /// <param name="batch">Pairs a step, at least 2: the other documents of a batch are the negatives. Default 48.</param>
    /// <param name="seed">Seed of the order. Default 1.</param>
    /// <param name="negatives">Hard negatives by query, as <see cref="HardNegatives.Mine"/> gives them; null, the default, for none.</param>
    /// <exception cref="ArgumentException">No query has a relevant document of the collection, or the batch is smaller than 2.</exception>
    public TrainingPairs(RetrievalCollection collection, int batch = 48, long seed = 1, IReadOnlyDictionary<string, IReadOnlyList<int>>? negatives = null)
    {
        ArgumentNullException.ThrowIfNull(collection);
        if (batch < 2) throw new ArgumentOutOfRangeException(nameof(batch), batch, "A batch has at least 2 pairs: the documents of the others are a query's negatives.");
        Collection = collection;
        var pairs = new List<(int Query, int Document)>();
        _relevant = new HashSet<int>[collection.Queries.Count];
        int[][] kept = new int[collection.Queries.Count][];
        for (int q = 0; q < collection.Queries.Count; q++)
        {
            IReadOnlyDictionary<string, int> grades = collection.Qrels[collection.Queries[q].Id];
            (int Number, int Grade)[] known = [.. grades.Where(g => g.Value > 0).Select(g => (collection.Find(g.Key) ?? -1, g.Value)).Where(g => g.Item1 >= 0)];
            _relevant[q] = [.. known.Select(g => g.Number)];
            int best = known.Length == 0 ? 0 : known.Max(g => g.Grade);
            pairs.AddRange(known.Where(g => g.Grade == best).Select(g => (q, g.Number)));
            kept[q] = negatives is not null && negatives.TryGetValue(collection.Queries[q].Id, out IReadOnlyList<int>? hard) ? [.. hard.Where(n => !_relevant[q].Contains(n))] : [];
        }

        if (pairs.Count == 0) throw new ArgumentException($"No query of '{collection.Name}' has a relevant document of it.", nameof(collection));
        (Pairs, Negatives, Seed, _batch) = (pairs, kept, seed, batch);
        _order = new(pairs.Count, Math.Min(batch, pairs.Count), seed, 800, whole: true);
    }

    /// <summary>The collection.</summary>
    public RetrievalCollection Collection { get; }

    /// <summary>Number of the query and of the document of each pair.</summary>
    public IReadOnlyList<(int Query, int Document)> Pairs { get; }

    /// <summary>Hard negatives of each query, perhaps none: numbers of documents.</summary>
    public IReadOnlyList<IReadOnlyList<int>> Negatives { get; }

    /// <summary>Seed of the order.</summary>
    public long Seed { get; }

    /// <inheritdoc/>
    public string Description => $"{Pairs.Count} pairs of '{Collection.Name}', {_batch} a batch, seed {Seed}";

    /// <summary>Numbers of the pairs of a batch, and its own number as target. What is left of an epoch and is less than a batch is passed over.</summary>
    /// <param name="index">From 0, without an end.</param>
    public Batch At(long index)
    {
        return new(tensor(_order.At(index)), tensor(index));
    }

    /// <summary>Which pairs a batch has, and which documents: the positives, then a hard negative of each query that has some.</summary>
    /// <param name="batch">A batch of this source.</param>
    /// <param name="perQuery">Hard negatives of a query, at least 0. Default 0.</param>
    public (int[] Queries, int[] Documents) Of(Batch batch, int perQuery = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(perQuery);
        int[] numbers = [.. batch.Input.data<long>().ToArray().Select(n => (int)n)];
        int[] queries = [.. numbers.Select(n => Pairs[n].Query)];
        var documents = new List<int>(numbers.Select(n => Pairs[n].Document));
        var random = new SeededRandom(Seed, 4000 + batch.Target.item<long>());
        foreach (int q in queries)
        {
            IReadOnlyList<int> hard = Negatives[q];
            for (int i = 0; i < perQuery && hard.Count > 0; i++) documents.Add(hard[random.NextInt(hard.Count)]);
        }

        return (queries, [.. documents]);
    }

    /// <summary>True where a document of a batch is relevant to a query [queries, documents].</summary>
    /// <param name="queries">Numbers of queries.</param>
    /// <param name="documents">Numbers of documents.</param>
    public Tensor Relevant(IReadOnlyList<int> queries, IReadOnlyList<int> documents)
    {
        ArgumentNullException.ThrowIfNull(queries);
        ArgumentNullException.ThrowIfNull(documents);
        bool[] relevant = new bool[queries.Count * documents.Count];
        for (int q = 0; q < queries.Count; q++)
        {
            for (int d = 0; d < documents.Count; d++) relevant[(q * documents.Count) + d] = _relevant[queries[q]].Contains(documents[d]);
        }

        return tensor(relevant, [queries.Count, documents.Count]);
    }
}
