using System.Buffers;
using System.Globalization;
using System.Text;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>Classes of characters as the Hugging Face library has them: by code point, not by UTF-16 unit.</summary>
internal static class UnicodeClasses
{
    // One unit of the basic plane for each general category: a character beyond that plane is shown to a regular expression as the
    // stand-in of its category, because .NET's classes look at single UTF-16 units and take every emoji and every rare letter for a surrogate.
    private static readonly Dictionary<UnicodeCategory, char> s_standIns = StandIns();

    public static bool IsAsciiPunctuation(Rune c) => c.Value is (>= '!' and <= '/') or (>= ':' and <= '@') or (>= '[' and <= '`') or (>= '{' and <= '~');

    public static bool IsPunctuation(Rune c) => IsAsciiPunctuation(c) || Rune.IsPunctuation(c);

    public static bool IsMark(Rune c) => Rune.GetUnicodeCategory(c) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark;

    /// <summary>The class \w of Unicode: letters, letter numbers, other alphabetic signs, marks, digits, connectors, joiners.</summary>
    public static bool IsWord(Rune c) => Rune.GetUnicodeCategory(c) switch
    {
        <= UnicodeCategory.LetterNumber => true,
        UnicodeCategory.ConnectorPunctuation => true,
        UnicodeCategory.Format => c.Value is 0x200C or 0x200D,
        UnicodeCategory.OtherSymbol => c.Value is (>= 0x24B6 and <= 0x24E9) or (>= 0x1F130 and <= 0x1F149) or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189),
        _ => false,
    };

    public static bool IsIdeograph(Rune c) => c.Value is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF) or (>= 0x20000 and <= 0x2A6DF) or (>= 0x2A700 and <= 0x2B73F)
        or (>= 0x2B740 and <= 0x2B81F) or (>= 0x2B920 and <= 0x2CEAF) or (>= 0xF900 and <= 0xFAFF) or (>= 0x2F800 and <= 0x2FA1F);

    /// <summary>The text with U+FFFD for each lone surrogate, as its UTF-8 has it.</summary>
    public static string Valid(string text)
    {
        int at = FirstLoneSurrogate(text);
        if (at < 0) return text;
        var valid = new StringBuilder(text.Length);
        foreach (Rune c in text.EnumerateRunes()) valid.Append(c);
        return valid.ToString();
    }

    /// <summary>The text as a regular expression sees it, and where each of its units stands in the text; null where both are the same.</summary>
    /// <param name="text">A text without lone surrogates.</param>
    /// <param name="folds">Whether the expression ignores case: Oniguruma then takes the long s for an s, .NET does not.</param>
    /// <param name="cancel">Looked at for each character.</param>
    public static (string Seen, int[]? Starts) Seen(string text, bool folds, CancellationToken cancel)
    {
        if (folds && text.Contains('\u017F', StringComparison.Ordinal)) text = text.Replace('\u017F', 's');
        if (text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') < 0) return (text, null);
        var seen = new char[text.Length];
        var starts = new int[text.Length + 1];
        int count = 0, at = 0;
        foreach (Rune c in text.EnumerateRunes())
        {
            cancel.ThrowIfCancellationRequested();
            starts[count] = at;
            seen[count++] = c.IsBmp ? (char)c.Value : s_standIns[Rune.GetUnicodeCategory(c)];
            at += c.Utf16SequenceLength;
        }

        starts[count] = at;
        return (new string(seen, 0, count), starts);
    }

    public static int CodePoints(ReadOnlySpan<char> text)
    {
        int count = 0;
        foreach (char c in text) count += char.IsLowSurrogate(c) ? 0 : 1;
        return count;
    }

    private static int FirstLoneSurrogate(ReadOnlySpan<char> text)
    {
        int first = text.IndexOfAnyInRange('\uD800', '\uDFFF');
        for (int i = first < 0 ? text.Length : first; i < text.Length;)
        {
            if (Rune.DecodeFromUtf16(text[i..], out _, out int used) != OperationStatus.Done) return i;
            i += used;
        }

        return -1;
    }

    private static Dictionary<UnicodeCategory, char> StandIns()
    {
        // The last character of a category is seldom one that a pattern names.
        var standIns = new Dictionary<UnicodeCategory, char>();
        for (int c = 0x0100; c < 0xFB00; c++) standIns[CharUnicodeInfo.GetUnicodeCategory((char)c)] = (char)c;
        standIns[UnicodeCategory.LineSeparator] = '\u2028';
        standIns[UnicodeCategory.ParagraphSeparator] = '\u2029';
        standIns[UnicodeCategory.Control] = '\u0081';
        return standIns;
    }
}
