namespace Sparseland.Retrieval.Indexing;

public sealed partial class InvertedIndex
{
    /// <summary>
    /// Saves the index. The file appears under its name only when it is whole; a cancelled or killed save leaves an older one as it was.
    /// </summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="cancel">Ends the work. Default none.</param>
    /// <exception cref="InvalidOperationException">A model of the caller's own, which a file cannot keep.</exception>
    /// <exception cref="ArgumentException">An id or a term is no valid Unicode.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="OperationCanceledException">The work was cancelled.</exception>
    public void Save(string path, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var (idEnds, ids) = IndexFile.Strings(_ids.Names);
        var (nameEnds, names) = IndexFile.Strings(_vocabulary.Names);
        using IndexBytes.Lease lease = Lists.Bytes.Hold();
        IndexFile.Write(path,
        [
            ("about", IndexDescription.Of(this)), ("idends", idEnds), ("ids", ids), ("lengths", IndexFile.Bytes(_lengths)), ("termends", nameEnds), ("terms", names),
            ("freqs", IndexFile.Bytes(Lists.Frequencies)), ("totals", IndexFile.Bytes(Lists.Totals)), ("first", IndexFile.Bytes(Lists.FirstBlock)),
            ("last", IndexFile.Bytes(Lists.BlockLast)), ("start", IndexFile.Bytes(Lists.BlockStart)), ("blockmax", IndexFile.Bytes(BlockMax)),
            ("termmax", IndexFile.Bytes(TermMax)), ("postings", Lists.Bytes.Span.ToArray()),
        ], cancel);
    }

    /// <summary>
    /// Opens a saved index: checks all of it, reads its tables and maps its postings. Do not cut a file that is open: the system ends a
    /// process that reads a map beyond its end. Replacing it (as <see cref="Save"/> does) is safe.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidDataException">The file is no index, of another version or byte order, cut or damaged; the message names it.</exception>
    /// <exception cref="IOException">The file cannot be opened.</exception>
    public static InvertedIndex Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        using IndexFile file = IndexFile.Open(path);
        var about = IndexDescription.Read(file.Read<byte>("about"), path);
        string[] ids = file.ReadStrings("idends", "ids"), names = file.ReadStrings("termends", "terms");
        var (lengths, blockMax, termMax) = (file.Read<int>("lengths"), file.Read<float>("blockmax"), file.Read<float>("termmax"));
        PostingLists lists = new(about.Documents, about.Floats, file.Read<int>("freqs"), file.Read<long>("totals"), file.Read<int>("first"), file.Read<int>("last"), file.Read<int>("start"),
            new IndexBytes(ReadOnlyMemory<byte>.Empty));
        Check(about, lists, ids, names, lengths, blockMax, termMax, file.LengthOf("postings"), path);
        lists = lists with { Bytes = file.Give("postings") };
        try
        {
            return new(new(ids), lengths, new(names), lists, (IImpactModel?)about.Bm25 ?? about.Given!, about.Analyzer is null ? null : new(about.Analyzer), about.Counting, (blockMax, termMax));
        }
        catch (ArgumentException e)
        {
            lists.Bytes.Dispose();
            throw new InvalidDataException($"'{path}': {e.Message}", e);
        }
    }

    /// <summary>What the searches rely on, so that a file made by somebody else ends in an exception and not in a wrong list.</summary>
    private static void Check(IndexDescription about, PostingLists lists, string[] ids, string[] names, int[] lengths, float[] blockMax, float[] termMax, int bytes, string path)
    {
        int blocks = lists.BlockLast.Length;
        bool fits = ids.Length == about.Documents && lengths.Length == about.Documents && names.Length == about.Terms && lists.Terms == about.Terms && termMax.Length == about.Terms
            && lists.Totals.Length == about.Terms && lists.FirstBlock.Length == about.Terms + 1 && lists.BlockStart.Length == blocks && blockMax.Length == blocks
            && lists.FirstBlock[0] == 0 && lists.FirstBlock[^1] == blocks && !lengths.AsSpan().ContainsAnyInRange(int.MinValue, -1);
        for (int term = 0; fits && term < about.Terms; term++)
        {
            int frequency = lists.Frequencies[term], from = lists.FirstBlock[term], to = lists.FirstBlock[term + 1], before = -1;
            fits = frequency >= 0 && frequency <= about.Documents && to - from == (frequency + PostingBlocks.Size - 1) / PostingBlocks.Size && to <= blocks;
            for (int block = from; fits && block < to; before = lists.BlockLast[block++])
            {
                fits = lists.BlockLast[block] > before && lists.BlockLast[block] < about.Documents && lists.BlockStart[block] >= 0 && lists.BlockStart[block] < bytes
                    && (block == 0 || lists.BlockStart[block] > lists.BlockStart[block - 1]) && blockMax[block] >= 0 && termMax[term] >= blockMax[block];
            }
        }

        if (!fits) throw new InvalidDataException($"'{path}': its tables contradict each other.");
    }
}
