using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;

namespace Sparseland.Models.Tokenizers;

/// <summary>Options of <see cref="BpeTrainer"/>.</summary>
public sealed record BpeTrainerOptions
{
    /// <summary>Tokens in all: special tokens, 256 bytes, merges. Default 4096.</summary>
    public int Vocabulary { get; init; } = 4096;

    /// <summary>Special tokens; they get the first ids. Default &lt;|endoftext|&gt; alone.</summary>
    public IReadOnlyList<string> SpecialTokens { get; init; } = ["<|endoftext|>"];

    /// <summary>Pieces that no token crosses. Default <see cref="BpeModel.Gpt2Pattern"/>.</summary>
    public string Pattern { get; init; } = BpeModel.Gpt2Pattern;

    /// <summary>Pairs seen less often are not merged, even if the vocabulary then stays smaller. Default 2.</summary>
    public int LeastCount { get; init; } = 2;

    internal void Validate()
    {
        ArgumentNullException.ThrowIfNull(SpecialTokens);
        ArgumentException.ThrowIfNullOrEmpty(Pattern);
        ArgumentOutOfRangeException.ThrowIfLessThan(LeastCount, 1);
        if (SpecialTokens.Any(string.IsNullOrEmpty) || SpecialTokens.Distinct(StringComparer.Ordinal).Count() != SpecialTokens.Count)
            throw new ArgumentException("Special tokens must be distinct and not empty.", nameof(SpecialTokens));
        if (Vocabulary < 256 + SpecialTokens.Count)
        {
            throw new ArgumentOutOfRangeException(
                nameof(Vocabulary), Vocabulary, $"A vocabulary must hold the 256 bytes and {SpecialTokens.Count} special tokens, so at least {256 + SpecialTokens.Count}; else text could not be written back.");
        }
    }
}

/// <summary>
/// Learns a byte-pair vocabulary (Sennrich, Haddow and Birch 2016) on the bytes of a text: starting from the 256 bytes, the most
/// frequent pair of neighbours within the pieces becomes a token, again and again. Of equally frequent pairs the one of the lowest ids is
/// taken, so the same text gives the same vocabulary.
/// </summary>
public static class BpeTrainer
{
    /// <summary>Learns the vocabulary.</summary>
    /// <param name="texts">Texts; no token crosses from one to the next.</param>
    /// <param name="options">Size, special tokens, pieces; null for their defaults.</param>
    /// <param name="progress">Merges learned.</param>
    /// <param name="cancel">Checked between texts and between merges.</param>
    /// <exception cref="ArgumentException">There is no text, or the vocabulary is too small for the bytes.</exception>
    public static BpeModel Train(IEnumerable<string> texts, BpeTrainerOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        options ??= new();
        options.Validate();
        var model = new BpeModel([], [], options.SpecialTokens, options.Pattern);
        Dictionary<string, int> pieces = CountPieces(texts, model.PatternRegex(), cancel);
        if (pieces.Count == 0) throw new ArgumentException("The texts are empty; a vocabulary is learned from text.", nameof(texts));
        int first = options.SpecialTokens.Count;
        List<string> tokens = [.. options.SpecialTokens, .. Enumerable.Range(0, 256).Select(b => ByteAlphabet.Of((byte)b).ToString())];
        var merges = new List<(string, string)>();
        var state = new Pairs(pieces, first);
        while (tokens.Count < options.Vocabulary)
        {
            cancel.ThrowIfCancellationRequested();
            if (!state.TryBest(options.LeastCount, out int left, out int right)) break;
            merges.Add((tokens[left], tokens[right]));
            tokens.Add(tokens[left] + tokens[right]);
            state.Merge(left, right, tokens.Count - 1);
            if (merges.Count % 64 == 0) progress?.Report(new(tokens.Count, options.Vocabulary, $"'{tokens[^1]}'"));
        }

        return model with { Tokens = tokens, Merges = merges };
    }

    private static Dictionary<string, int> CountPieces(IEnumerable<string> texts, Regex pattern, CancellationToken cancel)
    {
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        var bySpan = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (string text in texts)
        {
            cancel.ThrowIfCancellationRequested();
            ArgumentNullException.ThrowIfNull(text, nameof(texts));
            foreach (ValueMatch match in pattern.EnumerateMatches(text))
                CollectionsMarshal.GetValueRefOrAddDefault(bySpan, text.AsSpan(match.Index, match.Length), out _)++;
        }

        return counts;
    }

    /// <summary>Pieces as ids, and how often each pair of neighbours occurs and where.</summary>
    private sealed class Pairs
    {
        private readonly int[][] _words;
        private readonly int[] _lengths;
        private readonly int[] _counts;
        private readonly Dictionary<long, (int Count, HashSet<int> Words)> _pairs = [];
        private readonly PriorityQueue<(long Pair, int Count), (int, long)> _queue = new();

        public Pairs(Dictionary<string, int> pieces, int first)
        {
            // Ordered, so that nothing depends on the order of a dictionary.
            KeyValuePair<string, int>[] ordered = [.. pieces.OrderBy(p => p.Key, StringComparer.Ordinal)];
            _words = [.. ordered.Select(p => Encoding.UTF8.GetBytes(p.Key).Select(b => b + first).ToArray())];
            _lengths = [.. _words.Select(w => w.Length)];
            _counts = [.. ordered.Select(p => p.Value)];
            for (int w = 0; w < _words.Length; w++)
            {
                for (int i = 0; i + 1 < _lengths[w]; i++) Change(_words[w][i], _words[w][i + 1], w, _counts[w]);
            }

            foreach (long pair in _pairs.Keys) Queue(pair);
        }

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
}
