using System.Text.Json;
using System.Text.RegularExpressions;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>A stretch of a text, from <paramref name="Start"/> to before <paramref name="End"/>.</summary>
internal readonly record struct Stretch(int Start, int End, bool IsMatch);

/// <summary>What a Split or Replace looks for: a string, or a regular expression in the syntax of Oniguruma.</summary>
internal sealed class PiecePattern
{
    // Far beyond what any sound pattern needs for one match; a pattern that backtracks without end is stopped with its name.
    private static readonly TimeSpan s_longestMatch = TimeSpan.FromSeconds(10);
    private readonly Regex? _regex;
    private readonly string _literal;

    private PiecePattern(Regex? regex, string literal) => (_regex, _literal) = (regex, literal);

    /// <summary>The pattern of GPT-2.</summary>
    public static PiecePattern Gpt2 { get; } = OfRegex(BpeModel.Gpt2Pattern);

    /// <summary>Reads { "String": ... } or { "Regex": ... }.</summary>
    /// <exception cref="FormatException">Neither, or an expression that .NET does not know.</exception>
    public static PiecePattern Read(Part part)
    {
        JsonElement pattern = part.Get("pattern");
        if (pattern.ValueKind == JsonValueKind.Object && pattern.TryGetProperty("String", out JsonElement literal)) return new(null, literal.GetString() ?? "");
        if (pattern.ValueKind == JsonValueKind.Object && pattern.TryGetProperty("Regex", out JsonElement regex)) return OfRegex(regex.GetString() ?? "");
        throw part.Wrong("its pattern is neither String nor Regex");
    }

    /// <summary>Compiles an expression. In Oniguruma ^ and $ are the ends of lines.</summary>
    public static PiecePattern OfRegex(string pattern)
    {
        try
        {
            return new(new Regex(pattern, RegexOptions.Compiled | RegexOptions.CultureInvariant | RegexOptions.Multiline, s_longestMatch), pattern);
        }
        catch (ArgumentException error)
        {
            throw new FormatException($"the pattern '{pattern}' is not a regular expression of .NET: {error.Message}", error);
        }
    }

    /// <summary>The whole text as stretches that match and stretches between them.</summary>
    /// <exception cref="RegexMatchTimeoutException">One match took longer than 10 seconds.</exception>
    public List<Stretch> Spans(string text, CancellationToken cancel = default) => Covered(text.Length, _regex is null ? Literal(text) : Matches(text, cancel), cancel);

    /// <summary>The text with every match replaced.</summary>
    public string Replace(string text, string content, CancellationToken cancel = default)
    {
        if (_regex is null) return _literal.Length == 0 ? text : text.Replace(_literal, content, StringComparison.Ordinal);
        return string.Concat(Spans(text, cancel).Select(s => s.IsMatch ? content : text[s.Start..s.End]));
    }

    /// <summary>Stretches between the matches are put in.</summary>
    public static List<Stretch> Covered(int length, IEnumerable<(int Start, int End)> matches, CancellationToken cancel)
    {
        var spans = new List<Stretch>();
        int last = 0;
        foreach ((int start, int end) in matches)
        {
            cancel.ThrowIfCancellationRequested();
            if (last < start) spans.Add(new(last, start, false));
            spans.Add(new(start, end, true));
            last = end;
        }

        if (last < length) spans.Add(new(last, length, false));
        return spans;
    }

    private IEnumerable<(int Start, int End)> Literal(string text)
    {
        if (_literal.Length == 0) yield break;
        for (int at = text.IndexOf(_literal, StringComparison.Ordinal); at >= 0; at = text.IndexOf(_literal, at + _literal.Length, StringComparison.Ordinal)) yield return (at, at + _literal.Length);
    }

    private List<(int Start, int End)> Matches(string text, CancellationToken cancel)
    {
        (string seen, int[]? starts) = UnicodeClasses.Seen(text, _literal.Contains("(?i", StringComparison.Ordinal), cancel);
        var matches = new List<(int, int)>();
        int last = -1;
        foreach (ValueMatch match in _regex!.EnumerateMatches(seen))
        {
            cancel.ThrowIfCancellationRequested();
            int end = match.Index + match.Length;
            if (match.Length == 0 && match.Index == last) continue;
            matches.Add(starts is null ? (match.Index, end) : (starts[match.Index], starts[end]));
            last = end;
        }

        return matches;
    }
}
