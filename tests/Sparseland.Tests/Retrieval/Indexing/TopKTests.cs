using FsCheck;
using FsCheck.Fluent;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Indexing;

namespace Sparseland.Tests.Retrieval.Indexing;

/// <summary>Four algorithms, one answer, to the last bit; on collections with many equal scores, which is where they would part.</summary>
public class TopKTests
{
    private static readonly TopKAlgorithm[] s_algorithms = Enum.GetValues<TopKAlgorithm>();

    /// <summary>The definition: all scores, sorted.</summary>
    private static Hit[] Defined(InvertedIndex index, SparseVector query, int k)
    {
        var hits = new List<Hit>();
        for (int document = 0; document < index.Documents; document++)
        {
            double score = 0;
            for (int i = 0; i < query.Count; i++)
            {
                if (query.Terms[i] >= index.Terms) continue;
                double value = index.Value(query.Terms[i], document);
                if (value > 0) score += query.Weights[i] * index.TermWeight(query.Terms[i]) * (index.Norms is null ? value : value / (value + index.Norms[document]));
            }

            if (score > 0) hits.Add(new(document, score));
        }

        return [.. hits.Order().Take(k)];
    }

    private static void AllAgree(InvertedIndex index, SparseVector query, int k)
    {
        Hit[] expected = Defined(index, query, k);
        foreach (TopKAlgorithm algorithm in s_algorithms) Assert.Equal(expected, TopK.Search(algorithm, index, query, k));
    }

    /// <summary>Few terms, repeated documents, skewed frequencies: blocks fill, and scores are equal by the dozen.</summary>
    private static InvertedIndex Collection(Random random, int documents, int terms, bool learned)
    {
        if (learned)
        {
            SparseVector[] vectors = [.. Enumerable.Range(0, documents).Select(_ =>
            {
                int[] own = [.. Enumerable.Range(0, terms).Where(t => random.NextDouble() < 0.5 / (1 + t))];
                return SparseVector.Of(own, [.. own.Select(_ => random.Next(1, 4) / 3f)]);
            })];
            return InvertedIndex.FromVectors([.. vectors.Select((_, i) => $"d{i}")], vectors, [.. Enumerable.Range(0, terms).Select(t => $"t{t}")]);
        }

        return InvertedIndex.Build(Enumerable.Range(0, documents).Select(i => new RetrievalDocument($"d{i}", string.Join(' ',
            Enumerable.Range(0, random.Next(0, 9)).Select(_ => "t" + (int)(terms * Math.Pow(random.NextDouble(), 3)))))),
            new IndexOptions { Analyzer = Analyzers.Words(), Model = new Bm25((Bm25Variant)random.Next(6)) });
    }

    private static SparseVector Query(Random random, int terms, bool negative)
    {
        int[] own = [.. Enumerable.Range(0, terms + 2).Where(_ => random.NextDouble() < 4.0 / terms)];
        return SparseVector.Of(own, [.. own.Select(_ => negative && random.Next(3) == 0 ? -random.Next(1, 3) : random.Next(1, 3) / (random.Next(2) + 1f))]);
    }

    [Fact]
    public void All_algorithms_find_the_same_documents_and_scores() => Prop.ForAll<int>(seed =>
    {
        var random = new Random(seed);
        int terms = random.Next(1, 40);
        using InvertedIndex index = Collection(random, random.Next(1, 1500), terms, random.Next(2) == 0);
        using InvertedIndex quantised = index.Quantise(random.Next(2, 9));
        for (int q = 0; q < 6; q++)
        {
            SparseVector query = Query(random, terms, negative: q % 3 == 2);
            int k = random.Next(3) switch { 0 => 1, 1 => random.Next(1, 20), _ => 1000 };
            AllAgree(index, query, k);
            AllAgree(quantised, query, k);
        }
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(60));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void They_agree_where_documents_take_many_windows(bool learned)
    {
        var random = new Random(5);
        using InvertedIndex index = Collection(random, 70_000, 300, learned);
        for (int q = 0; q < 10; q++)
        {
            SparseVector query = Query(random, 300, negative: q == 9);
            IReadOnlyList<Hit> expected = TopK.Exhaustive(index, query, 10);
            foreach (TopKAlgorithm algorithm in s_algorithms) Assert.Equal(expected, TopK.Search(algorithm, index, query, 10));
        }

        AllAgree(index, Query(random, 300, negative: false), 1000);
    }

    [Theory]
    [InlineData(1e-38)]
    [InlineData(1e-30)]
    [InlineData(1e30)]
    [InlineData(3e38)]
    public void They_agree_on_weights_near_the_ends_of_float32(double scale)
    {
        var random = new Random(11);
        SparseVector[] vectors = [.. Enumerable.Range(0, 20_000).Select(_ =>
        {
            int[] own = [.. Enumerable.Range(0, 12).Where(t => random.NextDouble() < 0.5 / (1 + t))];
            return SparseVector.Of(own, [.. own.Select(t => t % 3 == 0 ? random.NextSingle() + 0.01f : (float)(scale * (random.NextDouble() + 0.01)))]);
        })];
        using InvertedIndex index = InvertedIndex.FromVectors([.. vectors.Select((_, i) => $"d{i}")], vectors, [.. Enumerable.Range(0, 12).Select(t => $"t{t}")]);
        foreach (int[] terms in new int[][] { [1, 2, 4, 5], [0, 1, 2, 3, 4], [1, 3, 6, 9], [2, 5, 8, 11] })
        {
            foreach (float weight in new[] { 1, (float)scale, 1e-20f })
            {
                SparseVector query = SparseVector.Of(terms, [.. terms.Select(t => t % 2 == 0 ? weight : 1)]);
                foreach (int k in new[] { 1, 10, 500 })
                {
                    IReadOnlyList<Hit> expected = TopK.Exhaustive(index, query, k);
                    foreach (TopKAlgorithm algorithm in s_algorithms) Assert.Equal(expected, TopK.Search(algorithm, index, query, k));
                }
            }
        }
    }

    [Fact]
    public void Equal_scores_come_by_number()
    {
        using InvertedIndex index = InvertedIndex.Build(Enumerable.Range(0, 500).Select(i => new RetrievalDocument($"d{i}", "same words")), new IndexOptions { Analyzer = Analyzers.Words() });
        foreach (TopKAlgorithm algorithm in s_algorithms)
            Assert.Equal([0, 1, 2, 3, 4], TopK.Search(algorithm, index, index.Query("same words"), 5).Select(h => h.Document));
    }

    [Fact]
    public void Pruning_scores_fewer_postings()
    {
        using InvertedIndex index = Collection(new Random(3), 70_000, 300, learned: false);
        var shares = new Dictionary<TopKAlgorithm, SearchStatistics>();
        foreach (TopKAlgorithm algorithm in s_algorithms)
        {
            var random = new Random(9);
            shares[algorithm] = new();
            for (int q = 0; q < 20; q++) TopK.Search(algorithm, index, Query(random, 300, negative: false), 10, shares[algorithm]);
        }

        Assert.Equal(1, shares[TopKAlgorithm.Exhaustive].ScoredShare);
        Assert.InRange(shares[TopKAlgorithm.MaxScore].ScoredShare, 0.001, 0.9);
        Assert.True(shares[TopKAlgorithm.BlockMaxWand].PostingsScored <= shares[TopKAlgorithm.Wand].PostingsScored);
        Assert.True(shares[TopKAlgorithm.Wand].PostingsScored < shares[TopKAlgorithm.Exhaustive].PostingsScored);
        Assert.Equal(20, shares[TopKAlgorithm.Wand].Queries);
    }

    [Fact]
    public void A_batch_is_its_queries_for_any_number_of_threads()
    {
        var random = new Random(1);
        using InvertedIndex index = Collection(random, 3000, 50, learned: false);
        SparseVector[] queries = [.. Enumerable.Range(0, 200).Select(_ => Query(random, 50, negative: false))];
        var statistics = new SearchStatistics();
        IReadOnlyList<IReadOnlyList<Hit>> one = new Searcher(index, threads: 1).Search(queries, 10, statistics);
        Assert.Equal(one, new Searcher(index, threads: 4).Search(queries, 10));
        Assert.Equal(200, statistics.Queries);
        Run run = new Searcher(index).Run([.. queries.Select((_, i) => $"q{i}")], queries, 10);
        Assert.Equal(one.Select(l => l.Select(h => new RankedDocument(index.Id(h.Document), h.Score))), run.Queries.Select(q => run[q]));
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => new Searcher(index).Search(queries, 10, cancel: cancelled.Token));
    }

    [Theory]
    [InlineData(61_307, 10, TopKAlgorithm.Exhaustive)]
    [InlineData(199_999, 1, TopKAlgorithm.Exhaustive)]
    [InlineData(200_000, 40, TopKAlgorithm.MaxScore)]
    [InlineData(250_000, 100, TopKAlgorithm.Exhaustive)]
    [InlineData(1_000_000, 100, TopKAlgorithm.MaxScore)]
    [InlineData(1_000_000, 10, TopKAlgorithm.MaxScore)]
    [InlineData(1_000_000, 201, TopKAlgorithm.Exhaustive)]
    public void What_is_not_said_is_chosen_by_size(int documents, int k, TopKAlgorithm chosen) => Assert.Equal(chosen, TopK.Choose(documents, k));

    [Fact]
    public void A_searcher_does_what_it_was_told_or_else_what_is_chosen_and_finds_the_same()
    {
        var random = new Random(4);
        using InvertedIndex index = Collection(random, 3000, 50, learned: false);
        SparseVector[] queries = [.. Enumerable.Range(0, 20).Select(_ => Query(random, 50, negative: false))];
        var (chosen, told) = (new SearchStatistics(), new SearchStatistics());
        var (searcher, wand) = (new Searcher(index), new Searcher(index, TopKAlgorithm.Wand));
        Assert.Equal((null, TopKAlgorithm.Wand), (searcher.Algorithm, wand.Algorithm));
        Assert.Equal(wand.Search(queries, 10, told), searcher.Search(queries, 10, chosen));
        Assert.Equal(1, chosen.ScoredShare);
        Assert.True(told.ScoredShare < 1);
        Assert.Equal(wand.Search(queries[0], 3), searcher.Search(queries[0], 3));
        Assert.Throws<ArgumentOutOfRangeException>("algorithm", () => new Searcher(index, (TopKAlgorithm)9));
    }

    [Fact]
    public void A_search_that_is_looked_at_tells_its_candidates()
    {
        var random = new Random(4);
        using InvertedIndex index = Collection(random, 20_000, 100, learned: false);
        SparseVector query = Query(random, 100, negative: false);
        int[] found = [.. TopK.Exhaustive(index, query, 10).Select(h => h.Document)];
        foreach (TopKAlgorithm algorithm in new[] { TopKAlgorithm.MaxScore, TopKAlgorithm.Wand, TopKAlgorithm.BlockMaxWand })
        {
            var (looked, silent) = (new SearchStatistics { KeepsPivots = true }, new SearchStatistics());
            TopK.Search(algorithm, index, query, 10, looked);
            new Searcher(index, algorithm).Search([query], 10, silent);
            Assert.Equal(looked.Pivots, looked.PivotDocuments.Count);
            Assert.Equal(looked.PivotDocuments.Order(), looked.PivotDocuments);
            Assert.Empty(found.Except(looked.PivotDocuments));
            Assert.Equal(looked.Pivots, silent.Pivots);
            Assert.Empty(silent.PivotDocuments);
            var many = new SearchStatistics { KeepsPivots = true };
            new Searcher(index, algorithm).Search([query, query], 10, many);
            Assert.Equal(2 * looked.Pivots, many.PivotDocuments.Count);
        }
    }

    [Fact]
    public void Queries_without_a_known_term_find_nothing_and_bad_arguments_are_refused()
    {
        using InvertedIndex index = InvertedIndex.Build([new("a", "one two"), new("b", "")], new IndexOptions { Analyzer = Analyzers.Words() });
        foreach (TopKAlgorithm algorithm in s_algorithms)
        {
            Assert.Empty(TopK.Search(algorithm, index, SparseVector.Empty, 3));
            Assert.Empty(TopK.Search(algorithm, index, index.Query("three"), 3));
            Assert.Empty(TopK.Search(algorithm, index, SparseVector.Of([99], [1]), 3));
            Assert.Empty(TopK.Search(algorithm, index, SparseVector.Of([0], [-1]), 3));
            Assert.Equal(["a"], TopK.Search(algorithm, index, index.Query("two two"), int.MaxValue).Select(h => index.Id(h.Document)));
            Assert.Throws<ArgumentOutOfRangeException>(() => TopK.Search(algorithm, index, index.Query("two"), 0));
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => TopK.Search((TopKAlgorithm)7, index, SparseVector.Empty, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Searcher(index).Run([new("q", "two")], 0));
        Assert.Equal(2, index.Query("two two")[index.FindTerm("two")!.Value]);
    }

    [Fact]
    public void An_explanation_adds_up_to_the_score()
    {
        var random = new Random(4);
        using InvertedIndex index = Collection(random, 800, 20, learned: false);
        SparseVector query = Query(random, 20, negative: false);
        foreach (Hit hit in TopK.MaxScore(index, query, 20))
        {
            var explanation = Explanation.Of(index, query, hit.Document);
            Assert.Equal(hit.Score, explanation.Score);
            Assert.Equal(hit.Score, explanation.Terms.Sum(t => t.Impact), 1e-12);
            Assert.All(explanation.Terms, t => Assert.Equal(t.Value > 0, t.Impact > 0 || t.TermWeight == 0 && t.Value > 0));
        }
    }

    [Theory]
    [InlineData(TopKAlgorithm.MaxScore)]
    [InlineData(TopKAlgorithm.Exhaustive)]
    [InlineData(TopKAlgorithm.Wand)]
    [InlineData(TopKAlgorithm.BlockMaxWand)]
    public void A_search_ends_on_the_way_when_it_is_cancelled(TopKAlgorithm algorithm)
    {
        int documents = 5000;
        SparseVector[] vectors = [.. Enumerable.Range(0, documents).Select(d => SparseVector.Of([0, 1, 2], [1 + (d % 7), 1 + (d % 11), 1 + d]))];
        using InvertedIndex index = InvertedIndex.FromVectors([.. Enumerable.Range(0, documents).Select(d => $"d{d}")], vectors, ["a", "b", "c"]);
        SparseVector query = SparseVector.Of([0, 1, 2], [1, 1, 1]);
        Assert.Equal(documents, TopK.Search(algorithm, index, query, documents).Count);
        Assert.Throws<OperationCanceledException>(() => TopK.Search(algorithm, index, query, documents, null, new CancellationToken(canceled: true)));
        Assert.Equal(documents, TopK.Search(algorithm, index, query, documents).Count);
    }

    [Fact]
    public void A_batch_fails_with_the_exception_of_its_search()
    {
        using InvertedIndex vectors = InvertedIndex.FromVectors(["x"], [SparseVector.Of([0], [1])], ["t"]);
        Assert.Throws<InvalidOperationException>(() => new Searcher(vectors).Run([new("q", "t")]));
        Assert.Throws<ArgumentNullException>(() => new Searcher(vectors).Search(new SparseVector[] { null! }, 3));
    }
}
