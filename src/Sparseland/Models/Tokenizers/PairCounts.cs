using System.Runtime.InteropServices;

namespace Sparseland.Models.Tokenizers;

/// <summary>Pieces of text as ids, how often each pair of neighbours occurs in them, and where: what vocabularies of pairs are learned from.</summary>
internal sealed class PairCounts
{
    private readonly int[][] _words;
    private readonly int[] _lengths;
    private readonly int[] _counts;
    private readonly Dictionary<long, (int Count, HashSet<int> Words)> _pairs = [];
    private readonly PriorityQueue<(long Pair, int Count), (int, long)> _queue = new();

    /// <summary>Counts the pairs.</summary>
    /// <param name="pieces">Pieces and how often each occurs.</param>
    /// <param name="spell">The ids that a piece begins as.</param>
    public PairCounts(IReadOnlyDictionary<string, int> pieces, Func<string, int[]> spell)
    {
        // Ordered, so that nothing depends on the order of a dictionary.
        KeyValuePair<string, int>[] ordered = [.. pieces.OrderBy(p => p.Key, StringComparer.Ordinal)];
        _words = [.. ordered.Select(p => spell(p.Key))];
        _lengths = [.. _words.Select(w => w.Length)];
        _counts = [.. ordered.Select(p => p.Value)];
        for (int w = 0; w < _words.Length; w++)
        {
            for (int i = 0; i + 1 < _lengths[w]; i++) Change(_words[w][i], _words[w][i + 1], w, _counts[w]);
        }

        foreach (long pair in _pairs.Keys) Queue(pair);
    }

    /// <summary>The most frequent pair; of several the one of the lowest ids.</summary>
    public bool TryBest(int leastCount, out int left, out int right)
    {
        (left, right) = (0, 0);
        while (_queue.TryDequeue(out (long Pair, int Count) best, out _))
        {
            // A count that has changed since stands in the queue once more with its new value.
            if (!_pairs.TryGetValue(best.Pair, out (int Count, HashSet<int> Words) now) || now.Count != best.Count) continue;
            (left, right) = ((int)(best.Pair >> 32), (int)(best.Pair & uint.MaxValue));
            return best.Count >= leastCount;
        }

        return false;
    }

    /// <summary>Puts a token in the place of a pair everywhere.</summary>
    public void Merge(int left, int right, int token)
    {
        int[] touched = [.. _pairs[Key(left, right)].Words];
        var changed = new HashSet<long>();
        foreach (int w in touched)
        {
            int[] word = _words[w];
            int length = _lengths[w], count = _counts[w], to = 0;
            for (int i = 0; i + 1 < length; i++) changed.Add(Change(word[i], word[i + 1], w, -count));
            for (int i = 0; i < length; i++, to++)
            {
                bool isPair = i + 1 < length && word[i] == left && word[i + 1] == right;
                word[to] = isPair ? token : word[i];
                if (isPair) i++;
            }

            _lengths[w] = to;
            for (int i = 0; i + 1 < to; i++) changed.Add(Change(word[i], word[i + 1], w, count));
        }

        _pairs.Remove(Key(left, right));
        foreach (long pair in changed) Queue(pair);
    }

    private static long Key(int left, int right) => ((long)left << 32) | (uint)right;

    private long Change(int left, int right, int word, int count)
    {
        long key = Key(left, right);
        ref (int Count, HashSet<int> Words) entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_pairs, key, out _);
        entry.Words ??= [];
        entry.Count += count;
        if (count > 0) entry.Words.Add(word);
        return key;
    }

    private void Queue(long pair)
    {
        if (_pairs.TryGetValue(pair, out (int Count, HashSet<int> Words) entry) && entry.Count > 0) _queue.Enqueue((pair, entry.Count), (-entry.Count, pair));
    }
}
