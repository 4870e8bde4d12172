using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Caching;

/// <summary>Which tokens of a cache each head reads, or keeps: one ascending list of places for each head of each sequence, of any length. Immutable.</summary>
public sealed class CacheSelection
{
    private readonly int[][] _kept;

    /// <summary>Takes over lists of places after checking them; they are copied.</summary>
    /// <param name="heads">Heads of a sequence: key-value heads, or query heads where each reads tokens of its own.</param>
    /// <param name="tokens">Tokens of the cache.</param>
    /// <param name="kept">Places of each head, sequence after sequence: from 0 to tokens - 1, strictly ascending, at least one.</param>
    /// <exception cref="ArgumentException">A number is not positive, the lists are no multiple of the heads, or a place is out of range or order; the message names it.</exception>
    public CacheSelection(int heads, int tokens, IReadOnlyList<IReadOnlyList<int>> kept)
        : this(heads, tokens, Checked(heads, tokens, kept))
    {
    }

    private CacheSelection(int heads, int tokens, int[][] kept) => (Heads, Tokens, _kept) = (heads, tokens, kept);

    /// <summary>Heads of a sequence.</summary>
    public int Heads { get; }

    /// <summary>Tokens of the cache.</summary>
    public int Tokens { get; }

    /// <summary>Sequences.</summary>
    public int Batch => _kept.Length / Heads;

    /// <summary>Kept tokens of all heads together.</summary>
    public long Count => _kept.Sum(k => (long)k.Length);

    /// <summary>Kept tokens over all, of all heads together.</summary>
    public double Share => Count / ((double)_kept.Length * Tokens);

    /// <summary>Whether every head keeps every token: what is asked for was more than there is, and attention is dense.</summary>
    public bool IsWhole => Count == (long)_kept.Length * Tokens;

    /// <summary>Every token.</summary>
    /// <param name="heads">Heads of a sequence.</param>
    /// <param name="tokens">Tokens of the cache.</param>
    /// <param name="batch">Sequences. Default 1.</param>
    public static CacheSelection All(int heads, int tokens, int batch = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        return new(heads, tokens, [.. Enumerable.Range(0, Math.Max(0, batch * heads)).Select(_ => (IReadOnlyList<int>)[.. Enumerable.Range(0, Math.Max(0, tokens))])]);
    }

    /// <summary>Places of one head, ascending.</summary>
    /// <param name="sequence">From 0.</param>
    /// <param name="head">From 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such sequence or head.</exception>
    public ReadOnlySpan<int> Kept(int sequence, int head)
    {
        if (sequence < 0 || sequence >= Batch) throw new ArgumentOutOfRangeException(nameof(sequence), sequence, $"There are sequences 0 to {Batch - 1}.");
        if (head < 0 || head >= Heads) throw new ArgumentOutOfRangeException(nameof(head), head, $"There are heads 0 to {Heads - 1}.");
        return _kept[(sequence * Heads) + head];
    }

    /// <summary>True where a token is kept.</summary>
    /// <returns>[batch, heads, tokens], Bool.</returns>
    public Tensor ToMask()
    {
        bool[] mask = new bool[(long)_kept.Length * Tokens];
        for (int h = 0; h < _kept.Length; h++)
        {
            foreach (int place in _kept[h]) mask[((long)h * Tokens) + place] = true;
        }

        return tensor(mask, [Batch, Heads, Tokens]);
    }

    /// <summary>Heads and kept tokens in one line.</summary>
    public override string ToString() => FormattableString.Invariant($"CacheSelection of {Batch} x {Heads} heads, {_kept.Min(k => k.Length)} to {_kept.Max(k => k.Length)} of {Tokens} tokens ({Share:0.##%})");

    /// <summary>One list a row, without checks; the lists are taken over.</summary>
    internal static CacheSelection Trusted(int heads, int tokens, int[][] kept) => new(heads, tokens, kept);

    /// <summary>The rows of a support whose columns are the tokens.</summary>
    internal static CacheSelection Of(Support support, int heads) => new(heads, support.Columns, [.. Enumerable.Range(0, support.Rows).Select(h => support.Row(h).ToArray())]);

    private static int[][] Checked(int heads, int tokens, IReadOnlyList<IReadOnlyList<int>> kept)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(heads);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        ArgumentNullException.ThrowIfNull(kept);
        if (kept.Count == 0 || kept.Count % heads != 0) throw new ArgumentException($"There are lists for {kept.Count} heads; a positive multiple of {heads} is needed.", nameof(kept));
        int[][] copies = new int[kept.Count][];
        for (int h = 0; h < copies.Length; h++)
        {
            ArgumentNullException.ThrowIfNull(kept[h], nameof(kept));
            copies[h] = [.. kept[h]];
            if (copies[h].Length == 0) throw new ArgumentException($"Head {h} keeps no token; a head needs at least one.", nameof(kept));
            for (int i = 0; i < copies[h].Length; i++)
            {
                int place = copies[h][i];
                if (place < 0 || place >= tokens) throw new ArgumentException($"Head {h} keeps token {place}; there are tokens 0 to {tokens - 1}.", nameof(kept));
                if (i > 0 && place <= copies[h][i - 1]) throw new ArgumentException($"Head {h} keeps token {place} behind {copies[h][i - 1]}; places ascend strictly.", nameof(kept));
            }
        }

        return copies;
    }
}
