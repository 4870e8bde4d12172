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
        var state = new PairCounts(pieces, piece => [.. Encoding.UTF8.GetBytes(piece).Select(b => b + first)]);
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
}
