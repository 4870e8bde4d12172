using Sparseland.Retrieval.Analysis;
using Sparseland.Tensors;

namespace Sparseland.Retrieval.Indexing;

public sealed partial class InvertedIndex
{
    /// <summary>Indexes texts: title and text of each document.</summary>
    /// <param name="documents">Documents, at least one; their places are their numbers. An empty one is kept and never found.</param>
    /// <param name="options">How; defaults where null. Default null.</param>
    /// <param name="progress">Told of documents read. Default none.</param>
    /// <param name="cancel">Ends the work. Default none.</param>
    /// <exception cref="ArgumentException">No document, one that is null or has a null text or title, an empty id, an id twice (both places are named), or options outside their range.</exception>
    /// <exception cref="OperationCanceledException">The work was cancelled.</exception>
    public static InvertedIndex Build(IEnumerable<RetrievalDocument> documents, IndexOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(documents);
        options ??= new();
        options.Validate();
        IReadOnlyList<RetrievalDocument> list = documents as IReadOnlyList<RetrievalDocument> ?? [.. documents];
        Vocabulary ids = Ids([.. list.Select(d => d?.Id)], nameof(documents));
        if (list.FirstOrDefault(d => d.Text is null || d.Title is null) is { } without)
            throw new ArgumentException($"Document '{without.Id}' has null for its {(without.Text is null ? "text" : "title")}; an empty one is allowed.", nameof(documents));

        DocumentRange[] ranges = Read(list, options, progress, cancel);
        string[] names = [.. ranges.SelectMany(r => r.Terms).ToHashSet(StringComparer.Ordinal)];
        cancel.ThrowIfCancellationRequested();
        Array.Sort(names, Vocabulary.CompareUtf8);
        var vocabulary = new Vocabulary(names);
        int[][] local = [.. ranges.Select(r => Local(r, vocabulary))];
        cancel.ThrowIfCancellationRequested();
        PostingLists lists = PostingListsWriter.Write(list.Count, names.Length, floats: false, (term, numbers, values) =>
        {
            // Ranges are contiguous, so their postings in the order of the ranges ascend.
            for (int r = 0; r < ranges.Length; r++)
            {
                if (local[r][term] < 0) continue;
                (ArraySegment<int> found, ArraySegment<float> counts) = ranges[r][local[r][term]];
                System.Runtime.InteropServices.CollectionsMarshal.SetCount(numbers, numbers.Count + found.Count);
                System.Runtime.InteropServices.CollectionsMarshal.SetCount(values, values.Count + found.Count);
                found.AsSpan().CopyTo(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(numbers)[^found.Count..]);
                counts.AsSpan().CopyTo(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(values)[^found.Count..]);
            }
        }, options.MostThreads, cancel);
        return new(ids, [.. ranges.SelectMany(r => r.Lengths)], vocabulary, lists, options.Model, options.Analyzer, options.Length);
    }

    /// <summary>Indexes vectors: what a learned encoder or feedback made of documents.</summary>
    /// <param name="ids">Ids of the documents, at least one.</param>
    /// <param name="vectors">A vector each; weights are above 0, terms below the number of names.</param>
    /// <param name="names">Names of all terms by number: the encoder's vocabulary.</param>
    /// <param name="cancel">Ends the work. Default none.</param>
    /// <exception cref="ArgumentException">Unequal numbers, an id empty or twice, a negative weight or an unknown term (the document is named).</exception>
    public static InvertedIndex FromVectors(IReadOnlyList<string> ids, IReadOnlyList<SparseVector> vectors, IReadOnlyList<string> names, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(ids);
        ArgumentNullException.ThrowIfNull(vectors);
        ArgumentNullException.ThrowIfNull(names);
        if (ids.Count != vectors.Count) throw new ArgumentException($"{ids.Count} ids, but {vectors.Count} vectors.", nameof(vectors));
        Vocabulary known = Ids([.. ids], nameof(ids));
        var start = new long[names.Count + 1];
        for (int document = 0; document < vectors.Count; document++)
        {
            if (document % Look == 0) cancel.ThrowIfCancellationRequested();
            SparseVector vector = vectors[document] ?? throw new ArgumentException($"The vector of document '{ids[document]}' is null; an empty one is allowed.", nameof(vectors));
            for (int i = 0; i < vector.Count; i++)
            {
                if (vector.Terms[i] >= names.Count) throw new ArgumentException($"Document '{ids[document]}' has the term {vector.Terms[i]}; there are {names.Count} names.", nameof(vectors));
                if (vector.Weights[i] < 0) throw new ArgumentException($"Document '{ids[document]}' has the weight {vector.Weights[i]} for '{names[vector.Terms[i]]}'; weights of documents are above 0.", nameof(vectors));
                start[vector.Terms[i] + 1]++;
            }
        }

        for (int term = 0; term < names.Count; term++) start[term + 1] += start[term];
        long[] next = [.. start];
        var (documents, values) = (new int[start[^1]], new float[start[^1]]);
        for (int document = 0; document < vectors.Count; document++)
        {
            if (document % Look == 0) cancel.ThrowIfCancellationRequested();
            for (int i = 0; i < vectors[document].Count; i++)
            {
                long to = next[vectors[document].Terms[i]]++;
                (documents[to], values[to]) = (document, vectors[document].Weights[i]);
            }
        }

        PostingLists lists = PostingListsWriter.Write(ids.Count, names.Count, floats: true, (term, into, weights) =>
        {
            for (long i = start[term]; i < start[term + 1]; i++)
            {
                into.Add(documents[i]);
                weights.Add(values[i]);
            }
        }, Environment.ProcessorCount, cancel);
        return new(known, [.. vectors.Select(v => v.Count)], new([.. names]), lists, new GivenImpacts(), null, LengthCount.Terms);
    }

    private static Vocabulary Ids(string?[] ids, string argument)
    {
        if (ids.Length == 0) throw new ArgumentException("An index has at least one document.", argument);
        var places = new Dictionary<string, int>(ids.Length, StringComparer.Ordinal);
        for (int i = 0; i < ids.Length; i++)
        {
            if (string.IsNullOrEmpty(ids[i])) throw new ArgumentException($"The document at place {i} is null or has an empty id.", argument);
            if (!places.TryAdd(ids[i]!, i)) throw new ArgumentException($"The id '{ids[i]}' stands at places {places[ids[i]!]} and {i}.", argument);
        }

        return new(ids!);
    }

    private static DocumentRange[] Read(IReadOnlyList<RetrievalDocument> documents, IndexOptions options, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        int count = Math.Clamp((documents.Count + 255) / 256, 1, options.MostThreads);
        var ranges = new DocumentRange[count];
        long done = 0;
        FirstFailure.Of(() => Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = options.MostThreads, CancellationToken = cancel }, r =>
        {
            ranges[r] = new();
            ranges[r].Read(documents, (int)((long)documents.Count * r / count), (int)((long)documents.Count * (r + 1) / count), options,
                d => progress?.Report(new(Interlocked.Add(ref done, d), documents.Count, "indexing")), cancel);
        }));
        progress?.Report(new(documents.Count, documents.Count, "indexing"));
        return ranges;
    }

    /// <summary>A range's own number of each term; -1 where it has it not.</summary>
    private static int[] Local(DocumentRange range, Vocabulary vocabulary)
    {
        var local = new int[vocabulary.Names.Count];
        Array.Fill(local, -1);
        for (int i = 0; i < range.Terms.Count; i++) local[vocabulary.Find(range.Terms[i])!.Value] = i;
        return local;
    }
}
