using System.Globalization;
using System.Text;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>
/// Normalizers of tokenizer.json. Microsoft.ML.Tokenizers 2.0.1 has a lower-casing one and, inside its BERT and SentencePiece tokenizers,
/// two that cannot be set apart from them; it knows none of the others and no sequence of them.
/// </summary>
/// <remarks>
/// Classes and forms are those of .NET's Unicode version. The Hugging Face library has older tables (Unicode 8 and 9): some signs and marks
/// that came later are treated there as if they were letters of no class.
/// </remarks>
internal static class Normalizers
{
    private static readonly Lazy<bool> s_normalizes = new(() => "e\u0301".Normalize(NormalizationForm.FormC).Length == 1);

    /// <summary>Reads a normalizer.</summary>
    /// <exception cref="FormatException">It is not known.</exception>
    public static Func<string, string> Read(Part part) => part.Type switch
    {
        "Sequence" => Sequence(part),
        "BertNormalizer" => Bert(part),
        "NFC" => text => Form(text, NormalizationForm.FormC),
        "NFD" => text => Form(text, NormalizationForm.FormD),
        "NFKC" => text => Form(text, NormalizationForm.FormKC),
        "NFKD" => text => Form(text, NormalizationForm.FormKD),
        "Lowercase" => Lower,
        "StripAccents" => text => Kept(text, c => !UnicodeClasses.IsMark(c)),
        "Strip" => Strip(part.Flag("strip_left", true), part.Flag("strip_right", true)),
        "Replace" => Replace(PiecePattern.Read(part), part.Text("content")),
        "Prepend" => Prepend(part.Text("prepend")),
        "Nmt" => Nmt,
        "ByteLevel" => ByteAlphabet.Spell,
        "Precompiled" => new CharacterMap(part).Apply,
        _ => throw part.Unknown(),
    };

    /// <summary>Canonical and compatibility forms.</summary>
    /// <exception cref="PlatformNotSupportedException">The program runs without ICU: .NET then would leave the text as it is.</exception>
    public static string Form(string text, NormalizationForm form)
    {
        if (Ascii.IsValid(text)) return text;
        if (!s_normalizes.Value) throw new PlatformNotSupportedException($"The tokenizer needs the Unicode form {form}; .NET has it only with ICU (InvariantGlobalization off).");
        try
        {
            return text.Normalize(form);
        }
        catch (ArgumentException)
        {
            // .NET refuses a text with a noncharacter such as U+FFFE; the stretches around it are normalized.
            return string.Concat(Stretches(text).Select(s => s.Length == 1 && char.GetUnicodeCategory(s[0]) == UnicodeCategory.OtherNotAssigned ? s : s.Normalize(form)));
        }
    }

    /// <summary>Lower case by code point, without the rules of context and culture.</summary>
    public static string Lower(string text)
    {
        if (text.Contains('\u0130', StringComparison.Ordinal)) text = text.Replace("\u0130", "i\u0307", StringComparison.Ordinal);
        return text.ToLowerInvariant();
    }

    private static Func<string, string> Sequence(Part part)
    {
        Func<string, string>[] steps = [.. part.Parts("normalizers").Select(Read)];
        return text => steps.Aggregate(text, (t, step) => step(t));
    }

    private static Func<string, string> Bert(Part part)
    {
        bool clean = part.Flag("clean_text", true), ideographs = part.Flag("handle_chinese_chars", true), lower = part.Flag("lowercase", true);
        bool strip = part.FlagOrNull("strip_accents") ?? lower;
        return text =>
        {
            if (clean) text = Clean(text);
            if (ideographs) text = Spaced(text);
            if (strip) text = Kept(Form(text, NormalizationForm.FormD), c => Rune.GetUnicodeCategory(c) != UnicodeCategory.NonSpacingMark);
            return lower ? Lower(text) : text;
        };
    }

    /// <summary>Without control characters; every white space is a blank.</summary>
    private static string Clean(string text) => Mapped(text, c => c.Value switch
    {
        '\t' or '\n' or '\r' => new Rune(' '),
        0 or 0xFFFD => null,
        _ => IsOther(c) ? null : Rune.IsWhiteSpace(c) ? new Rune(' ') : c,
    });

    private static bool IsOther(Rune c) => Rune.GetUnicodeCategory(c) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.PrivateUse;

    /// <summary>Blanks around ideographs, so that each is a word.</summary>
    private static string Spaced(string text)
    {
        if (Ascii.IsValid(text)) return text;
        var spaced = new StringBuilder(text.Length + 16);
        foreach (Rune c in text.EnumerateRunes())
        {
            if (UnicodeClasses.IsIdeograph(c)) spaced.Append(' ').Append(c).Append(' ');
            else spaced.Append(c);
        }

        return spaced.ToString();
    }

    private static string Nmt(string text) => Mapped(text, c => c.Value switch
    {
        (>= 1 and <= 8) or 0x0B or (>= 0x0E and <= 0x1F) or 0x7F or 0x8F or 0x9F => null,
        0x09 or 0x0A or 0x0C or 0x0D or 0x1680 or (>= 0x200B and <= 0x200F) or 0x2028 or 0x2029 or 0x2581 or 0xFEFF or 0xFFFD => new Rune(' '),
        _ => c,
    });

    private static Func<string, string> Strip(bool left, bool right) => text => (left, right) switch
    {
        (true, true) => text.Trim(),
        (true, false) => text.TrimStart(),
        (false, true) => text.TrimEnd(),
        _ => text,
    };

    private static Func<string, string> Replace(PiecePattern pattern, string content) => text => pattern.Replace(text, content);

    private static Func<string, string> Prepend(string prefix) => text => text.Length == 0 ? text : prefix + text;

    private static string Kept(string text, Func<Rune, bool> keep) => Mapped(text, c => keep(c) ? c : null);

    private static string Mapped(string text, Func<Rune, Rune?> map)
    {
        var mapped = new StringBuilder(text.Length);
        foreach (Rune c in text.EnumerateRunes())
        {
            if (map(c) is { } other) mapped.Append(other);
        }

        return mapped.ToString();
    }

    private static IEnumerable<string> Stretches(string text)
    {
        int start = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (char.GetUnicodeCategory(text[i]) != UnicodeCategory.OtherNotAssigned) continue;
            if (start < i) yield return text[start..i];
            yield return text[i..(i + 1)];
            start = i + 1;
        }

        if (start < text.Length) yield return text[start..];
    }
}
