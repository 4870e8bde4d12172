using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Retrieval.Indexing;

/// <summary>Every posting of the query's terms, in windows of documents whose sums stay in the cache.</summary>
internal static class ExhaustiveSearch
{
    private const int Window = 1 << 15;

    internal static void Run(SearchWorkspace workspace, int documents, SearchStatistics? statistics)
    {
        double[] sums = workspace.SumsOf(Window);
        for (int from = 0; from < documents; from += Window)
        {
            workspace.Cancel.ThrowIfCancellationRequested();
            int length = Math.Min(Window, documents - from), scored = 0;
            // Ascending by term, so each sum is the canonical one.
            foreach (ListCursor cursor in workspace.Cursors) scored += cursor.AddTo(sums.AsSpan(0, length), from, from + length);
            if (statistics is not null) statistics.PostingsScored += scored;
            if (scored > 0) Collect(sums.AsSpan(0, length), from, workspace.Heap);
        }
    }

    /// <summary>Pushes the sums above the threshold and clears all.</summary>
    internal static void Collect(Span<double> sums, int from, TopKHeap heap, SearchStatistics? statistics = null)
    {
        Span<Vector512<double>> lanes = MemoryMarshal.Cast<double, Vector512<double>>(sums);
        Vector512<double> threshold = Vector512.Create(heap.Threshold);
        for (int i = 0; i < lanes.Length; i++)
        {
            Vector512<double> lane = lanes[i];
            lanes[i] = Vector512<double>.Zero;
            if (!Vector512.GreaterThanAny(lane, threshold)) continue;
            for (ulong above = Vector512.GreaterThan(lane, threshold).ExtractMostSignificantBits(); above != 0; above &= above - 1)
            {
                int at = BitOperations.TrailingZeroCount(above);
                if (!(lane[at] > heap.Threshold)) continue;
                heap.Push(from + (8 * i) + at, lane[at]);
                statistics?.Pivot(from + (8 * i) + at);
            }

            threshold = Vector512.Create(heap.Threshold);
        }

        for (int i = 8 * lanes.Length; i < sums.Length; i++)
        {
            if (sums[i] > heap.Threshold)
            {
                heap.Push(from + i, sums[i]);
                statistics?.Pivot(from + i);
            }

            sums[i] = 0;
        }
    }
}
