using System.Globalization;
using System.Text;

namespace Sparseland.Models.Tokenizers;

/// <summary>
/// Learns a WordPiece vocabulary for an uncased encoder: words in lower case without accents, signs alone, and pieces inside a word with "##" before
/// them. The vocabulary grows by the most frequent pair of neighbours, as byte-pair vocabularies do and as Hugging Face's trainer of WordPiece does; of
/// equally frequent pairs the one of the lowest ids is taken, so the same text gives the same vocabulary.
/// </summary>
public static class WordPieceTrainer
{
    private const string Inside = "##";
    private static readonly string[] s_special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

    /// <summary>Learns a vocabulary.</summary>
    /// <param name="texts">Texts.</param>
    /// <param name="vocabulary">Tokens in all: five special ones, the signs, the pieces. Default 4096.</param>
    /// <param name="leastCount">A sign or pair that occurs less often is no token. Default 2.</param>
    /// <param name="progress">Told in tokens. Default none.</param>
    /// <param name="cancel">Checked between texts and between pieces. Never by default.</param>
    /// <returns>Tokens by id, as a vocab.txt has them; perhaps fewer than asked for.</returns>
    /// <exception cref="ArgumentException">There is no text, or its signs alone are more than the vocabulary.</exception>
    public static IReadOnlyList<string> Train(
        IEnumerable<string> texts, int vocabulary = 4096, int leastCount = 2, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentOutOfRangeException.ThrowIfLessThan(leastCount, 1);
        Dictionary<string, int> words = Count(texts, cancel);
        if (words.Count == 0) throw new ArgumentException("The texts are empty; a vocabulary is learned from text.", nameof(texts));
        var signs = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach ((string word, int count) in words)
        {
            foreach (string sign in Spell(word)) signs[sign] = signs.GetValueOrDefault(sign) + count;
        }

        List<string> tokens = [.. s_special, .. signs.Where(s => s.Value >= leastCount).Select(s => s.Key).Order(StringComparer.Ordinal)];
        if (tokens.Count > vocabulary) throw new ArgumentOutOfRangeException(nameof(vocabulary), vocabulary, $"The five special tokens and the signs of the texts are {tokens.Count} tokens already; the vocabulary must be larger, or leastCount.");
        Dictionary<string, int> ids = tokens.Select((token, id) => (token, id)).ToDictionary(t => t.token, t => t.id, StringComparer.Ordinal);

        // Words with a sign that is no token become [UNK] in use, and teach nothing.
        var known = words.Where(w => Spell(w.Key).All(ids.ContainsKey)).ToDictionary(StringComparer.Ordinal);
        var pairs = new PairCounts(known, word => [.. Spell(word).Select(sign => ids[sign])]);
        while (tokens.Count < vocabulary && pairs.TryBest(leastCount, out int left, out int right))
        {
            cancel.ThrowIfCancellationRequested();
            string token = tokens[left] + tokens[right][Inside.Length..];
            if (!ids.TryGetValue(token, out int id))
            {
                ids.Add(token, id = tokens.Count);
                tokens.Add(token);
            }

            pairs.Merge(left, right, id);
            if (tokens.Count % 64 == 0) progress?.Report(new(tokens.Count, vocabulary, $"'{token}'"));
        }

        return tokens;
    }

    private static Dictionary<string, int> Count(IEnumerable<string> texts, CancellationToken cancel)
    {
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        var word = new StringBuilder();
        void End()
        {
            if (word.Length > 0) counts[word.ToString()] = counts.GetValueOrDefault(word.ToString()) + 1;
            word.Clear();
        }

        foreach (string text in texts)
        {
            cancel.ThrowIfCancellationRequested();
            ArgumentNullException.ThrowIfNull(text, nameof(texts));
            string form = Parts.Normalizers.Formed(text.ToLowerInvariant(), NormalizationForm.FormD);
            for (int i = 0; i < form.Length; i++)
            {
                char c = form[i];
                if (char.IsSurrogate(c) && !(i + 1 < form.Length && char.IsSurrogatePair(c, form[i + 1])) && !(i > 0 && char.IsSurrogatePair(form[i - 1], c)))
                {
                    // Half of a pair is no text, and no file of a vocabulary could keep it.
                    End();
                    continue;
                }

                UnicodeCategory category = char.GetUnicodeCategory(c);
                if (category == UnicodeCategory.NonSpacingMark) continue;
                bool alone = char.IsPunctuation(c) || (c < 128 && char.IsSymbol(c));
                if (alone || char.IsWhiteSpace(c) || char.IsControl(c)) End();
                if (!alone && (char.IsWhiteSpace(c) || char.IsControl(c))) continue;
                word.Append(c);
                if (alone) End();
            }

            End();
        }

        return counts;
    }

    private static IEnumerable<string> Spell(string word)
    {
        string before = "";
        for (int i = 0; i < word.Length; i++)
        {
            int length = char.IsHighSurrogate(word[i]) && i + 1 < word.Length ? 2 : 1;
            yield return before + word.Substring(i, length);
            i += length - 1;
            before = Inside;
        }
    }
}
