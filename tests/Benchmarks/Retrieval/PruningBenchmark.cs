using System.Diagnostics;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Indexing;

namespace Benchmarks.Retrieval;

/// <summary>
/// Pruned against exhaustive search on generated collections with the statistics of the .NET documentation: a generated document keeps half
/// of the terms of a real one and draws the rest from all occurrences. Learned-like vectors have each document's terms with flat weights, and
/// twice as many terms of related documents with smaller ones.
/// </summary>
public class PruningBenchmark : IQuickBenchmark
{
    private const int Queries = 200;

    public IEnumerable<Comparison> Comparisons()
    {
        Analyzer analyzer = Analyzers.English();
        string[][] real = [.. DocumentationCards.Documents.Select(d => analyzer.Analyze(d.Contents).Select(t => t.Text).ToArray())];
        string[] all = [.. real.SelectMany(d => d)];
        string[] texts = [.. DocumentationCards.Queries.Take(Queries).Select(q => string.Join(' ', analyzer.Analyze(q).Select(t => t.Text)))];
        foreach (int count in new[] { 1_000_000, 250_000 })
        {
            using InvertedIndex learned = Learned(real, count, out SparseVector[] queries);
            using InvertedIndex quantised = learned.QuantiseBy();
            Console.WriteLine(quantised);
            foreach (Comparison comparison in Against($"learned-like, {count:N0} documents, k 10", quantised, queries, 10, count == 1_000_000 ? 2 : 0)) yield return comparison;
        }

        foreach (int count in new[] { 1_000_000, 250_000, 62_500 })
        {
            long start = Stopwatch.GetTimestamp();
            using InvertedIndex index = InvertedIndex.Build(Generated(real, all, count), new IndexOptions { Analyzer = Analyzers.Words() });
            Console.WriteLine($"generated and built in {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s: {index}");
            SparseVector[] queries = [.. texts.Select(index.Query)];
            foreach (int k in count == 62_500 ? new[] { 10, 100, 1000 } : [10, 100])
            {
                foreach (Comparison comparison in Against($"BM25, {count:N0} documents, k {k}", index, queries, k, k == 10 && count == 1_000_000 ? 3 : 0, k == 10 ? count : 0)) yield return comparison;
            }
        }
    }

    private static IEnumerable<Comparison> Against(string what, InvertedIndex index, SparseVector[] queries, int k, double target, int curve = 0)
    {
        // On a million learned-like documents a WAND takes three quarters of a minute, where exhaustive takes two seconds: the smallest collection shows their postings.
        foreach (TopKAlgorithm algorithm in k == 10 && index.Documents <= 62_500 ? [TopKAlgorithm.MaxScore, TopKAlgorithm.Wand, TopKAlgorithm.BlockMaxWand] : new[] { TopKAlgorithm.MaxScore })
        {
            yield return new($"Pruning: {algorithm}, {what}", () => { foreach (SparseVector q in queries) TopK.Search(algorithm, index, q, k); },
                "exhaustive", () => { foreach (SparseVector q in queries) TopK.Exhaustive(index, q, k); }, algorithm == TopKAlgorithm.MaxScore ? target : 0, () =>
                {
                    var statistics = new SearchStatistics();
                    bool same = queries.All(q => TopK.Search(algorithm, index, q, k, statistics).SequenceEqual(TopK.Exhaustive(index, q, k)));
                    return $"{(same ? "identical" : "DIFFERENT")}; {statistics}";
                }, curve > 0 && algorithm == TopKAlgorithm.MaxScore ? new("BM25 by MaxScore, ten best", "documents", curve) : null);
        }
    }

    private static IEnumerable<RetrievalDocument> Generated(string[][] real, string[] all, int count)
    {
        var random = new Random(1);
        for (int i = 0; i < count; i++)
        {
            string[] model = real[random.Next(real.Length)];
            yield return new($"{i}", string.Join(' ', model.Select(t => random.Next(2) == 0 ? t : all[random.Next(all.Length)])));
        }
    }

    private static InvertedIndex Learned(string[][] real, int count, out SparseVector[] queries)
    {
        string[] names = [.. real.SelectMany(d => d).Distinct().Order(StringComparer.Ordinal)];
        Dictionary<string, int> numbers = names.Select((n, i) => (n, i)).ToDictionary(p => p.n, p => p.i);
        int[][] terms = [.. real.Select(d => d.Select(t => numbers[t]).Distinct().ToArray())];
        var random = new Random(2);
        // Related documents stand near each other in the documentation: members of one type.
        SparseVector Vector(int like)
        {
            var weights = new Dictionary<int, float>();
            foreach (int term in terms[like]) weights[term] = 0.6f + random.NextSingle();
            for (int r = 0; r < 3; r++)
            {
                foreach (int term in terms[Math.Clamp(like + random.Next(-20, 21), 0, terms.Length - 1)])
                {
                    if (random.Next(2) == 0) weights.TryAdd(term, 0.1f + (0.5f * random.NextSingle()));
                }
            }

            return SparseVector.Of([.. weights.Keys], [.. weights.Values]);
        }

        var index = InvertedIndex.FromVectors([.. Enumerable.Range(0, count).Select(i => $"{i}")], [.. Enumerable.Range(0, count).Select(_ => Vector(random.Next(terms.Length)))], names);
        queries = [.. Enumerable.Range(0, Queries).Select(_ => Vector(random.Next(terms.Length)))];
        return index;
    }
}
