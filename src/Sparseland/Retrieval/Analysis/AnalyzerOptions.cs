using System.Collections.Frozen;

namespace Sparseland.Retrieval.Analysis;

/// <summary>What an <see cref="Analyzer"/> does to each word.</summary>
public sealed record AnalyzerOptions
{
    /// <summary>Whether a word is also split into its parts (XMLReader: xml, reader, xmlreader). Default false.</summary>
    public bool CamelCase { get; init; }

    /// <summary>Whether the 's of a possessive goes. Default false.</summary>
    public bool Possessive { get; init; }

    /// <summary>Lower-case words that are left out; they keep their places. Default none.</summary>
    public IReadOnlyCollection<string> StopWords { get; init; } = [];

    /// <summary>How words are stemmed. Default <see cref="Stemming.None"/>.</summary>
    public Stemming Stemming { get; init; }

    /// <summary>Longest word in UTF-16 units; a longer one is left out and keeps its place. Default 255, as in Lucene.</summary>
    public int LongestWord { get; init; } = 255;

    internal void Validate()
    {
        if (StopWords is null) throw new ArgumentException($"{nameof(StopWords)} is null; no stop words are an empty list.", nameof(StopWords));
        if (StopWords.FirstOrDefault(w => string.IsNullOrEmpty(w) || w != w.ToLowerInvariant()) is string word)
            throw new ArgumentException($"The stop word '{word}' is empty or not in lower case, so it would never be met.", nameof(StopWords));
        if (StopWords.Contains(null!)) throw new ArgumentException("A stop word is null.", nameof(StopWords));
        if (!Enum.IsDefined(Stemming)) throw new ArgumentOutOfRangeException(nameof(Stemming), Stemming, "Stemming is None, Porter or Krovetz.");
        if (LongestWord is < 1 or > 4096) throw new ArgumentOutOfRangeException(nameof(LongestWord), LongestWord, "The longest word has 1 to 4096 units.");
    }

    /// <summary>Whether both do the same to every text.</summary>
    /// <param name="other">Other options.</param>
    public bool Equals(AnalyzerOptions? other) => other is not null && CamelCase == other.CamelCase && Possessive == other.Possessive
        && Stemming == other.Stemming && LongestWord == other.LongestWord && StopWords.ToFrozenSet(StringComparer.Ordinal).SetEquals(other.StopWords);

    /// <summary>Of all but the stop words, whose number counts.</summary>
    public override int GetHashCode() => HashCode.Combine(CamelCase, Possessive, Stemming, LongestWord, StopWords.Count);
}
