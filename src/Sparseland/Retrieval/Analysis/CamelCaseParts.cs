using System.Globalization;
using System.Text;

namespace Sparseland.Retrieval.Analysis;

/// <summary>
/// Parts of a word in camel case: acronyms (XML of XMLReader), capitalised parts, runs of small letters and runs of digits; as
/// <c>[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+</c>, for any script. Letters without case count as small; a mark goes with its letter.
/// </summary>
internal static class CamelCaseParts
{
    private enum Kind
    {
        Small,
        Capital,
        Digit,
        Mark,
    }

    /// <summary>Length of the first part of a word that is not empty.</summary>
    internal static int Next(ReadOnlySpan<char> word)
    {
        Kind first = KindAt(word, 0, out int step);
        int end = Run(word, step, first, out int last, 0);
        if (first != Kind.Capital || end == word.Length || KindAt(word, end, out _) != Kind.Small) return end;

        // The last capital of a run belongs to the small letters after it; a single one is the part's own.
        return last > 0 ? last : Run(word, end, Kind.Small, out _, end);
    }

    /// <summary>End of a run of one kind, and where its last sign begins.</summary>
    private static int Run(ReadOnlySpan<char> word, int from, Kind kind, out int last, int start)
    {
        last = start;
        int at = from;
        while (at < word.Length)
        {
            Kind here = KindAt(word, at, out int step);
            if (here != kind && here != Kind.Mark) break;
            if (here == kind) last = at;
            at += step;
        }

        return at;
    }

    private static Kind KindAt(ReadOnlySpan<char> word, int at, out int step)
    {
        char c = word[at];
        step = 1;
        if (c < 0x80) return char.IsAsciiDigit(c) ? Kind.Digit : char.IsAsciiLetterUpper(c) ? Kind.Capital : Kind.Small;
        Rune.DecodeFromUtf16(word[at..], out Rune rune, out step);
        return Rune.GetUnicodeCategory(rune) switch
        {
            UnicodeCategory.UppercaseLetter or UnicodeCategory.TitlecaseLetter => Kind.Capital,
            UnicodeCategory.DecimalDigitNumber => Kind.Digit,
            _ => WordScanner.IsMark(rune) ? Kind.Mark : Kind.Small,
        };
    }
}
