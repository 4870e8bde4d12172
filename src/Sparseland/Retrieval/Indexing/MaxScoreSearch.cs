using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Retrieval.Indexing;

/// <summary>
/// MaxScore (Turtle and Flood 1995): lists whose maxima together do not reach the threshold are not essential; a document in none but these
/// cannot enter. In windows of documents: maxima are those of the blocks in the window, the essential lists are added up in bulk, and the
/// others are asked only for documents that may still enter, the one with the largest maximum first.
/// </summary>
internal static class MaxScoreSearch
{
    private const int Window = 1 << 12;

    internal static void Run(SearchWorkspace workspace, int documents, SearchStatistics? statistics)
    {
        double[] sums = workspace.SumsOf(Window);
        Span<int> order = workspace.Order.AsSpan(0, workspace.Count);
        Span<double> bounds = workspace.Bounds.AsSpan(0, workspace.Count + 1), own = stackalloc double[Math.Min(workspace.Count, 256)];
        if (workspace.Count > own.Length) own = new double[workspace.Count];
        for (int from = 0; from < documents;)
        {
            int to = Math.Min(from + Window, documents);
            int first = Divide(workspace, order, own, bounds, from, to);
            if (first == order.Length)
            {
                from = to;
                continue;
            }

            Span<double> window = sums.AsSpan(0, to - from);
            int scored = 0;
            foreach (int list in order[first..])
            {
                ListCursor cursor = workspace.Cursors[list];
                cursor.Seek(from);
                scored += cursor.AddTo(window, from, to);
            }

            if (statistics is not null) statistics.PostingsScored += scored;
            if (scored > 0) Collect(workspace, window, from, order, bounds, first, statistics);
            from = to;
        }

        if (statistics is not null)
        {
            foreach (ListCursor probe in workspace.Probes) statistics.BlocksDecoded += probe.BlocksDecoded;
        }
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

    private static void Collect(SearchWorkspace workspace, Span<double> sums, int from, ReadOnlySpan<int> order, ReadOnlySpan<double> bounds, int first, SearchStatistics? statistics)
    {
        TopKHeap heap = workspace.Heap;
        // A document that the others can lift over the threshold has at least this much; one without a posting in the essential lists has 0.
        double least = Math.Max(0, heap.Threshold - bounds[first] - workspace.Slack);
        Span<Vector512<double>> lanes = MemoryMarshal.Cast<double, Vector512<double>>(sums);
        Vector512<double> leasts = Vector512.Create(least);
        for (int i = 0; i < lanes.Length; i++)
        {
            Vector512<double> lane = lanes[i];
            lanes[i] = Vector512<double>.Zero;
            if (!Vector512.GreaterThanAny(lane, leasts)) continue;
            for (ulong above = Vector512.GreaterThan(lane, leasts).ExtractMostSignificantBits(); above != 0; above &= above - 1)
            {
                int at = BitOperations.TrailingZeroCount(above);
                Try(workspace, from + (8 * i) + at, lane[at], order, bounds, first, statistics);
            }

            least = Math.Max(0, heap.Threshold - bounds[first] - workspace.Slack);
            leasts = Vector512.Create(least);
        }

        for (int i = 8 * lanes.Length; i < sums.Length; i++)
        {
            if (sums[i] > least) Try(workspace, from + i, sums[i], order, bounds, first, statistics);
            sums[i] = 0;
        }
    }

    /// <summary>Asks the lists that are not essential, and adds up in canonical order what may enter.</summary>
    private static void Try(SearchWorkspace workspace, int document, double partial, ReadOnlySpan<int> order, ReadOnlySpan<double> bounds, int first, SearchStatistics? statistics)
    {
        if (statistics is not null) statistics.Pivots++;
        double threshold = workspace.Heap.Threshold;
        double[] contributions = workspace.Contributions;
        for (int i = first - 1; i >= 0; i--)
        {
            if (partial + bounds[i + 1] + workspace.Slack <= threshold) return;
            ListCursor probe = workspace.Probes[order[i]];
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

        if (partial + workspace.Slack <= threshold) return;
        for (int i = first; i < order.Length; i++)
        {
            ListCursor probe = workspace.Probes[order[i]];
            probe.Seek(document);
            contributions[order[i]] = probe.Document == document ? probe.Contribution() : 0;
        }

        double score = 0;
        for (int list = 0; list < order.Length; list++) score += contributions[list];
        if (score > threshold) workspace.Heap.Push(document, score);
    }
}
