using Sparseland.Retrieval;
using Sparseland.Retrieval.Feedback;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Retrieval.Feedback;

/// <summary>The identities of the pipelines: claims 1 of the paper's page.</summary>
public class FeedbackPipelineTests : IDisposable
{
    private const int Documents = 400, Width = 12, Depth = 100;
    private static readonly string[] s_queries = ["q0", "q1", "q2", "q3", "q4"];
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly Tensor _vectors;
    private readonly DenseIndex _dense;
    private readonly Run _sparse;

    public FeedbackPipelineTests()
    {
        using var generator = new Generator(5);
        _dense = DenseIndex.Of(randn([Documents, Width], dtype: ScalarType.Float32, generator: generator), [.. Enumerable.Range(0, Documents).Select(i => $"d{i}")]);
        _vectors = randn([s_queries.Length, Width], dtype: ScalarType.Float32, generator: generator);

        // A sparse list of depth 100 in an order of its own, scores 100, 99, ...
        _sparse = RetrievalData.Run("BM25", [.. s_queries.Select((q, i) => (q, Enumerable.Range(0, Depth).Select(r => ($"d{((r * 37) + (i * 11)) % Documents}", 100.0 - r)).ToArray()))]);
    }

    public void Dispose()
    {
        _dense.Dispose();
        _scope.Dispose();
    }

    private Run Found(FeedbackPipeline pipeline) => pipeline.Run(s_queries, _vectors, Depth).Run;

    private static void Same(Run expected, Run actual, bool scores = true)
    {
        Assert.Equal(expected.Queries, actual.Queries);
        foreach (string query in expected.Queries)
        {
            Assert.Equal(expected[query].Select(d => d.Id), actual[query].Select(d => d.Id));
            if (scores) Assert.All(expected[query].Zip(actual[query]), pair => Assert.Equal(pair.First.Score, pair.Second.Score, 1e-6));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(10)]
    public void Average_is_Rocchio_with_the_query_as_one_of_k_plus_1(int k)
    {
        Tensor query = _vectors[0], feedback = _dense.Vectors([.. Enumerable.Range(5, k)]);
        Tensor average = VectorFeedback.Average(k).Apply(query, feedback), rocchio = VectorFeedback.Rocchio(k, 1.0 / (k + 1), k / (k + 1.0)).Apply(query, feedback);
        Assert.True(average.sub(rocchio).abs().max().item<float>() < 1e-7f);
        Assert.True(average.sub(query).abs().max().item<float>() > 0.01f);
        Same(Found(FeedbackPipeline.Prf(_dense, VectorFeedback.Average(k))), Found(FeedbackPipeline.Prf(_dense, VectorFeedback.Rocchio(k, 1.0 / (k + 1), k / (k + 1.0)))));
    }

    [Fact]
    public void Without_documents_or_their_weight_feedback_returns_the_first_list()
    {
        Run first = _dense.SearchRun(s_queries, _vectors, Depth);
        Same(first, Found(FeedbackPipeline.Prf(_dense, VectorFeedback.Rocchio(5, 1, 0))));
        Same(first, Found(FeedbackPipeline.Prf(_dense, VectorFeedback.Rocchio(5, 0.3, 0))), scores: false);
        Same(first, Found(FeedbackPipeline.Prf(_dense, VectorFeedback.Rocchio(0))));
        Same(first, Found(FeedbackPipeline.Prf(_dense, VectorFeedback.Average(0))));
        Assert.NotEqual(first["q0"].Select(d => d.Id), Found(FeedbackPipeline.Prf(_dense, VectorFeedback.Average(3)))["q0"].Select(d => d.Id));
    }

    [Fact]
    public void A_mixing_weight_of_0_is_feedback_alone_and_of_1_the_sparse_list()
    {
        IVectorFeedback feedback = VectorFeedback.Rocchio(5);
        Fusion none = Fusion.Weighted(0), all = Fusion.Weighted(1), half = Fusion.Weighted(0.5);
        Run prf = Found(FeedbackPipeline.Prf(_dense, feedback));
        Same(prf, Found(FeedbackPipeline.Pre(_dense, _sparse, feedback, none)));
        Same(prf, Found(FeedbackPipeline.Post(_dense, _sparse, feedback, none)), scores: false);
        Same(_sparse, Found(FeedbackPipeline.Both(_dense, _sparse, feedback, half, all)), scores: false);
        Same(Found(FeedbackPipeline.FromSparse(_dense, _sparse, feedback)), Found(FeedbackPipeline.Pre(_dense, _sparse, feedback, all)));
        Same(Found(FeedbackPipeline.Pre(_dense, _sparse, feedback, half)), Found(FeedbackPipeline.Both(_dense, _sparse, feedback, half, none)), scores: false);
        Assert.NotEqual(prf["q0"].Select(d => d.Id), Found(FeedbackPipeline.Pre(_dense, _sparse, feedback, half))["q0"].Select(d => d.Id));
    }

    [Fact]
    public void Feedback_documents_are_those_of_the_list_that_feeds()
    {
        FeedbackResult prf = FeedbackPipeline.Prf(_dense, VectorFeedback.Average(3)).Run(s_queries, _vectors, Depth);
        Assert.Equal(prf.First["q1"].Take(3).Select(d => d.Id), prf.FeedbackDocuments["q1"]);
        FeedbackResult sparse = FeedbackPipeline.FromSparse(_dense, _sparse, VectorFeedback.Average(3)).Run(s_queries, _vectors, Depth, prf.First);
        Assert.Equal(_sparse["q1"].Take(3).Select(d => d.Id), sparse.FeedbackDocuments["q1"]);
        Assert.Equal("feedback from BM25", sparse.Run.Name);
    }

    [Fact]
    public void Short_lists_give_what_they_have_and_are_counted()
    {
        Run few = RetrievalData.Run("few", [.. s_queries.Select((q, i) => (q, i == 0 ? Array.Empty<(string, double)>() : [("d1", 2.0), ("d2", 1.0)]))]);
        FeedbackResult result = FeedbackPipeline.FromSparse(_dense, few, VectorFeedback.Rocchio(5)).Run(s_queries, _vectors, Depth);
        Assert.Equal((5, 2), (result.ShortLists, result.FeedbackDocuments["q1"].Count));
        Assert.Equal(result.First["q0"].Select(d => d.Id), result.Run["q0"].Select(d => d.Id));
        Assert.Contains("5 queries had fewer", result.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Bottom_documents_push_away()
    {
        Tensor query = tensor(new float[] { 1, 0 }), top = tensor(new float[,] { { 0, 2 } }), bottom = tensor(new float[,] { { 4, 0 }, { 0, 4 } });
        Assert.Equal([0.5f - (0.25f * 2), (0.5f * 2) - (0.25f * 2)], VectorFeedback.Rocchio(1, 0.5, 0.5, 0.25, 2).Apply(query, top, bottom).data<float>().ToArray());
        Assert.Equal([0.5f, 1f], VectorFeedback.Rocchio(1, 0.5, 0.5, 0.25, 2).Apply(query, top).data<float>().ToArray());
    }

    [Fact]
    public void Bad_arguments_are_refused()
    {
        IVectorFeedback feedback = VectorFeedback.Average(3);
        Run unknown = RetrievalData.Run("foreign", [.. s_queries.Select(q => (q, new[] { ("x", 1.0) }))]);
        Assert.Contains("'x' of run 'foreign' has no vector", Assert.Throws<ArgumentException>(() => Found(FeedbackPipeline.FromSparse(_dense, unknown, feedback))).Message, StringComparison.Ordinal);
        Assert.Contains("lacks the query 'q1'", Assert.Throws<ArgumentException>(() => Found(FeedbackPipeline.FromSparse(_dense, _sparse.Of(["q0"]), feedback))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => FeedbackPipeline.Prf(_dense, feedback).Run(s_queries, zeros([5, 3]), Depth));
        Assert.Throws<ArgumentOutOfRangeException>(() => FeedbackPipeline.Prf(_dense, feedback).Run(s_queries, _vectors, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => VectorFeedback.Average(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => VectorFeedback.Rocchio(3, -0.1));
        Assert.Throws<ArgumentException>(() => VectorFeedback.Rocchio(3, 0, 0));
        Assert.Throws<ArgumentException>(() => VectorFeedback.Rocchio(3, gamma: 0.1));
        Assert.Throws<ArgumentException>(() => feedback.Apply(zeros([4]), zeros([2, 3])));
        Assert.Throws<ArgumentException>(() => feedback.Apply(full([3], double.NaN), zeros([2, 3])));
    }
}
