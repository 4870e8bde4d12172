using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>A text as one long row of token ids, read in windows.</summary>
public sealed class TokenText
{
    private readonly int[] _ids;

    /// <summary>A text of ids.</summary>
    /// <param name="ids">Token ids, at least two.</param>
    /// <exception cref="ArgumentException">Fewer than two: nothing could be predicted.</exception>
    public TokenText(IReadOnlyList<int> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        if (ids.Count < 2) throw new ArgumentException($"The text has {ids.Count} tokens; a prediction needs at least two.", nameof(ids));
        _ids = [.. ids];
    }

    /// <summary>Texts one after another, each followed by the token that ends a text.</summary>
    /// <param name="texts">Texts.</param>
    /// <param name="tokenizer">Makes the ids; with a token that ends a text.</param>
    /// <param name="progress">Texts done, of all where their number is known.</param>
    /// <param name="cancel">Checked all the time.</param>
    /// <param name="most">Tokens after which the rest is left out, at least 2; all where null, the default.</param>
    /// <exception cref="ArgumentException">The tokenizer has no token that ends a text, or the texts are empty.</exception>
    public static TokenText Of(
        IEnumerable<string> texts, Tokenizers.TextTokenizer tokenizer, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default, int? most = null)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentNullException.ThrowIfNull(tokenizer);
        if (most is < 2) throw new ArgumentOutOfRangeException(nameof(most), most, "most must be at least 2: a prediction needs two tokens.");
        int end = tokenizer.EndOfText ?? throw new ArgumentException("The tokenizer has no special token that ends a text.", nameof(tokenizer));
        int total = texts.TryGetNonEnumeratedCount(out int known) ? known : 0, done = 0;
        var ids = new List<int>();
        foreach (string text in texts)
        {
            cancel.ThrowIfCancellationRequested();
            ids.AddRange(tokenizer.Encode(text, cancel: cancel));
            ids.Add(end);
            if (++done % 1000 == 0) progress?.Report(new(done, total));
            if (ids.Count >= most) break;
        }

        return new TokenText(most < ids.Count ? ids[..most.Value] : ids);
    }

    /// <summary>Tokens.</summary>
    public int Count => _ids.Length;

    /// <summary>The ids.</summary>
    public ReadOnlySpan<int> Ids => _ids;

    /// <summary>Windows that begin at given places: their tokens, and for each the token after it.</summary>
    /// <param name="starts">First token of each window; start + length is inside the text.</param>
    /// <param name="length">Tokens of a window.</param>
    /// <returns>Both [windows, length], int64.</returns>
    /// <exception cref="ArgumentException">A window ends outside the text.</exception>
    public (Tensor Ids, Tensor Next) Windows(ReadOnlySpan<int> starts, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        long[] ids = new long[starts.Length * length], next = new long[starts.Length * length];
        for (int w = 0; w < starts.Length; w++)
        {
            if (starts[w] < 0 || starts[w] + length >= _ids.Length)
                throw new ArgumentException($"A window of {length} tokens from {starts[w]} and the token after it do not lie in a text of {_ids.Length}.", nameof(starts));
            for (int i = 0; i < length; i++)
            {
                ids[(w * length) + i] = _ids[starts[w] + i];
                next[(w * length) + i] = _ids[starts[w] + i + 1];
            }
        }

        return (tensor(ids, [starts.Length, length]), tensor(next, [starts.Length, length]));
    }

    /// <summary>
    /// Starts of the windows of one epoch: a random shift, then window after window, in random order. Epoch e of a seed is always the same.
    /// </summary>
    /// <param name="length">Tokens of a window.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="epoch">From 0.</param>
    /// <exception cref="ArgumentException">The text is shorter than a window.</exception>
    public int[] EpochStarts(int length, long seed, int epoch)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        int most = Count - 1 - length;
        if (most < 0) throw new ArgumentException($"A window of {length} tokens does not fit in a text of {Count}.", nameof(length));
        var random = new SeededRandom(seed, 400 + epoch);
        int shift = random.NextInt(Math.Min(length, most + 1));
        int[] starts = [.. Enumerable.Range(0, ((most - shift) / length) + 1).Select(w => shift + (w * length))];
        random.Shuffle(starts.AsSpan());
        return starts;
    }
}
