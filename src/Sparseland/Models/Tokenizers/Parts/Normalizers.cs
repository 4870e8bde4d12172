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
    /// <exception cref="PlatformNotSupportedException">It needs Unicode normal forms, and the program runs without ICU.</exception>
    public static TextStep Read(Part part) => part.Type switch
    {
        "Sequence" => Sequence(part),
        "BertNormalizer" => Bert(part),
        "NFC" => Form(part, NormalizationForm.FormC),
        "NFD" => Form(part, NormalizationForm.FormD),
        "NFKC" => Form(part, NormalizationForm.FormKC),
        "NFKD" => Form(part, NormalizationForm.FormKD),
        "Lowercase" => Lower,
        "StripAccents" => (text, cancel) => Kept(text, c => !UnicodeClasses.IsMark(c), cancel),
        "Strip" => Strip(part.Flag("strip_left", true), part.Flag("strip_right", true)),
        "Replace" => Replace(PiecePattern.Read(part), part.Text("content")),
        "Prepend" => Prepend(part.Text("prepend")),
        "Nmt" => Nmt,
        "ByteLevel" => (text, _) => ByteAlphabet.Spell(text),
        "Precompiled" => new CharacterMap(part).Apply,
        _ => throw part.Unknown(),
    };

    /// <summary>Canonical and compatibility forms.</summary>
    /// <exception cref="PlatformNotSupportedException">The program runs without ICU: .NET then would leave the text as it is.</exception>
    private static TextStep Form(Part part, NormalizationForm form)
    {
        if (!s_normalizes.Value)
        {
            throw new PlatformNotSupportedException(
                $"The tokenizer's {part.Name} '{part.Type}' needs the Unicode form {form}. .NET has it from the library ICU, which this program runs without (invariant globalization): "
                + "install it (Debian and Ubuntu: libicu-dev or libicuNN; Alpine: icu-libs; Fedora: libicu), and do not set DOTNET_SYSTEM_GLOBALIZATION_INVARIANT or InvariantGlobalization.");
        }

        return (text, cancel) => Ascii.IsValid(text) ? text : Stretched.Apply(text, stretch => Formed(stretch, form), cancel);
    }

    /// <summary>A form of a text; what .NET refuses in it stays as it is.</summary>
    internal static string Formed(string text, NormalizationForm form)
    {
        try
        {
            return text.Normalize(form);
        }
        catch (ArgumentException)
        {
            // .NET refuses a text with a noncharacter such as U+FFFE; the stretches around it are normalized.
            return string.Concat(Stretches(text).Select(s => s.Length == 1 && IsAlone(s[0]) ? s : s.Normalize(form)));
        }
    }

    /// <summary>Lower case by code point, without the rules of context and culture.</summary>
    private static string Lower(string text, CancellationToken cancel)
    {
        if (text.Contains('\u0130', StringComparison.Ordinal)) text = text.Replace("\u0130", "i\u0307", StringComparison.Ordinal);
        return Stretched.Apply(text, stretch => stretch.ToLowerInvariant(), cancel);
    }

    private static TextStep Sequence(Part part)
    {
        TextStep[] steps = [.. part.Parts("normalizers").Select(Read)];
        return (text, cancel) => steps.Aggregate(text, (t, step) => step(t, cancel));
    }

    private static TextStep Bert(Part part)
    {
        bool clean = part.Flag("clean_text", true), ideographs = part.Flag("handle_chinese_chars", true), lower = part.Flag("lowercase", true);
        bool strip = part.FlagOrNull("strip_accents") ?? lower;
        TextStep decomposed = strip ? Form(part, NormalizationForm.FormD) : (text, _) => text;
        return (text, cancel) =>
        {
            if (clean) text = Clean(text, cancel);
            if (ideographs) text = Spaced(text, cancel);
            if (strip) text = Kept(decomposed(text, cancel), c => Rune.GetUnicodeCategory(c) != UnicodeCategory.NonSpacingMark, cancel);
            return lower ? Lower(text, cancel) : text;
        };
    }

    /// <summary>Without control characters; every white space is a blank.</summary>
    private static string Clean(string text, CancellationToken cancel) => Mapped(text, cancel, c => c.Value switch
    {
        '\t' or '\n' or '\r' => new Rune(' '),
        0 or 0xFFFD => null,
        _ => IsOther(c) ? null : Rune.IsWhiteSpace(c) ? new Rune(' ') : c,
    });

    private static bool IsOther(Rune c) => Rune.GetUnicodeCategory(c) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.PrivateUse;

    /// <summary>Blanks around ideographs, so that each is a word.</summary>
    private static string Spaced(string text, CancellationToken cancel)
    {
        if (Ascii.IsValid(text)) return text;
        var spaced = new StringBuilder(text.Length + 16);
        foreach (Rune c in text.EnumerateRunes())
        {
            cancel.ThrowIfCancellationRequested();
            if (UnicodeClasses.IsIdeograph(c)) spaced.Append(' ').Append(c).Append(' ');
            else spaced.Append(c);
        }

        return spaced.ToString();
    }

    private static string Nmt(string text, CancellationToken cancel) => Mapped(text, cancel, c => c.Value switch
    {
        (>= 1 and <= 8) or 0x0B or (>= 0x0E and <= 0x1F) or 0x7F or 0x8F or 0x9F => null,
        0x09 or 0x0A or 0x0C or 0x0D or 0x1680 or (>= 0x200B and <= 0x200F) or 0x2028 or 0x2029 or 0x2581 or 0xFEFF or 0xFFFD => new Rune(' '),
        _ => c,
    });

    private static TextStep Strip(bool left, bool right) => (text, _) => (left, right) switch
    {
        (true, true) => text.Trim(),
        (true, false) => text.TrimStart(),
        (false, true) => text.TrimEnd(),
        _ => text,
    };

    private static TextStep Replace(PiecePattern pattern, string content) => (text, cancel) => pattern.Replace(text, content, cancel);

    private static TextStep Prepend(string prefix) => (text, _) => text.Length == 0 ? text : prefix + text;

    private static string Kept(string text, Func<Rune, bool> keep, CancellationToken cancel) => Mapped(text, cancel, c => keep(c) ? c : null);

    private static string Mapped(string text, CancellationToken cancel, Func<Rune, Rune?> map)
    {
        var mapped = new StringBuilder(text.Length);
        foreach (Rune c in text.EnumerateRunes())
        {
            cancel.ThrowIfCancellationRequested();
            if (map(c) is { } other) mapped.Append(other);
        }

        return mapped.ToString();
    }

    private static IEnumerable<string> Stretches(string text)
    {
        int start = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1])) i++;
            else if (IsAlone(text[i]))
            {
                if (start < i) yield return text[start..i];
                yield return text[i..(i + 1)];
                start = i + 1;
            }
        }

        if (start < text.Length) yield return text[start..];
    }

    /// <summary>Whether a unit that is no part of a pair has no form: half of a pair, or one that is not assigned.</summary>
    private static bool IsAlone(char c) => char.IsSurrogate(c) || char.GetUnicodeCategory(c) == UnicodeCategory.OtherNotAssigned;
}
