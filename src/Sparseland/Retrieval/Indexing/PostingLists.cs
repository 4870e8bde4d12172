namespace Sparseland.Retrieval.Indexing;

/// <summary>The lists of all terms: tables in memory, postings in memory or in a mapped file.</summary>
/// <param name="Documents">Documents of the index.</param>
/// <param name="Floats">Whether values stand as floats.</param>
/// <param name="Frequencies">Documents of each term.</param>
/// <param name="Totals">Sum of each term's values where these are whole: its occurrences where they are counts. Its documents where values are floats.</param>
/// <param name="FirstBlock">Number of each term's first block, and the number of all blocks at the end.</param>
/// <param name="BlockLast">Last document of each block.</param>
/// <param name="BlockStart">Where each block begins.</param>
/// <param name="Bytes">The blocks.</param>
internal sealed record PostingLists(int Documents, bool Floats, int[] Frequencies, long[] Totals, int[] FirstBlock, int[] BlockLast, int[] BlockStart, IndexBytes Bytes)
{
    internal int Terms => Frequencies.Length;

    internal long Postings => Frequencies.Sum(f => (long)f);

    /// <summary>Number of postings of one block of a term.</summary>
    internal int CountOf(int term, int block) => block < FirstBlock[term + 1] - 1 ? PostingBlocks.Size : Frequencies[term] - (PostingBlocks.Size * (block - FirstBlock[term]));

    /// <summary>Reads a whole list.</summary>
    internal void Read(int term, int[] documents, float[] values)
    {
        int[] blockDocuments = new int[PostingBlocks.Size];
        float[] blockValues = new float[PostingBlocks.Size];
        ReadOnlySpan<byte> bytes = Bytes.Span;
        for (int block = FirstBlock[term], to = 0; block < FirstBlock[term + 1]; block++)
        {
            int count = CountOf(term, block);
            ReadBlock(bytes, term, block, count, blockDocuments, blockValues);
            blockDocuments.AsSpan(0, count).CopyTo(documents.AsSpan(to));
            blockValues.AsSpan(0, count).CopyTo(values.AsSpan(to));
            to += count;
        }
    }

    /// <summary>Reads one block.</summary>
    internal void ReadBlock(ReadOnlySpan<byte> bytes, int term, int block, int count, int[] documents, float[] values)
    {
        ReadOnlySpan<byte> from = bytes[BlockStart[block]..];
        int read = PostingBlocks.ReadDocuments(from, count, block == FirstBlock[term] ? -1 : BlockLast[block - 1], documents);
        PostingBlocks.ReadValues(from[read..], count, Floats, values);
    }
}
