namespace Sparseland.Retrieval.Indexing;

public sealed partial class InvertedIndex
{
    /// <summary>
    /// The index with whole impacts of a few bits in place of computed scores: <c>q = floor(v / vmax (2^b - 2)) + 1</c> with the largest
    /// contribution of the whole index as vmax (PISA's rule), so impacts are 1 to 2^b - 1 and no posting vanishes. Scores of the new index
    /// are sums of impacts.
    /// </summary>
    /// <param name="bits">Bits of an impact, 2 to 16. Default 8.</param>
    /// <param name="cancel">Ends the work. Default none.</param>
    /// <exception cref="ArgumentOutOfRangeException">Bits outside 2 to 16.</exception>
    /// <exception cref="OperationCanceledException">The work was cancelled.</exception>
    public InvertedIndex Quantise(int bits = 8, CancellationToken cancel = default)
    {
        if (bits is < 2 or > 16) throw new ArgumentOutOfRangeException(nameof(bits), bits, "An impact has 2 to 16 bits.");
        double most = LargestContribution(cancel), steps = (1 << bits) - 2;
        return Rewritten(v => most > 0 ? (float)Math.Floor(v / most * steps) + 1 : 1, cancel);
    }

    /// <summary>The index with impacts <c>round(scale v)</c>, those that round to 0 left out: Anserini's rule for learned vectors.</summary>
    /// <param name="scale">Steps to a weight of 1, above 0. Default 100.</param>
    /// <param name="cancel">Ends the work. Default none.</param>
    /// <exception cref="ArgumentOutOfRangeException">A scale that is not above 0, or one that makes an impact above 2^24.</exception>
    /// <exception cref="OperationCanceledException">The work was cancelled.</exception>
    public InvertedIndex QuantiseBy(double scale = 100, CancellationToken cancel = default)
    {
        if (!(scale > 0 && scale * LargestContribution(cancel) <= PostingBlocks.LargestValue))
            throw new ArgumentOutOfRangeException(nameof(scale), scale, $"The scale is above 0, and no impact above {PostingBlocks.LargestValue}.");
        return Rewritten(v => (float)Math.Round(scale * v), cancel);
    }

    private double LargestContribution(CancellationToken cancel)
    {
        // The maxima of blocks are rounded up, so the largest is found among the postings.
        double most = 0;
        for (int term = 0; term < Terms; term++)
        {
            if (term % Look == 0) cancel.ThrowIfCancellationRequested();
            if (TermMax[term] * _weights[term] < most) continue;
            (int[] documents, float[] values) = PostingsOf(term);
            for (int i = 0; i < values.Length; i++) most = Math.Max(most, Contribution(term, documents[i], values[i]));
        }

        return most;
    }

    private double Contribution(int term, int document, double value) => _weights[term] * (Norms is null ? value : value / (value + Norms[document]));

    private InvertedIndex Rewritten(Func<double, float> impact, CancellationToken cancel)
    {
        PostingLists lists = PostingListsWriter.Write(Documents, Terms, floats: false, (term, into, impacts) =>
        {
            (int[] documents, float[] values) = PostingsOf(term);
            for (int i = 0; i < values.Length; i++)
            {
                float value = impact(Contribution(term, documents[i], values[i]));
                if (value == 0) continue;
                into.Add(documents[i]);
                impacts.Add(value);
            }
        }, Environment.ProcessorCount, cancel);
        return new(_ids, _lengths, _vocabulary, lists, new GivenImpacts(), Analyzer, Counting);
    }
}
