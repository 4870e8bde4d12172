using System.Text;
using Sparseland.Retrieval.Analysis;

namespace Sparseland.Retrieval.Collections;

/// <summary>Takes the words of an answer's name out of a query: what is left cannot be found by the name alone.</summary>
internal static class BlindText
{
    /// <summary>The text without the words whose every part is a part of one of the names.</summary>
    /// <param name="text">A query.</param>
    /// <param name="names">Names of its answers.</param>
    /// <param name="parts">Makes the parts of a word, lower case and stemmed.</param>
    public static string Of(string text, IEnumerable<string> names, Analyzer parts)
    {
        HashSet<string> known = [.. names.SelectMany(n => parts.Analyze(n)).Select(t => t.Text)];
        var blind = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length;)
        {
            int end = i;
            while (end < text.Length && char.IsLetterOrDigit(text[end])) end++;
            if (end == i)
            {
                blind.Append(text[i++]);
                continue;
            }

            string word = text[i..end];
            if (!parts.Analyze(word).All(t => known.Contains(t.Text))) blind.Append(word);
            i = end;
        }

        return string.Join(' ', blind.ToString().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }
}
