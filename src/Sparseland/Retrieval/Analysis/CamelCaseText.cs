using System.Text;

namespace Sparseland.Retrieval.Analysis;

/// <summary>
/// Names in camel case written as words, for encoders whose vocabulary knows words: "UseAntiforgery" becomes "Use Antiforgery". Everything else of a
/// text stays as it is.
/// </summary>
public static class CamelCaseText
{
    /// <summary>A text with blanks between the parts of its names, as <see cref="Analyzers.CamelCase"/> finds them.</summary>
    /// <param name="text">A text, perhaps empty.</param>
    public static string Split(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var split = new StringBuilder(text.Length + 16);
        for (int at = 0; at < text.Length;)
        {
            int end = at;
            while (end < text.Length && (char.IsLetterOrDigit(text[end]) || char.IsSurrogate(text[end]))) end++;
            if (end == at)
            {
                split.Append(text[at++]);
                continue;
            }

            for (int part = at; part < end;)
            {
                if (part > at) split.Append(' ');
                int length = CamelCaseParts.Next(text.AsSpan(part, end - part));
                split.Append(text, part, length);
                part += length;
            }

            at = end;
        }

        return split.ToString();
    }

    /// <summary>A collection whose documents and queries are written so; ids and judgements stay.</summary>
    /// <param name="collection">The collection.</param>
    public static RetrievalCollection Split(RetrievalCollection collection)
    {
        ArgumentNullException.ThrowIfNull(collection);
        return new(
            collection.Name, [.. collection.Documents.Select(Split)],
            [.. collection.Queries.Select(q => q with { Text = Split(q.Text) })], collection.Qrels)
        {
            DropsIdenticalIds = collection.DropsIdenticalIds,
        };
    }

    /// <summary>A document whose title and text are written so.</summary>
    internal static RetrievalDocument Split(RetrievalDocument document) => document with { Title = Split(document.Title), Text = Split(document.Text) };
}
