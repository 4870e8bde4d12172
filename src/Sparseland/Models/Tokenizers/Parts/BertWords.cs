using System.Buffers;
using System.Text;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>
/// The steps of BERT's tokenizer as one pass where a text is plain: a word of ASCII is looked up where it stands. They change each character for itself, so what is not
/// plain goes through them alone, up to the next blank.
/// </summary>
/// <param name="words">The model.</param>
/// <param name="lower">Whether the normalizer writes lower case.</param>
/// <param name="normalize">The normalizer.</param>
/// <param name="cut">The pre-tokenizer.</param>
internal sealed class BertWords(WordPieces words, bool lower, TextStep normalize, CutStep cut)
{
    private static readonly SearchValues<char> s_letters = SearchValues.Create("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    /// <summary>What does these steps; null where a file has others.</summary>
    /// <exception cref="FormatException">A part is not known or not whole.</exception>
    public static BertWords? Of(PieceModel model, Part? normalizer, TextStep? normalize, Part? cutter, CutStep? cut) =>
        model is WordPieces words && normalizer is { Type: "BertNormalizer" } part && cutter is { Type: "BertPreTokenizer" } ? new(words, part.Flag("lowercase", true), normalize!, cut!) : null;

    /// <summary>Adds the ids of a text without added tokens.</summary>
    public void Encode(ReadOnlySpan<char> text, List<int> ids, CancellationToken cancel)
    {
        while (!text.IsEmpty)
        {
            cancel.ThrowIfCancellationRequested();
            int length = text.IndexOfAnyExcept(s_letters);
            char end = length < 0 ? ' ' : text[length];
            if (end is < ' ' and not ('\t' or '\n' or '\r') or > '~')
            {
                int blank = text[length..].IndexOf(' ');
                length = blank < 0 ? text.Length : length + blank;
                EncodeOther(text[..length].ToString(), ids, cancel);
                text = text[length..];
                continue;
            }

            if (length < 0) length = text.Length;
            if (length > 0) EncodeWord(text[..length], ids);
            if (end > ' ') words.Encode(text.Slice(length, 1), ids);
            text = text[Math.Min(length + 1, text.Length)..];
        }
    }

    private void EncodeWord(ReadOnlySpan<char> word, List<int> ids)
    {
        if (!lower)
        {
            words.Encode(word, ids);
            return;
        }

        Span<char> small = word.Length <= WordPieces.LongestKnown ? stackalloc char[WordPieces.LongestKnown] : new char[word.Length];
        small = small[..word.Length];
        Ascii.ToLower(word, small, out _);
        words.Encode(small, ids);
    }

    private void EncodeOther(string text, List<int> ids, CancellationToken cancel)
    {
        foreach (Piece piece in cut([new(normalize(text, cancel), false)], cancel))
        {
            cancel.ThrowIfCancellationRequested();
            if (piece.Text.Length > 0) words.Encode(piece.Text, ids, cancel);
        }
    }
}
