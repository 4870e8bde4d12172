using System.Text;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>A piece of a text that no token crosses.</summary>
/// <param name="Text">What stands in it.</param>
/// <param name="First">Whether the text begins with it.</param>
internal readonly record struct Piece(string Text, bool First);

/// <summary>
/// Pre-tokenizers of tokenizer.json. Microsoft.ML.Tokenizers 2.0.1 has one regular expression or a list of them, whose matches are the
/// pieces; it cannot change the text of a piece (ByteLevel, Metaspace), keep or drop what lies between, or see characters beyond the basic plane.
/// </summary>
internal static class PreTokenizers
{
    /// <summary>Reads a pre-tokenizer.</summary>
    /// <exception cref="FormatException">It is not known.</exception>
    public static CutStep Read(Part part)
    {
        switch (part.Type)
        {
            case "Sequence":
                CutStep[] steps = [.. part.Parts("pretokenizers").Select(Read)];
                return (pieces, cancel) => steps.Aggregate(pieces, (p, step) => step(p, cancel));
            case "ByteLevel":
                return ByteLevel(part.Flag("add_prefix_space", true), part.Flag("use_regex", true));
            case "Split":
                PiecePattern pattern = PiecePattern.Read(part);
                bool invert = part.Flag("invert", false);
                string behavior = Splitting.Known(part, part.Text("behavior"));
                return Each((text, cancel) => Splitting.Apply(invert ? Inverted(pattern.Spans(text, cancel)) : pattern.Spans(text, cancel), behavior));
            case "Digits":
                return Characters(Rune.IsNumber, part.Flag("individual_digits", false) ? Splitting.Isolated : Splitting.Contiguous);
            case "Punctuation":
                return Characters(UnicodeClasses.IsPunctuation, Splitting.Known(part, part.Text("behavior", Splitting.Isolated)));
            case "WhitespaceSplit":
                return Characters(Rune.IsWhiteSpace, Splitting.Removed);
            case "Whitespace":
                return Each(Words);
            case "BertPreTokenizer":
                CutStep blanks = Characters(Rune.IsWhiteSpace, Splitting.Removed), signs = Characters(UnicodeClasses.IsPunctuation, Splitting.Isolated);
                return (pieces, cancel) => signs(blanks(pieces, cancel), cancel);
            case "CharDelimiterSplit":
                Rune delimiter = Character(part, "delimiter");
                return Characters(c => c == delimiter, Splitting.Removed);
            case "Metaspace":
                return Metaspace(part);
            case "FixedLength":
                int length = part.Number("length", 5);
                if (length < 1) throw part.Wrong("'length' is not at least 1");
                return Each((text, cancel) => Chunks(text, length, cancel));
            default:
                throw part.Unknown();
        }
    }

    /// <summary>One character of a part.</summary>
    public static Rune Character(Part part, string name)
    {
        string text = part.Text(name);
        return text.Length > 0 && Rune.GetRuneAt(text, 0) is Rune c && c.Utf16SequenceLength == text.Length ? c : throw part.Wrong($"'{name}' is not one character");
    }

    /// <summary>How Metaspace treats the beginning of a text: "always", "first" or "never".</summary>
    public static string Scheme(Part part)
    {
        string scheme = part.Text("prepend_scheme", "always");
        if (scheme is not ("always" or "first" or "never")) throw part.Wrong($"its prepend_scheme '{scheme}' is not known");
        if (part.FlagOrNull("add_prefix_space") != false) return scheme;
        if (scheme != "never" && part.TextOrNull("prepend_scheme") is not null) throw part.Wrong($"add_prefix_space is false, but prepend_scheme is '{scheme}'");
        return "never";
    }

    private static CutStep Metaspace(Part part)
    {
        Rune mark = Character(part, "replacement");
        string text = mark.ToString(), scheme = Scheme(part);
        bool split = part.Flag("split", true);
        CutStep cut = Characters(c => c == mark, Splitting.MergedWithNext);
        return (pieces, cancel) =>
        {
            List<Piece> marked = [.. pieces.Select(p =>
            {
                string replaced = p.Text.Replace(" ", text, StringComparison.Ordinal);
                bool prepend = scheme == "always" || (scheme == "first" && p.First);
                return p with { Text = prepend && !replaced.StartsWith(text, StringComparison.Ordinal) ? text + replaced : replaced };
            })];
            return split ? cut(marked, cancel) : marked;
        };
    }

    private static CutStep ByteLevel(bool prefix, bool useRegex)
    {
        CutStep split = Each(PiecePattern.Gpt2.Spans);
        return (pieces, cancel) =>
        {
            if (prefix) pieces = [.. pieces.Select(p => p.Text.StartsWith(' ') ? p : p with { Text = " " + p.Text })];
            if (useRegex) pieces = split(pieces, cancel);
            return [.. pieces.Select(p => p with { Text = ByteAlphabet.Spell(p.Text) })];
        };
    }

    private static CutStep Characters(Func<Rune, bool> isMatch, string behavior) =>
        Each((text, cancel) => Splitting.Apply(PiecePattern.Covered(text.Length, Matches(text, isMatch, cancel), cancel), behavior));

    private static IEnumerable<(int Start, int End)> Matches(string text, Func<Rune, bool> isMatch, CancellationToken cancel)
    {
        int at = 0;
        foreach (Rune c in text.EnumerateRunes())
        {
            cancel.ThrowIfCancellationRequested();
            int next = at + c.Utf16SequenceLength;
            if (isMatch(c)) yield return (at, next);
            at = next;
        }
    }

    /// <summary>Runs of word characters and runs of signs; white space falls away.</summary>
    private static List<Stretch> Words(string text, CancellationToken cancel)
    {
        var words = new List<Stretch>();
        int at = 0, start = 0, kind = 0;
        foreach (Rune c in text.EnumerateRunes())
        {
            cancel.ThrowIfCancellationRequested();
            int now = Rune.IsWhiteSpace(c) ? 0 : UnicodeClasses.IsWord(c) ? 1 : 2;
            if (now != kind)
            {
                if (kind != 0) words.Add(new(start, at, true));
                (start, kind) = (at, now);
            }

            at += c.Utf16SequenceLength;
        }

        if (kind != 0) words.Add(new(start, at, true));
        return words;
    }

    private static List<Stretch> Chunks(string text, int length, CancellationToken cancel)
    {
        var chunks = new List<Stretch>();
        int at = 0, start = 0, count = 0;
        foreach (Rune c in text.EnumerateRunes())
        {
            cancel.ThrowIfCancellationRequested();
            at += c.Utf16SequenceLength;
            if (++count % length != 0) continue;
            chunks.Add(new(start, at, false));
            start = at;
        }

        if (start < at) chunks.Add(new(start, at, false));
        return chunks;
    }

    private static List<Stretch> Inverted(List<Stretch> spans) => spans.ConvertAll(s => s with { IsMatch = !s.IsMatch });

    private static CutStep Each(Func<string, CancellationToken, List<Stretch>> cut) => (pieces, cancel) =>
    {
        var result = new List<Piece>(pieces.Count);
        foreach (Piece piece in pieces)
        {
            foreach (Stretch s in cut(piece.Text, cancel))
            {
                cancel.ThrowIfCancellationRequested();
                if (s.Start < s.End) result.Add(new(s.Start == 0 && s.End == piece.Text.Length ? piece.Text : piece.Text[s.Start..s.End], piece.First && s.Start == 0));
            }
        }

        return result;
    };
}
