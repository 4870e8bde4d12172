using System.Globalization;
using Sparseland.Models.Language;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Collections;
using Sparseland.Retrieval.Feedback;
using Sparseland.Retrieval.Indexing;
using Sparseland.Retrieval.Learned;
using Sparseland.Retrieval.Measures;
using TorchSharp;

namespace Sparseland.Kernel.Retrieval;

/// <summary>What a retriever reaches on held-out queries.</summary>
/// <param name="Ndcg">nDCG@10.</param>
/// <param name="Recall">Recall@100.</param>
/// <param name="ByStratum">nDCG@10 where words are missing, where some match, where most match; NaN where there is no such query.</param>
/// <param name="Hybrid">nDCG@10 of the equal-weight min-max sum with BM25, at depth 1000.</param>
/// <param name="Active">Active terms of a document; dModel for a dense one.</param>
/// <param name="Flops">Expected multiplications of a query with a document.</param>
internal sealed record RetrieverFigures(double Ndcg, double Recall, IReadOnlyList<double> ByStratum, double Hybrid, double Active, double Flops)
{
    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"nDCG@10 {Ndcg:F3}, R@100 {Recall:F3}, by stratum {string.Join(" / ", ByStratum.Select(s => double.IsNaN(s) ? "-" : s.ToString("F2", CultureInfo.InvariantCulture)))}, with BM25 {Hybrid:F3}, {Active:F0} active, FLOPS {Flops:F2}");
}

/// <summary>The bed on which retrievers are measured: the sub-collection of signatures, queries of summaries, and BM25.</summary>
internal sealed class RetrieverBed
{
    private const int Seed = 1;
    private readonly RetrievalCollection _split;
    private readonly Dictionary<string, OverlapStratum> _strata;

    /// <summary>Builds the bed.</summary>
    public RetrieverBed(DotNetDocCollection documentation)
    {
        Collection = documentation.SubCollection(DocView.Signatures, DocQueryKind.Summary, Seed);
        _split = CamelCaseText.Split(Collection);
        _strata = documentation.Of(DocQueryKind.Summary).ToDictionary(q => q.Id, q => q.Stratum(DocView.Signatures)!.Value, StringComparer.Ordinal);
        using InvertedIndex index = InvertedIndex.Build(Collection.Documents);
        Bm25Run = new Searcher(index).Run(Collection.Queries);
        Bm25 = Measure(Bm25Run, index.Postings / (double)index.Documents, double.NaN);
    }

    /// <summary>The collection.</summary>
    public RetrievalCollection Collection { get; }

    /// <summary>What BM25 found.</summary>
    public Run Bm25Run { get; }

    /// <summary>What BM25 reaches.</summary>
    public RetrieverFigures Bm25 { get; }

    /// <summary>The table of a query: binary, or idf of the training collection's documents over its queries' mean.</summary>
    public static QueryTable Table(bool binary, BertEncoder encoder, RetrievalCollection training) =>
        binary ? QueryTable.Binary(encoder) : QueryTable.FromIdf(encoder, [.. training.Documents.Select(d => d.Contents)], [.. training.Queries.Select(q => q.Text)]);

    /// <summary>Measures a dense retriever.</summary>
    public RetrieverFigures Dense(BertEncoder encoder, CancellationToken cancel)
    {
        using torch.Tensor documents = encoder.Encode([.. _split.Documents.Select(d => d.Contents)], cancel: cancel);
        using torch.Tensor queries = encoder.EncodeQueries([.. _split.Queries.Select(q => q.Text)], cancel: cancel);
        using DenseIndex index = DenseIndex.Of(documents, [.. _split.Documents.Select(d => d.Id)]);
        return Measure(index.SearchRun([.. _split.Queries.Select(q => q.Id)], queries, cancel: cancel), encoder.Config.Width, encoder.Config.Width);
    }

    /// <summary>Measures a sparse retriever; without a table its queries are written by the encoder.</summary>
    public RetrieverFigures Sparse(SpladeEncoder encoder, QueryTable? table, CancellationToken cancel)
    {
        SparseVector[] documents = encoder.Encode([.. _split.Documents.Select(d => d.Contents)], cancel: cancel);
        string[] texts = [.. _split.Queries.Select(q => q.Text)];
        SparseVector[] queries = table is null ? encoder.EncodeQueries(texts, cancel: cancel) : [.. texts.Select(table.Encode)];
        using InvertedIndex index = InvertedIndex.FromVectors([.. _split.Documents.Select(d => d.Id)], documents, encoder.Body.Tokenizer.Tokens, cancel);
        Run run = new Searcher(index).Run([.. _split.Queries.Select(q => q.Id)], queries, cancel: cancel);
        return Measure(run, documents.Average(d => d.Count), FlopsPenalty.Expected(queries, documents));
    }

    private RetrieverFigures Measure(Run run, double active, double flops)
    {
        RetrievalMeasure ndcg = RetrievalMeasure.Ndcg();
        RetrievalEvaluation figures = RetrievalMetrics.Evaluate(run, Collection);

        // Documentation of few types may have no query of a stratum.
        double[] strata = [.. Enum.GetValues<OverlapStratum>().Select(s => figures.Queries.Where(q => _strata[q] == s).ToArray() is { Length: > 0 } some ? figures.Of(some).Mean(ndcg) : double.NaN)];
        double hybrid = ReferenceEquals(run, Bm25Run) ? figures.Mean(ndcg)
            : RetrievalMetrics.Evaluate(Fusion.Weighted(0.5).Fuse([Bm25Run, run], Collection.Find, depth: 1000).Run, Collection, [ndcg]).Mean(ndcg);
        return new(figures.Mean(ndcg), figures.Mean(RetrievalMeasure.Recall()), strata, hybrid, active, flops);
    }
}
