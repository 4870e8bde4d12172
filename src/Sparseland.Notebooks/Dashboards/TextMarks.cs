using System.Globalization;
using System.Text;
using Sparseland.Models.Language;
using Sparseland.Retrieval.Analysis;

namespace Sparseland.Notebooks.Dashboards;

/// <summary>A part of a text and the terms that it is.</summary>
internal readonly record struct TextMark(string Text, IReadOnlyList<string> Terms);

/// <summary>Finds where terms stand in a text, whose parts together are the text again.</summary>
internal static class TextMarks
{
    /// <summary>The parts of a text, each with those of its terms that matched.</summary>
    /// <param name="text">The text.</param>
    /// <param name="pieces">The terms of a word, or of a sign between words.</param>
    /// <param name="matched">The terms looked for.</param>
    public static IEnumerable<TextMark> Of(string text, Func<string, IReadOnlyList<TextMark>> pieces, IReadOnlySet<string> matched)
    {
        for (int at = 0; at < text.Length;)
        {
            int end = at;
            while (end < text.Length && IsWord(text[end])) end++;
            if (end == at) end++;
            string word = text[at..end];
            at = end;
            foreach (TextMark piece in char.IsWhiteSpace(word[0]) ? [new(word, [])] : pieces(word))
                yield return piece with { Terms = [.. piece.Terms.Where(matched.Contains).Distinct()] };
        }
    }

    /// <summary>A word as an analyzer sees it: its parts in camel case, and the word as a whole.</summary>
    public static IReadOnlyList<TextMark> Words(string word, Analyzer analyzer)
    {
        string[] terms = [.. analyzer.Analyze(word).Select(t => t.Text)];
        if (terms.Length <= 1) return [new(word, terms)];

        // Several terms: parts of camel case, of which the last may be the word itself, or signs that are words of their own.
        string[] parts = analyzer.Options.CamelCase ? CamelCaseText.Split(word).Split(' ') : [word];
        if (parts.Length == 1) parts = [.. word.EnumerateRunes().Select(r => r.ToString())];
        TextMark[] found = [.. parts.Select(p => new TextMark(p, [.. analyzer.Analyze(p).Select(t => t.Text)]))];
        string[] rest = [.. terms.Except(found.SelectMany(f => f.Terms), StringComparer.Ordinal)];
        return string.Concat(parts) != word ? [new(word, terms)] : [.. found.Select(f => f with { Terms = [.. f.Terms, .. rest] })];
    }

    /// <summary>A word as an encoder sees it.</summary>
    public static IReadOnlyList<TextMark> Pieces(string word, BertEncoder encoder)
    {
        string[] names = [.. encoder.Tokenizer.Encode(word).Select(id => encoder.Tokenizer.Tokens[id])];
        string[] bare = [.. names.Select(n => n.Length > 2 && n.StartsWith("##", StringComparison.Ordinal) ? n[2..] : n)];
        if (!string.Concat(bare).Equals(word, StringComparison.OrdinalIgnoreCase)) return [new(word, names)];
        var parts = new TextMark[names.Length];
        for (int i = 0, at = 0; i < parts.Length; at += bare[i++].Length) parts[i] = new(word.Substring(at, bare[i].Length), [names[i]]);
        return parts;
    }

    // As analyzers have it: letters and digits with the marks that belong to them.
    private static bool IsWord(char c) => char.IsLetterOrDigit(c) || char.IsSurrogate(c)
        || CharUnicodeInfo.GetUnicodeCategory(c) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark;
}
