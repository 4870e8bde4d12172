using System.Globalization;
using System.Text;

namespace Sparseland.Retrieval.Analysis;

/// <summary>Takes the words of a text one by one.</summary>
internal interface IWordSink
{
    /// <summary>The next word, valid during the call only.</summary>
    void Word(ReadOnlySpan<char> word);
}

/// <summary>Finds words in text: maximal runs of letters and digits with the marks that belong to them.</summary>
internal static class WordScanner
{
    internal static void Scan<TSink>(ReadOnlySpan<char> text, bool possessive, ref TSink sink) where TSink : IWordSink, allows ref struct
    {
        for (int at = 0; at < text.Length;)
        {
            int end = at;
            bool alone = false;
            while (end < text.Length && (char.IsAsciiLetterOrDigit(text[end]) || (text[end] >= 0x80 && Belongs(text, end, end > at, out alone))))
            {
                if (alone && end > at) break;
                end += char.IsHighSurrogate(text[end]) ? 2 : 1;
                if (alone) break;
            }

            // The marks of a word that is one sign.
            while (alone && end > at && end < text.Length && text[end] >= 0x80 && Belongs(text, end, inside: true, out bool other) && !other && IsMark(text, end))
                end += char.IsHighSurrogate(text[end]) ? 2 : 1;
            if (end == at)
            {
                at++;
                continue;
            }

            sink.Word(text[at..end]);
            at = possessive && IsPossessive(text, end) ? end + 2 : end;
        }
    }

    /// <summary>Whether the sign at a place is part of a word, and whether it is a word of its own.</summary>
    private static bool Belongs(ReadOnlySpan<char> text, int at, bool inside, out bool alone)
    {
        alone = false;
        if (Rune.DecodeFromUtf16(text[at..], out Rune rune, out _) != System.Buffers.OperationStatus.Done) return false;
        if (Rune.IsLetterOrDigit(rune))
        {
            alone = IsAlone(rune.Value);
            return true;
        }

        return inside && IsMark(rune);
    }

    private static bool IsMark(ReadOnlySpan<char> text, int at) =>
        Rune.DecodeFromUtf16(text[at..], out Rune rune, out _) == System.Buffers.OperationStatus.Done && IsMark(rune);

    /// <summary>Combining marks, and the joiners that shape letters within a word of Persian or Hindi.</summary>
    internal static bool IsMark(Rune rune) => rune.Value is 0x200C or 0x200D
        || Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark;

    /// <summary>Ideographs and hiragana, as Lucene's standard tokenizer has them; katakana and hangul stand in words.</summary>
    private static bool IsAlone(int value) => value is (>= 0x3041 and <= 0x309F) or (>= 0x3400 and <= 0x4DBF) or (>= 0x4E00 and <= 0x9FFF)
        or (>= 0xF900 and <= 0xFAFF) or (>= 0x20000 and <= 0x3FFFF) or 0x3005 or 0x3007;

    /// <summary>Whether an apostrophe and a lone s follow.</summary>
    private static bool IsPossessive(ReadOnlySpan<char> text, int at) => at + 1 < text.Length
        && text[at] is '\'' or '\u2019' or '\uFF07' && text[at + 1] is 's' or 'S'
        && (at + 2 == text.Length || !(char.IsAsciiLetterOrDigit(text[at + 2]) || (text[at + 2] >= 0x80 && Belongs(text, at + 2, inside: true, out _))));
}
