namespace Sparseland.Retrieval.Indexing;

public sealed partial class InvertedIndex
{
    // Documents or terms between two looks at a cancellation.
    private const int Look = 4096;

    /// <summary>
    /// One index of several, their documents one after another, some left out. It equals the index that a build of the documents that stay
    /// would give, to the last byte.
    /// </summary>
    /// <param name="parts">Indexes of texts with equal analyzers, or of the same kind of values; at least one.</param>
    /// <param name="without">Ids of documents to leave out; ids that no part has are passed over. Default none.</param>
    /// <param name="cancel">Ends the work. Default none.</param>
    /// <exception cref="ArgumentException">No part, no document left, parts that differ in analyzer, counting or values, or an id that two parts have.</exception>
    /// <exception cref="OperationCanceledException">The work was cancelled.</exception>
    public static InvertedIndex Merge(IReadOnlyList<InvertedIndex> parts, IReadOnlySet<string>? without = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(parts);
        if (parts.Count == 0) throw new ArgumentException("There is no index to merge.", nameof(parts));
        InvertedIndex first = parts[0];
        for (int p = 1; p < parts.Count; p++)
        {
            if (parts[p].Lists.Floats != first.Lists.Floats || parts[p].Counting != first.Counting || !Equals(parts[p].Analyzer?.Options, first.Analyzer?.Options))
                throw new ArgumentException($"Part {p} differs from the first in analyzer, counting of lengths or values: {parts[p].Analyzer?.ToString() ?? "vectors"} against {first.Analyzer?.ToString() ?? "vectors"}.", nameof(parts));
        }

        var (ids, lengths, numbers) = (new List<string>(), new List<int>(), new int[parts.Count][]);
        for (int p = 0; p < parts.Count; p++)
        {
            numbers[p] = new int[parts[p].Documents];
            for (int document = 0; document < numbers[p].Length; document++)
            {
                if (document % Look == 0) cancel.ThrowIfCancellationRequested();
                bool stays = without is null || !without.Contains(parts[p].Id(document));
                numbers[p][document] = stays ? ids.Count : -1;
                if (!stays) continue;
                ids.Add(parts[p].Id(document));
                lengths.Add(parts[p].Length(document));
            }
        }

        if (ids.Count == 0) throw new ArgumentException("No document is left; an index has at least one.", nameof(without));
        Vocabulary known = Ids([.. ids], nameof(parts));

        // Vectors keep the numbers of their terms, which queries name; texts have the terms that occur, in their order.
        Vocabulary vocabulary = first.Analyzer is null ? Widest(parts, cancel) : Occurring(parts, numbers, cancel);
        int[][] local = [.. parts.Select(part => (int[])[.. vocabulary.Names.Select((name, t) => NumberIn(part, name, t))])];
        PostingLists lists = PostingListsWriter.Write(ids.Count, vocabulary.Names.Count, first.Lists.Floats, (term, into, values) =>
        {
            for (int p = 0; p < parts.Count; p++)
            {
                if (local[p][term] < 0) continue;
                (int[] documents, float[] own) = parts[p].PostingsOf(local[p][term]);
                for (int i = 0; i < documents.Length; i++)
                {
                    if (numbers[p][documents[i]] is not (>= 0 and int number)) continue;
                    into.Add(number);
                    values.Add(own[i]);
                }
            }
        }, Environment.ProcessorCount, cancel);
        return new(known, [.. lengths], vocabulary, lists, first.Model, first.Analyzer, first.Counting);

        int NumberIn(InvertedIndex part, string name, int term)
        {
            if (term % Look == 0) cancel.ThrowIfCancellationRequested();
            return first.Analyzer is null ? (term < part.Terms ? term : -1) : part.FindTerm(name) ?? -1;
        }
    }

    private static Vocabulary Widest(IReadOnlyList<InvertedIndex> parts, CancellationToken cancel)
    {
        InvertedIndex widest = parts.MaxBy(p => p.Terms)!;
        foreach (InvertedIndex part in parts)
        {
            for (int term = 0; term < part.Terms; term++)
            {
                if (term % Look == 0) cancel.ThrowIfCancellationRequested();
                if (part.Term(term) != widest.Term(term)) throw new ArgumentException($"Term {term} is '{part.Term(term)}' in one part and '{widest.Term(term)}' in another.", nameof(parts));
            }
        }

        return widest._vocabulary;
    }

    private static Vocabulary Occurring(IReadOnlyList<InvertedIndex> parts, int[][] numbers, CancellationToken cancel)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        for (int p = 0; p < parts.Count; p++)
        {
            bool whole = !numbers[p].Contains(-1);
            for (int term = 0; term < parts[p].Terms; term++)
            {
                if (term % Look == 0) cancel.ThrowIfCancellationRequested();
                if (whole || parts[p].PostingsOf(term).Documents.Any(d => numbers[p][d] >= 0)) names.Add(parts[p].Term(term));
            }
        }

        string[] sorted = [.. names];
        Array.Sort(sorted, Vocabulary.CompareUtf8);
        return new(sorted);
    }
}
