using System.Globalization;
using System.Text;

namespace Sparseland.Retrieval.Indexing;

/// <summary>What one term of a query gave a document.</summary>
/// <param name="Term">The term.</param>
/// <param name="QueryWeight">Its weight in the query: how often it stands there.</param>
/// <param name="Value">Its value in the document: a count, or a weight; 0 where the document has it not.</param>
/// <param name="DocumentFrequency">Documents that have it.</param>
/// <param name="TermWeight">The model's weight of it: its idf with BM25.</param>
/// <param name="Impact">What it adds to the score.</param>
public sealed record TermImpact(string Term, double QueryWeight, double Value, int DocumentFrequency, double TermWeight, double Impact);

/// <summary>Why a document matched a query: what each term gave, the largest first; their sum is the score.</summary>
/// <param name="Document">Id of the document.</param>
/// <param name="Score">Its score, the same that a search gives it.</param>
/// <param name="Length">Its length.</param>
/// <param name="Terms">The query's terms that the index has.</param>
public sealed record Explanation(string Document, double Score, int Length, IReadOnlyList<TermImpact> Terms)
{
    /// <summary>Explains a document's score.</summary>
    /// <param name="index">The index.</param>
    /// <param name="query">Weights of its terms.</param>
    /// <param name="document">Number of the document.</param>
    /// <exception cref="ArgumentOutOfRangeException">No such document.</exception>
    public static Explanation Of(InvertedIndex index, SparseVector query, int document)
    {
        ArgumentNullException.ThrowIfNull(index);
        ArgumentNullException.ThrowIfNull(query);
        ArgumentOutOfRangeException.ThrowIfNegative(document);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(document, index.Documents);
        var terms = new List<TermImpact>();
        double score = 0;
        for (int i = 0; i < query.Count; i++)
        {
            int term = query.Terms[i];
            if (term >= index.Terms) continue;
            double value = index.Value(term, document), impact = 0;
            if (value > 0)
            {
                // In the order and the form of a search, so that the sum is its score to the last bit.
                double weight = query.Weights[i] * index.TermWeight(term);
                impact = weight * (index.Norms is null ? value : value / (value + index.Norms[document]));
                score += impact;
            }

            terms.Add(new(index.Term(term), query.Weights[i], value, index.DocumentFrequency(term), index.TermWeight(term), impact));
        }

        return new(index.Id(document), score, index.Length(document), [.. terms.OrderByDescending(t => t.Impact).ThenBy(t => t.Term, StringComparer.Ordinal)]);
    }

    /// <summary>A table of its terms.</summary>
    public override string ToString()
    {
        var text = new StringBuilder(string.Create(CultureInfo.InvariantCulture, $"{Document}: {Score:0.###}, length {Length}"));
        foreach (TermImpact t in Terms)
        {
            text.Append('\n').Append(t.Value == 0
                ? $"  {t.Term}: not in the document"
                : string.Create(CultureInfo.InvariantCulture, $"  {t.Term}: {t.Impact:0.###} = weight {t.TermWeight:0.###}, {t.Value:0.##} here, in {t.DocumentFrequency} documents{(t.QueryWeight == 1 ? "" : $", times {t.QueryWeight:0.##}")}"));
        }

        return text.ToString();
    }
}
