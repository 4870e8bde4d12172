namespace Sparseland.Retrieval.Indexing;

/// <summary>
/// WAND (Broder et al. 2003): with the lists ordered by their current documents, no document before the pivot, where the running sum of maxima
/// first exceeds the threshold, can enter. Block-max WAND (Ding and Suel 2011) asks the maxima of the blocks around the pivot before it
/// unpacks anything, and jumps behind the nearest block end where they do not suffice.
/// </summary>
internal static class WandSearch
{
    internal static void Run(SearchWorkspace workspace, bool blockMax, SearchStatistics? statistics)
    {
        Span<int> order = workspace.Order.AsSpan(0, workspace.Count);
        ReadOnlySpan<ListCursor> cursors = workspace.Cursors;
        TopKHeap heap = workspace.Heap;
        for (int i = 0; i < order.Length; i++) order[i] = i;
        for (int step = 1; ; step++)
        {
            if ((step & 1023) == 0) workspace.Cancel.ThrowIfCancellationRequested();
            Sort(order, cursors);
            double threshold = heap.Threshold, sum = 0;
            int pivot = 0;
            for (; pivot < order.Length; pivot++)
            {
                if (cursors[order[pivot]].Document == ListCursor.End) return;
                sum += cursors[order[pivot]].Max;
                if (sum > threshold) break;
            }

            if (pivot == order.Length) return;
            int document = cursors[order[pivot]].Document;
            while (pivot + 1 < order.Length && cursors[order[pivot + 1]].Document == document) pivot++;
            statistics?.Pivot(document);
            if (blockMax && !BlocksReach(cursors, order, pivot, document, threshold, out int next))
            {
                Largest(cursors, order, pivot).Seek(next);
                continue;
            }

            if (cursors[order[0]].Document == document) Score(workspace, document, statistics);
            else Nearest(cursors, order, document).Seek(document);
        }
    }

    /// <summary>Insertion: the order changes little from step to step. Equal documents stand by term, so that the work is the same every time.</summary>
    private static void Sort(Span<int> order, ReadOnlySpan<ListCursor> cursors)
    {
        for (int i = 1; i < order.Length; i++)
        {
            int list = order[i], document = cursors[list].Document, at = i;
            for (; at > 0 && cursors[order[at - 1]].Document is var before && (before > document || (before == document && order[at - 1] > list)); at--)
                order[at] = order[at - 1];
            order[at] = list;
        }
    }

    /// <summary>Whether the blocks that would hold the pivot document can lift it over the threshold; if not, where to go on.</summary>
    private static bool BlocksReach(ReadOnlySpan<ListCursor> cursors, ReadOnlySpan<int> order, int pivot, int document, double threshold, out int next)
    {
        double sum = 0;
        next = ListCursor.End;
        for (int i = 0; i <= pivot; i++)
        {
            sum += cursors[order[i]].BlockBound(document, out int last);
            if (last < ListCursor.End) next = Math.Min(next, last + 1);
        }

        if (sum > threshold) return true;
        if (pivot + 1 < order.Length) next = Math.Min(next, cursors[order[pivot + 1]].Document);
        next = Math.Max(next, document + 1);
        return false;
    }

    /// <summary>The list with the largest maximum among those up to the pivot.</summary>
    private static ListCursor Largest(ReadOnlySpan<ListCursor> cursors, ReadOnlySpan<int> order, int pivot)
    {
        ListCursor largest = cursors[order[0]];
        for (int i = 1; i <= pivot; i++)
        {
            if (cursors[order[i]].Max > largest.Max) largest = cursors[order[i]];
        }

        return largest;
    }

    /// <summary>The last list that stands before the pivot document.</summary>
    private static ListCursor Nearest(ReadOnlySpan<ListCursor> cursors, ReadOnlySpan<int> order, int document)
    {
        int at = 0;
        while (cursors[order[at + 1]].Document < document) at++;
        return cursors[order[at]];
    }

    /// <summary>Adds up all lists on the document, ascending by term, and moves them on.</summary>
    private static void Score(SearchWorkspace workspace, int document, SearchStatistics? statistics)
    {
        double score = 0;
        foreach (ListCursor cursor in workspace.Cursors)
        {
            if (cursor.Document != document) continue;
            score += cursor.Contribution();
            if (statistics is not null) statistics.PostingsScored++;
            cursor.Next();
        }

        if (score > workspace.Heap.Threshold) workspace.Heap.Push(document, score);
    }
}
