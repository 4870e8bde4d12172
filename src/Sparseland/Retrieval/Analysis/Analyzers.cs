namespace Sparseland.Retrieval.Analysis;

/// <summary>The analyzers that the chapter uses.</summary>
public static class Analyzers
{
    /// <summary>Lucene's 33 English stop words.</summary>
    public static IReadOnlyList<string> EnglishStopWords { get; } =
    [
        "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of", "on", "or", "such",
        "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
    ];

    /// <summary>Runs of letters and digits in lower case, nothing else.</summary>
    public static Analyzer Words() => s_words;

    /// <summary>As <see cref="Words"/>, and the parts of words in camel case.</summary>
    public static Analyzer CamelCase() => s_camelCase;

    /// <summary>English text with names of code in it: the chapter's analyzer.</summary>
    /// <param name="stemming">How words are stemmed. Default <see cref="Stemming.Porter"/>.</param>
    /// <param name="camelCase">Whether names are also split into their parts. Default true.</param>
    /// <param name="stopWords">Words to leave out; an empty list keeps all. Default <see cref="EnglishStopWords"/>.</param>
    /// <exception cref="ArgumentException">A stop word is not in lower case or empty.</exception>
    public static Analyzer English(Stemming stemming = Stemming.Porter, bool camelCase = true, IReadOnlyCollection<string>? stopWords = null) =>
        new(new AnalyzerOptions { CamelCase = camelCase, Possessive = true, StopWords = stopWords ?? EnglishStopWords, Stemming = stemming });

    private static readonly Analyzer s_words = new(new AnalyzerOptions());
    private static readonly Analyzer s_camelCase = new(new AnalyzerOptions { CamelCase = true });
}
