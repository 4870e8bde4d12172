using Lucene.Net.Search;
using Lucene.Net.Store;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Indexing;
using static TorchSharp.torch;

namespace Benchmarks.Retrieval;

/// <summary>
/// BM25 over the .NET documentation, k = 10, against Lucene.NET 4.8, SQLite's FTS5 and BM25S's method (eager scores in a sparse matrix), all on
/// the terms of one analyzer. A query is a text on every side but BM25S's, which gets term numbers.
/// </summary>
public class SearchBenchmark : IQuickBenchmark
{
    public IEnumerable<Comparison> Comparisons()
    {
        Sparseland.Native.NativeLibraries.Register();
        RetrievalDocument[] documents = DocumentationCards.Documents;
        string[] queries = DocumentationCards.Queries;
        Analyzer analyzer = Analyzers.English();
        using InvertedIndex index = InvertedIndex.Build(documents, new IndexOptions { Model = Bm25.LuceneNet });
        Console.WriteLine(index);
        using var lucene = new LucenePeer(documents, analyzer);
        var searcher = new Searcher(index);
        string size = $"index {index.Size / 1e6:0.00} MB, Lucene.NET {lucene.Size / 1e6:0.00} MB with ids";
        yield return new($"Retrieval: {queries.Length} queries over {documents.Length} documents, one thread", () => { foreach (string q in queries) searcher.Search(q); },
            "Lucene.NET", () => { foreach (string q in queries) lucene.Search(q, 10); }, 3, () => $"{Same(searcher, lucene, queries):0.0%} of the queries with the same ten documents; {size}");
        yield return new($"Retrieval: {queries.Length} queries, all cores", () => Parallel.ForEach(queries, q => searcher.Search(q)),
            "Lucene.NET", () => Parallel.ForEach(queries, q => lucene.Search(q, 10)), 3);
        foreach (TopKAlgorithm algorithm in Enum.GetValues<TopKAlgorithm>())
        {
            var statistics = new SearchStatistics();
            SparseVector[] vectors = [.. queries.Select(index.Query)];
            yield return new($"Retrieval: {algorithm} against exhaustive", () => { foreach (SparseVector q in vectors) TopK.Search(algorithm, index, q, 10); },
                "exhaustive", () => { foreach (SparseVector q in vectors) TopK.Exhaustive(index, q, 10); }, 0, () =>
                {
                    foreach (SparseVector q in vectors) TopK.Search(algorithm, index, q, 10, statistics);
                    return statistics.ToString();
                });
        }

        yield return new($"Retrieval: build of {documents.Length} documents, all cores", () => InvertedIndex.Build(documents).Dispose(), "Lucene.NET", () =>
        {
            using var directory = new RAMDirectory();
            LucenePeer.Build(documents, analyzer, directory);
        }, 2);
        yield return new($"Retrieval: build of {documents.Length} documents, one thread", () => InvertedIndex.Build(documents, new IndexOptions { Threads = 1 }).Dispose(), "Lucene.NET", () =>
        {
            using var directory = new RAMDirectory();
            LucenePeer.Build(documents, analyzer, directory);
        });

        using (var fts5 = new Fts5Peer(documents, analyzer))
        {
            string[] some = queries[..100];
            yield return new($"Retrieval: {some.Length} queries, one thread", () => { foreach (string q in some) searcher.Search(q); }, "SQLite FTS5", () => { foreach (string q in some) fts5.Search(q); }, 3);
        }

        foreach (Comparison comparison in AgainstEagerScores(index, queries)) yield return comparison;
    }

    private static double Same(Searcher searcher, LucenePeer lucene, string[] queries) => queries.Average(q =>
    {
        ScoreDoc[] theirs = lucene.Search(q, 10);
        return searcher.Search(q).Select(h => h.Document).SequenceEqual(theirs.Select(t => t.Doc)) ? 1.0 : 0;
    });

    /// <summary>BM25S's NumPy path: the columns of a query's terms are added up, argpartition finds ten; and the whole batch as one sparse product.</summary>
    private static IEnumerable<Comparison> AgainstEagerScores(InvertedIndex lossy, string[] texts)
    {
        using PythonPeer? python = PythonPeer.Start("import numpy as np, scipy.sparse as sp");
        using InvertedIndex index = lossy.With(new Bm25(Bm25Variant.Robertson, 1.5));
        SparseVector[] queries = [.. texts.Select(index.Query)];
        if (python is not null)
        {
            var (starts, documents, scores) = (new List<double> { 0 }, new List<double>(), new List<double>());
            for (int term = 0; term < index.Terms; term++)
            {
                (int[] found, float[] values) = index.PostingsOf(term);
                documents.AddRange(found.Select(d => (double)d));
                scores.AddRange(found.Select((d, i) => index.TermWeight(term) * (values[i] / (values[i] + index.Norms![d]))));
                starts.Add(documents.Count);
            }

            foreach ((string name, IEnumerable<double> values) in new[]
            {
                ("indptr", starts), ("indices", documents), ("scores", scores), ("qstart", queries.Aggregate(new List<double> { 0 }, (l, q) => { l.Add(l[^1] + q.Count); return l; })),
                ("qterms", queries.SelectMany(q => q.Terms.ToArray().Select(t => (double)t))), ("qweights", queries.SelectMany(q => q.Weights.ToArray().Select(w => (double)w))),
            })
            {
                using Tensor tensor = TorchSharp.torch.tensor(values.ToArray());
                python.Put(name, tensor);
            }

            python.Run($"""
                indptr, indices, qstart, qterms = indptr.astype(np.int64), indices.astype(np.int32), qstart.astype(np.int64), qterms.astype(np.int64)
                scores, qweights, n = scores.astype(np.float32), qweights.astype(np.float32), {index.Documents}
                M = sp.csr_matrix((scores, indices, indptr), shape=(len(indptr) - 1, n))
                Q = sp.csr_matrix((qweights, qterms, qstart), shape=(len(qstart) - 1, len(indptr) - 1))
                def top(row):
                    best = np.argpartition(row, -10)[-10:]
                    return best[np.argsort(-row[best])]
                def loop():
                    out = []
                    for i in range(len(qstart) - 1):
                        row = np.zeros(n, np.float32)
                        for j in range(qstart[i], qstart[i + 1]):
                            t = qterms[j]
                            row[indices[indptr[t]:indptr[t + 1]]] += qweights[j] * scores[indptr[t]:indptr[t + 1]]
                        out.append(top(row))
                    return out
                def product():
                    P = Q @ M
                    out = []
                    for i in range(P.shape[0]):
                        row = P.data[P.indptr[i]:P.indptr[i + 1]]
                        out.append(P.indices[P.indptr[i]:P.indptr[i + 1]][top(row) if len(row) > 10 else np.argsort(-row)])
                    return out
                """);
        }

        var batch = new Searcher(index);
        yield return new($"Retrieval: batch of {queries.Length} queries", () => batch.Search(queries, 10), "BM25S's method, NumPy", python is null ? null : () => python.Run("loop()"), 1, () => Agreement("loop"));
        yield return new($"Retrieval: batch of {queries.Length} queries", () => batch.Search(queries, 10), "BM25S's method, sparse product", python is null ? null : () => python.Run("product()"), 1, () => Agreement("product"));

        string Agreement(string how)
        {
            if (python is null) return "no peer";
            double[] firsts = python.Get($"np.array([o[0] if len(o) else -1 for o in {how}()])");
            IReadOnlyList<IReadOnlyList<Hit>> ours = batch.Search(queries, 10);
            // Robertson's idf leaves queries of frequent terms only without a score; equal scores may come in any order there.
            return $"{ours.Where((l, i) => l.Count == 0 || l.Any(h => h.Document == (int)firsts[i])).Count() / (double)ours.Count:0.0%} of the queries have the peer's first document among our ten";
        }
    }
}
