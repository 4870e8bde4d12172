namespace Sparseland.Retrieval.Indexing;

/// <summary>
/// The best k of documents that come in ascending order. The worst entry (lowest score, then larger number) goes first; a candidate enters
/// only with a score above the threshold, since one with an equal score has the larger number and loses.
/// </summary>
internal sealed class TopKHeap
{
    private Hit[] _heap = [];
    private int _k;

    internal int Count { get; private set; }

    /// <summary>Score that a candidate must exceed: the worst entry once there are k, else 0.</summary>
    internal double Threshold { get; private set; }

    internal void Reset(int k)
    {
        if (_heap.Length < k) _heap = new Hit[Math.Max(k, 16)];
        (_k, Count, Threshold) = (k, 0, 0);
    }

    /// <summary>Takes a candidate whose score is above the threshold.</summary>
    internal void Push(int document, double score)
    {
        var hit = new Hit(document, score);
        int at;
        if (Count < _k)
        {
            at = Count++;
            while (at > 0 && _heap[(at - 1) >> 1] is var parent && Worse(hit, parent))
            {
                _heap[at] = parent;
                at = (at - 1) >> 1;
            }
        }
        else
        {
            at = 0;
            for (int child = 1; child < _k; child = (2 * at) + 1)
            {
                if (child + 1 < _k && Worse(_heap[child + 1], _heap[child])) child++;
                if (!Worse(_heap[child], hit)) break;
                _heap[at] = _heap[child];
                at = child;
            }
        }

        _heap[at] = hit;
        if (Count == _k) Threshold = _heap[0].Score;
    }

    /// <summary>The entries, best first.</summary>
    internal Hit[] Ranked()
    {
        Hit[] ranked = _heap.AsSpan(0, Count).ToArray();
        Array.Sort(ranked);
        return ranked;
    }

    private static bool Worse(Hit one, Hit other) => one.Score < other.Score || (one.Score == other.Score && one.Document > other.Document);
}
