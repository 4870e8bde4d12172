using System.Collections.Frozen;
using System.Text;

namespace Sparseland.Retrieval.Analysis;

/// <summary>
/// Makes terms of a text. Words are maximal runs of letters and digits (a combining mark belongs to the letter before it; an ideograph and a
/// hiragana are words of their own, since such text has no spaces); then, as the options say: parts of camel case, lower case (invariant),
/// English possessive, stop words, stemming. Text is taken in its composed form (NFC), so that both ways to write an accent are one term.
/// Immutable; any number of threads may use one.
/// </summary>
public sealed class Analyzer
{
    // A byte-order mark the wrong way round.
    private const int NotACharacter = 0xFFFE;

    private readonly FrozenSet<string>.AlternateLookup<ReadOnlySpan<char>> _stopWords;

    /// <summary>An analyzer.</summary>
    /// <param name="options">What it does to each word.</param>
    /// <exception cref="ArgumentException">An option is outside its range.</exception>
    public Analyzer(AnalyzerOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Options = options with { StopWords = [.. options.StopWords.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)] };
        _stopWords = Options.StopWords.ToFrozenSet(StringComparer.Ordinal).GetAlternateLookup<ReadOnlySpan<char>>();
    }

    /// <summary>What it does to each word.</summary>
    public AnalyzerOptions Options { get; }

    /// <summary>The terms of a text, in its order.</summary>
    /// <param name="text">A text, perhaps empty.</param>
    public IReadOnlyList<Token> Analyze(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var list = new TokenList([]);
        Analyze(text, ref list);
        return list.Tokens;
    }

    /// <summary>Hands over the terms of a text, in its order, without a string for each.</summary>
    /// <param name="text">A text, perhaps empty.</param>
    /// <param name="sink">Takes the terms.</param>
    /// <typeparam name="TSink">Type of the taker; a structure is called without indirection.</typeparam>
    public void Analyze<TSink>(ReadOnlySpan<char> text, ref TSink sink) where TSink : ITokenSink
    {
        var words = new EachWord<TSink>(this, ref sink);
        Scan(text, ref words);
    }

    /// <summary>Number of terms of a text, which is a document's length to BM25.</summary>
    /// <param name="text">A text, perhaps empty.</param>
    /// <param name="count">Which terms count. Default <see cref="LengthCount.Terms"/>.</param>
    public int Length(ReadOnlySpan<char> text, LengthCount count = LengthCount.Terms)
    {
        var counter = new Counter();
        Analyze(text, ref counter);
        return count == LengthCount.Terms ? counter.Terms : counter.Positions;
    }

    /// <summary>Its steps in words.</summary>
    public override string ToString() => string.Join(", ", new[]
    {
        "words", Options.CamelCase ? "camel case" : "", "lower case", Options.Possessive ? "possessive" : "",
        Options.StopWords.Count > 0 ? $"{Options.StopWords.Count} stop words" : "", Options.Stemming == Stemming.None ? "" : Options.Stemming.ToString(),
    }.Where(s => s.Length > 0));

    /// <summary>Hands over the words of a text as they stand there.</summary>
    internal void Scan<TSink>(ReadOnlySpan<char> text, ref TSink sink) where TSink : IWordSink, allows ref struct
    {
        if (!Ascii.IsValid(text)) text = Composed(text);
        WordScanner.Scan(text, Options.Possessive, ref sink);
    }

    /// <summary>Hands over the terms of one word.</summary>
    /// <param name="word">A word as <see cref="Scan"/> gives it.</param>
    /// <param name="position">Its place.</param>
    /// <param name="sink">Takes the terms.</param>
    /// <returns>The place after it.</returns>
    internal int Terms<TSink>(ReadOnlySpan<char> word, int position, ref TSink sink) where TSink : ITokenSink
    {
        if (word.Length > Options.LongestWord) return position + 1;
        if (!Options.CamelCase)
        {
            Term(word, position, ref sink);
            return position + 1;
        }

        int parts = 0;
        for (int start = 0; start < word.Length; parts++)
        {
            int length = CamelCaseParts.Next(word[start..]);
            Term(word.Slice(start, length), position + parts, ref sink);
            start += length;
        }

        if (parts > 1) Term(word, position + parts - 1, ref sink);
        return position + parts;
    }

    private void Term<TSink>(ReadOnlySpan<char> part, int position, ref TSink sink) where TSink : ITokenSink
    {
        Span<char> term = part.Length <= 256 ? stackalloc char[256] : new char[part.Length];
        term = term[..part.ToLowerInvariant(term)];
        if (_stopWords.Contains(term)) return;
        switch (Options.Stemming)
        {
            case Stemming.Porter:
                sink.Add(term[..PorterStemmer.Stem(term)], position);
                break;
            case Stemming.Krovetz:
                sink.Add(KrovetzStemmer.Stem(term), position);
                break;
            default:
                sink.Add(term, position);
                break;
        }
    }

    /// <summary>The composed form. Halves of surrogate pairs and U+FFFE, which have none to .NET, become the replacement character, which is no letter.</summary>
    private static ReadOnlySpan<char> Composed(ReadOnlySpan<char> text)
    {
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (rune == Rune.ReplacementChar || rune.Value == NotACharacter) return Repaired(text).Normalize();
        }

        // All below the combining marks is composed already: Latin-1, which most text that is not ASCII keeps to.
        if (text.IndexOfAnyExceptInRange('\0', '\u02FF') < 0) return text;
        return text.ToString().Normalize();
    }

    private static string Repaired(ReadOnlySpan<char> text)
    {
        var repaired = new StringBuilder(text.Length);
        foreach (Rune rune in text.EnumerateRunes()) repaired.Append(rune.Value == NotACharacter ? Rune.ReplacementChar : rune);
        return repaired.ToString();
    }

    private readonly struct TokenList(List<Token> tokens) : ITokenSink
    {
        public List<Token> Tokens => tokens;

        public void Add(ReadOnlySpan<char> text, int position) => tokens.Add(new(text.ToString(), position));
    }

    private struct Counter() : ITokenSink
    {
        private int _last = -1;

        public int Terms { get; private set; }

        public int Positions { get; private set; }

        public void Add(ReadOnlySpan<char> text, int position)
        {
            Terms++;
            if (position != _last) Positions++;
            _last = position;
        }
    }

    private ref struct EachWord<TSink>(Analyzer analyzer, ref TSink sink) : IWordSink where TSink : ITokenSink
    {
        private readonly ref TSink _sink = ref sink;
        private int _position;

        public void Word(ReadOnlySpan<char> word) => _position = analyzer.Terms(word, _position, ref _sink);
    }
}
