using Sparseland.Tensors;

namespace Sparseland.Retrieval.Indexing;

/// <summary>Writes the lists of all terms, groups of terms in parallel; what comes out does not depend on the number of threads.</summary>
internal static class PostingListsWriter
{
    private const int GroupTerms = 1024;

    /// <summary>Hands over one term's postings.</summary>
    /// <param name="term">A term.</param>
    /// <param name="documents">Takes its documents, ascending; cleared before.</param>
    /// <param name="values">Takes their values.</param>
    internal delegate void Fill(int term, List<int> documents, List<float> values);

    /// <summary>Writes the lists.</summary>
    /// <exception cref="InvalidOperationException">The postings take more than 2 GB.</exception>
    internal static PostingLists Write(int documents, int terms, bool floats, Fill fill, int threads, CancellationToken cancel)
    {
        int groups = (terms + GroupTerms - 1) / GroupTerms;
        var parts = new Group[groups];
        var (frequencies, totals, firstBlock) = (new int[terms], new long[terms], new int[terms + 1]);
        FirstFailure.Of(() => Parallel.For(0, groups, new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancel }, () => (new List<int>(), new List<float>()), (g, _, room) =>
        {
            var part = parts[g] = new Group();
            for (int term = g * GroupTerms; term < Math.Min(terms, (g + 1) * GroupTerms); term++)
            {
                if (term % 64 == 0) cancel.ThrowIfCancellationRequested();
                room.Item1.Clear();
                room.Item2.Clear();
                fill(term, room.Item1, room.Item2);
                firstBlock[term + 1] = part.Add(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(room.Item1), System.Runtime.InteropServices.CollectionsMarshal.AsSpan(room.Item2), floats, out totals[term]);
                frequencies[term] = room.Item1.Count;
            }

            return room;
        }, _ => { }));

        for (int term = 0; term < terms; term++) firstBlock[term + 1] += firstBlock[term];
        long length = parts.Sum(p => (long)p.Bytes.Count);
        if (length > Array.MaxLength) throw new InvalidOperationException($"The postings take {length} bytes; an index holds at most {Array.MaxLength}. Divide the collection.");
        var bytes = new byte[length];
        var (last, start) = (new int[firstBlock[terms]], new int[firstBlock[terms]]);
        int block = 0, at = 0;
        foreach (Group part in parts)
        {
            part.Bytes.Span.CopyTo(bytes.AsSpan(at));
            for (int i = 0; i < part.Last.Count; i++, block++) (last[block], start[block]) = (part.Last[i], at + part.Start[i]);
            at += part.Bytes.Count;
        }

        return new(documents, floats, frequencies, totals, firstBlock, last, start, new IndexBytes(bytes));
    }

    private sealed class Group
    {
        internal ByteList Bytes { get; } = new();

        internal List<int> Last { get; } = [];

        internal List<int> Start { get; } = [];

        /// <summary>Appends a list.</summary>
        /// <returns>Its number of blocks.</returns>
        internal int Add(ReadOnlySpan<int> documents, ReadOnlySpan<float> values, bool floats, out long total)
        {
            // Weights do not count anything, and their sum may leave the range of whole numbers.
            total = documents.Length;
            if (!floats)
            {
                total = 0;
                foreach (float value in values) total += (long)value;
            }

            int blocks = 0;
            for (int from = 0; from < documents.Length; from += PostingBlocks.Size, blocks++)
            {
                int count = Math.Min(PostingBlocks.Size, documents.Length - from);
                Start.Add(Bytes.Count);
                PostingBlocks.Write(documents.Slice(from, count), values.Slice(from, count), from == 0 ? -1 : documents[from - 1], floats, Bytes);
                Last.Add(documents[from + count - 1]);
            }

            return blocks;
        }
    }
}
