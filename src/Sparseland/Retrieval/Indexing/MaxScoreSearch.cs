using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Retrieval.Indexing;

/// <summary>
/// MaxScore (Turtle and Flood 1995): lists whose maxima together do not reach the threshold are not essential; a document in none but these
/// cannot enter. In windows of documents: maxima are those of the blocks in the window, the essential lists are added up in bulk, and the
/// others, the one with the largest maximum first, are asked only for documents that may still enter. Where these are so many that asking
/// costs more than adding, the next windows add that list too.
/// </summary>
internal static class MaxScoreSearch
{
    private const int Window = 1 << 13;

    // Asking a list for one document costs about as much as adding so many of its postings.
    private const int AskCost = 12;

    internal static void Run(SearchWorkspace workspace, int documents, SearchStatistics? statistics)
    {
        double[] sums = workspace.SumsOf(Window);
        float[] rounded = workspace.RoundedSumsOf(Window);
        Span<int> order = workspace.Order.AsSpan(0, workspace.Count);
        Span<double> bounds = workspace.Bounds.AsSpan(0, workspace.Count + 1), own = stackalloc double[Math.Min(workspace.Count, 256)];
        if (workspace.Count > own.Length) own = new double[workspace.Count];
        bool fits = workspace.Slack is > 1e-37 and < 1e18 && workspace.HasPlainWeights;
        int added = 0;
        for (int from = 0; from < documents; from += Window)
        {
            workspace.Cancel.ThrowIfCancellationRequested();
            int to = Math.Min(from + Window, documents);
            int first = Divide(workspace, order, own, bounds, from, to);
            if (first == order.Length) continue;

            // Sums in float32 tell nothing where the threshold is below their rounding, or the weights are near the ends of float32.
            first = fits && workspace.Heap.Threshold > workspace.RoundedSlack ? Math.Max(0, first - added) : 0;
            if (first == 0)
            {
                AddAll(workspace, sums.AsSpan(0, to - from), from, to, statistics);
                // Nothing says what the lists that were added needlessly would have cost: try with one fewer.
                added = Math.Max(0, added - 1);
                continue;
            }

            Span<float> window = rounded.AsSpan(0, to - from);
            int scored = 0;
            for (int i = first; i < order.Length; i++)
            {
                ListCursor cursor = workspace.Cursors[order[i]];
                cursor.Seek(from);
                scored += cursor.AddRounded(window, from, to);
            }

            if (scored == 0) continue;
            Compress(workspace, window, from, bounds[first]);
            if (statistics is not null)
            {
                statistics.PostingsScored += scored;
                foreach (Hit candidate in workspace.Candidates) statistics.Pivot(candidate.Document);
            }

            double asked = workspace.Candidates.Count * (double)AskCost, postings = workspace.Cursors[order[first - 1]].Postings * (double)window.Length / documents;
            if (asked > postings) added++;
            else if (asked < postings / 4 && added > 0) added--;
            foreach (Hit candidate in workspace.Candidates) Try(workspace, candidate.Document, candidate.Score, order, bounds, first, statistics);
        }

        if (statistics is not null)
        {
            foreach (ListCursor probe in workspace.Probes) statistics.BlocksDecoded += probe.BlocksDecoded;
        }
    }

    /// <summary>Adds up all lists in the order of the terms: the sums are then the canonical ones.</summary>
    private static void AddAll(SearchWorkspace workspace, Span<double> sums, int from, int to, SearchStatistics? statistics)
    {
        int scored = 0;
        foreach (ListCursor cursor in workspace.Cursors)
        {
            cursor.Seek(from);
            scored += cursor.AddTo(sums, from, to);
        }

        if (statistics is not null) statistics.PostingsScored += scored;
        if (scored > 0) ExhaustiveSearch.Collect(sums, from, workspace.Heap, statistics);
    }

    /// <summary>Orders the lists by their maxima in the window, ascending; bounds[i] is the sum of the first i.</summary>
    /// <returns>Place of the first essential list.</returns>
    private static int Divide(SearchWorkspace workspace, Span<int> order, Span<double> own, Span<double> bounds, int from, int to)
    {
        for (int list = 0; list < order.Length; list++)
        {
            double bound = workspace.Cursors[list].RangeBound(from, to);
            own[list] = bound;
            int at = list;
            for (; at > 0 && own[order[at - 1]] > bound; at--) order[at] = order[at - 1];
            order[at] = list;
        }

        int first = 0;
        bounds[0] = 0;
        for (int i = 0; i < order.Length; i++)
        {
            bounds[i + 1] = bounds[i] + own[order[i]];
            if (bounds[i + 1] <= workspace.Heap.Threshold) first = i + 1;
        }

        return first;
    }

    /// <summary>Lists the documents that may still enter, and clears the sums. A document in no list added has 0 and cannot.</summary>
    private static void Compress(SearchWorkspace workspace, Span<float> sums, int from, double others)
    {
        List<Hit> candidates = workspace.Candidates;
        candidates.Clear();
        float least = (float)Math.Max(0, workspace.Heap.Threshold - others - workspace.RoundedSlack);
        Span<Vector512<float>> lanes = MemoryMarshal.Cast<float, Vector512<float>>(sums);
        Vector512<float> leasts = Vector512.Create(least);
        for (int i = 0; i < lanes.Length; i++)
        {
            Vector512<float> lane = lanes[i];
            lanes[i] = Vector512<float>.Zero;
            if (!Vector512.GreaterThanAny(lane, leasts)) continue;
            for (ulong above = Vector512.GreaterThan(lane, leasts).ExtractMostSignificantBits(); above != 0; above &= above - 1)
            {
                int at = BitOperations.TrailingZeroCount(above);
                candidates.Add(new(from + (16 * i) + at, lane[at]));
            }
        }

        for (int i = 16 * lanes.Length; i < sums.Length; i++)
        {
            if (sums[i] > least) candidates.Add(new(from + i, sums[i]));
            sums[i] = 0;
        }
    }

    /// <summary>Asks the lists that were not added, and adds up in canonical order what may enter.</summary>
    private static void Try(SearchWorkspace workspace, int document, double partial, ReadOnlySpan<int> order, ReadOnlySpan<double> bounds, int first, SearchStatistics? statistics)
    {
        double least = workspace.Heap.Threshold - workspace.RoundedSlack;
        double[] contributions = workspace.Contributions;
        for (int i = first - 1; i >= 0; i--)
        {
            if (partial + bounds[i + 1] <= least) return;
            ListCursor probe = workspace.Probes[order[i]];
            // The block of the document may rule it out before it is unpacked.
            if (partial + bounds[i] + probe.BlockBound(document, out _) <= least) return;
            probe.Seek(document);
            double contribution = 0;
            if (probe.Document == document)
            {
                contribution = probe.Contribution();
                if (statistics is not null) statistics.PostingsScored++;
            }

            partial += contribution;
            contributions[order[i]] = contribution;
        }

        if (partial <= least) return;
        for (int i = first; i < order.Length; i++)
        {
            ListCursor probe = workspace.Probes[order[i]];
            probe.Seek(document);
            contributions[order[i]] = probe.Document == document ? probe.Contribution() : 0;
        }

        double score = 0;
        for (int list = 0; list < order.Length; list++) score += contributions[list];
        if (score > workspace.Heap.Threshold) workspace.Heap.Push(document, score);
    }
}
