using Sparseland.Models.Language;
using Sparseland.Notebooks;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Indexing;
using Sparseland.Retrieval.Learned;

namespace Benchmarks.Retrieval;

/// <summary>
/// What the side of the query does before an index is asked: BERT's tokenizer and a look-up of weights where no network reads the query, against BM25's
/// analysis (words, stop words, stems, term numbers). Both end with the
/// sparse vector that is searched with.
/// </summary>
public class QuerySideBenchmark : IQuickBenchmark
{
    public IEnumerable<Comparison> Comparisons()
    {
        using BertEncoder encoder = BertEncoder.Load(SeriesData.Find("retrievers/idf"));
        using InvertedIndex index = InvertedIndex.Build(DocumentationCards.Documents, new IndexOptions { Analyzer = Analyzers.English() });
        QueryTable table = QueryTable.FromIdf(encoder, [.. DocumentationCards.Documents.Take(5_000).Select(d => d.Contents)]);
        string[] queries = DocumentationCards.Queries, documents = [.. DocumentationCards.Documents.Take(2_000).Select(d => d.Contents)];
        foreach ((string what, string[] texts) in new[] { ("1,000 queries", queries), ("2,000 cards as queries", documents) })
        {
            double tokens = texts.Average(t => table.Encode(t).Count), terms = texts.Average(t => index.Query(t).Count);
            yield return new($"query side without a network, {what}", () => { foreach (string text in texts) table.Encode(text); },
                "BM25's analysis, here", () => { foreach (string text in texts) index.Query(text); }, 1 / 1.2, () => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{tokens:0.0} tokens and {terms:0.0} terms a text"));
        }
    }
}
