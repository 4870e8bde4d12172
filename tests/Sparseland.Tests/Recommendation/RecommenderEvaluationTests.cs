using Sparseland.Recommendation;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Recommendation;

public class RecommenderEvaluationTests
{
    [Fact]
    public void Seen_items_are_out_of_the_ranking_and_users_without_held_out_items_out_of_the_mean()
    {
        // User 0 has seen 4, the best; then 1, 3, 0, 2. User 1 has nothing held out. User 2 ties: items in order.
        float[,] scores = { { 0.3f, 0.8f, 0.1f, 0.5f, 0.9f }, { 1, 2, 3, 4, 5 }, { 0, 0, 0, 0, 0 } };
        Interactions seen = Interactions.Of(3, 5, [(0, 4), (1, 0), (2, 1)]), heldOut = Interactions.Of(3, 5, [(0, 3), (0, 2), (2, 0), (2, 3)]);
        RecommendationReport report = RecommenderEvaluation.Of(new Table(scores), seen, heldOut, k: 2);
        Assert.Equal([0, 2], report.Users);

        // Ranks 1, 2 of user 0 are 1 and 3: one of two found, at rank 2. Of user 2: 0 and 2, one found, at rank 1.
        Assert.Equal([0.5, 0.5], report.Recall);
        double ideal = 1 + (1 / Math.Log2(3));
        Assert.Equal(1 / Math.Log2(3) / ideal, report.Ndcg[0], 1e-12);
        Assert.Equal(1 / ideal, report.Ndcg[1], 1e-12);
        Assert.Equal(0.5, report.MeanRecall);

        // With room for everything all are found; seen ones never stand in the list.
        RecommendationReport all = RecommenderEvaluation.Of(new Table(scores), seen, heldOut, k: 50);
        Assert.Equal([1.0, 1.0], all.Recall);
    }

    [Fact]
    public void Popularity_counts()
    {
        Interactions seen = Interactions.Of(3, 3, [(0, 2), (1, 2), (1, 0), (2, 2)]);
        using Tensor scores = new PopularityRecommender(seen).Scores([1, 0]);
        Assert.Equal([1f, 0, 3, 1, 0, 3], scores.data<float>().ToArray());
    }

    [Fact]
    public void Bad_input_is_named()
    {
        Interactions seen = Interactions.Of(1, 3, [(0, 0)]), heldOut = Interactions.Of(1, 3, [(0, 1)]);
        Assert.Throws<ArgumentException>("heldOut", () => RecommenderEvaluation.Of(new Table(new float[1, 3]), seen, seen));
        Assert.Throws<ArgumentException>("heldOut", () => RecommenderEvaluation.Of(new Table(new float[1, 3]), seen, Interactions.Of(1, 3, [])));
        Assert.Throws<ArgumentException>("heldOut", () => RecommenderEvaluation.Of(new Table(new float[1, 3]), seen, Interactions.Of(2, 3, [(0, 1)])));
        Assert.Throws<ArgumentException>("recommender", () => RecommenderEvaluation.Of(new Table(new float[1, 4]), seen, heldOut));
        Assert.ThrowsAny<ArgumentException>(() => RecommenderEvaluation.Of(new Table(new[,] { { float.NaN, 1, 2 } }), seen, heldOut));
        Assert.Throws<ArgumentOutOfRangeException>("k", () => RecommenderEvaluation.Of(new Table(new float[1, 3]), seen, heldOut, 0));
    }

    private sealed class Table(float[,] scores) : IRecommender
    {
        public Tensor Scores(IReadOnlyList<int> users) => tensor(scores).index_select(0, tensor(users.Select(u => (long)u).ToArray()));
    }
}
