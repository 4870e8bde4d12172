using Sparseland.Recommendation;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Recommendation;

/// <summary>Recommenders, their data and their measure, tried by another hand.</summary>
public class RecommendationTrialTests
{
    private sealed class Table(float[,] scores) : IRecommender
    {
        public Tensor Scores(IReadOnlyList<int> users) => tensor(scores).index_select(0, tensor(users.Select(u => (long)u).ToArray()));
    }

    [Fact]
    public void Seen_items_take_no_place_from_items_that_a_model_rules_out()
    {
        // A model says minus infinity of what it rules out, and so does the measure of what was seen: they must not be mixed up.
        float no = float.NegativeInfinity;
        Interactions seen = Interactions.Of(2, 4, [(0, 0), (0, 1), (1, 0)]), heldOut = Interactions.Of(2, 4, [(0, 3), (1, 3)]);
        RecommendationReport report = RecommenderEvaluation.Of(new Table(new[,] { { 5, 4, 1, no }, { 1, no, no, no } }), seen, heldOut, k: 2);
        Assert.Equal([1.0, 0.0], report.Recall);
        report = RecommenderEvaluation.Of(new Table(new[,] { { no, no, no, no }, { no, no, no, no } }), seen, heldOut, k: 3);
        Assert.Equal([1.0, 1.0], report.Recall);
        Assert.Equal(1 / Math.Log2(3), report.Ndcg[0], 1e-12);
        Assert.Equal(0.5, report.Ndcg[1], 1e-12);
        Assert.Throws<ArgumentException>(() => RecommenderEvaluation.Of(new Table(new[,] { { 5, 4, float.NaN, no }, { 1, no, no, no } }), seen, heldOut, k: 2));
        Assert.Equal(1, RecommenderEvaluation.Of(new Table(new[,] { { float.PositiveInfinity, 4, 1, float.PositiveInfinity }, { 1, no, no, no } }), seen, heldOut, k: 1).Recall[0]);
    }

    [Fact]
    public void The_measure_is_a_sort_of_everything_over_drawn_scores()
    {
        for (int seed = 0; seed < 40; seed++)
        {
            var random = new Random(seed);
            (int users, int items, int k) = (random.Next(1, 6), random.Next(2, 40), random.Next(1, 50));
            float[,] scores = new float[users, items];
            var (seen, held) = (new List<(int, int)>(), new List<(int, int)> { (0, 0) });
            for (int u = 0; u < users; u++)
            {
                for (int i = 0; i < items; i++)
                {
                    scores[u, i] = random.Next(4) - 2;
                    int lot = random.Next(4);
                    if (lot == 0) seen.Add((u, i));
                    else if (lot == 1) held.Add((u, i));
                }
            }

            seen.Remove((0, 0));
            Interactions known = Interactions.Of(users, items, seen), out1 = Interactions.Of(users, items, held);
            RecommendationReport report = RecommenderEvaluation.Of(new Table(scores), known, out1, k);
            for (int row = 0; row < report.Users.Count; row++)
            {
                int u = report.Users[row];
                int[] ranked = [.. Enumerable.Range(0, items).Where(i => !seen.Contains((u, i))).OrderByDescending(i => scores[u, i]).ThenBy(i => i).Take(k)];
                int own = Enumerable.Range(0, items).Count(i => held.Contains((u, i)));
                double dcg = ranked.Select((i, rank) => held.Contains((u, i)) ? 1 / Math.Log2(rank + 2) : 0).Sum(), ideal = Enumerable.Range(0, Math.Min(own, k)).Sum(rank => 1 / Math.Log2(rank + 2));
                Assert.Equal((double)ranked.Count(i => held.Contains((u, i))) / own, report.Recall[row], 1e-12);
                Assert.Equal(dcg / ideal, report.Ndcg[row], 1e-12);
            }
        }
    }

    [Fact]
    public void A_user_that_is_not_there_is_named_by_every_recommender()
    {
        using DisposeScope scope = NewDisposeScope();
        Interactions data = Interactions.Of(3, 4, [(0, 0), (1, 1), (2, 2)]);
        using var gcn = new LightGcn(data, 4, 1);
        using var vae = new MultVae(data, 4, 2);
        using var neu = new NeuMf(3, 4, 2);
        foreach (IRecommender model in new IRecommender[] { gcn, vae, neu, new PopularityRecommender(data) })
        {
            foreach (int user in new[] { -1, 3, int.MaxValue }) Assert.Contains($"{user}", Assert.ThrowsAny<ArgumentException>(() => model.Scores([0, user])).Message, StringComparison.Ordinal);
            Assert.Equal([0L, 4], model.Scores([]).shape);
            Assert.Equal([2L, 4], model.Scores([2, 2]).shape);
        }
    }

    [Fact]
    public void Light_gcn_wants_its_own_sizes()
    {
        using DisposeScope scope = NewDisposeScope();
        Interactions data = Interactions.Of(3, 4, [(0, 0), (1, 1), (2, 2), (2, 0)]);
        foreach (int layers in new[] { 0, 2 })
        {
            using var gcn = new LightGcn(data, 4, layers);
            foreach (Tensor wrong in new[] { zeros(6, 4), zeros(7), zeros(7, 4, ScalarType.Float64), zeros(1, 7, 4) }) Assert.ThrowsAny<ArgumentException>(() => gcn.Propagate(wrong));
            Assert.Equal([7L, 5], gcn.Propagate(ones(7, 5)).shape);

            // A view is its numbers.
            Tensor view = rand(4, 7).t();
            Assert.True(gcn.Propagate(view).equal(gcn.Propagate(view.contiguous())).all().item<bool>());

            // Triples of other data: user 3 here would be an item.
            Assert.ThrowsAny<ArgumentException>(() => gcn.Gradients(new(tensor(new[] { 3L }), tensor(new[,] { { 0L, 1 } })), 1));
            Assert.ThrowsAny<ArgumentException>(() => gcn.Gradients(new(tensor(new[] { 0L }), tensor(new[,] { { 0L, 4 } })), 1));
            Assert.ThrowsAny<ArgumentException>(() => gcn.Gradients(new(tensor(new[] { 0L }), tensor(new[,] { { -1L, 1 } })), 1));
        }
    }

    [Fact]
    public void Propagation_is_its_matrix_power_written_out()
    {
        using DisposeScope scope = NewDisposeScope();
        Interactions data = Interactions.Of(4, 5, [(0, 0), (0, 1), (1, 1), (2, 3), (2, 0), (2, 4)]);
        Tensor a = zeros(9, 9, ScalarType.Float64);
        foreach ((int u, int i) in new[] { (0, 0), (0, 1), (1, 1), (2, 3), (2, 0), (2, 4) }) (a[u, 4 + i], a[4 + i, u]) = (1, 1);
        Tensor degrees = a.sum(1), root = where(degrees > 0, degrees.pow(-0.5), zeros_like(degrees)), operatorOf = root.unsqueeze(1) * a * root, table = randn(9, 3, ScalarType.Float64);
        Tensor mean = zeros_like(table), layer = table;
        for (int l = 0; l <= 3; l++, layer = operatorOf.mm(layer)) mean += layer / 4;
        using var gcn = new LightGcn(data, 3, 3);
        Assert.True(gcn.Propagate(table.to(ScalarType.Float32)).to(ScalarType.Float64).sub(mean).abs().max().item<double>() < 1e-6);
    }

    [Fact]
    public void Users_of_few_topics_stay_so_however_small_the_concentration_is()
    {
        foreach (double concentration in new[] { 1e-2, 1e-3, 1e-4, 1e-6, 1e-300 })
        {
            GeneratedInteractions drawn = InteractionGenerator.Draw(new() { Users = 100, Items = 60, Longest = 40, Concentration = concentration });
            int single = Enumerable.Range(0, 100).Count(u => Enumerable.Range(0, 16).Max(t => drawn.UserTopics[u, t]) > 0.9);
            Assert.True(single >= 65, $"At {concentration} only {single} of 100 users have a topic.");
            Assert.All(Enumerable.Range(0, 100), u => Assert.Equal(1, Enumerable.Range(0, 16).Sum(t => drawn.UserTopics[u, t]), 1e-9));

            // And every topic is somebody's.
            Assert.True(Enumerable.Range(0, 16).Count(t => Enumerable.Range(0, 100).Any(u => drawn.UserTopics[u, t] > 0.5)) >= 12);
        }
    }

    [Fact]
    public void A_best_that_nothing_could_validate_is_refused_at_once()
    {
        Interactions data = Interactions.Of(3, 4, [(0, 0), (1, 1), (2, 2), (2, 0)]);
        using var gcn = new LightGcn(data, 4, 1);
        Assert.Throws<ArgumentException>(() => new BestOnValidation(gcn, data.Split(validation: 0)));
    }

    [Fact]
    public void A_sparse_table_of_a_view_is_its_numbers_and_scores_are_products()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor table = randn(5, 9).t(), mask = rand(5, 9).t().gt(0.6);
        SparseEmbedding sparse = SparseEmbedding.Of(table, mask);
        Tensor dense = table * mask;
        Assert.True(sparse.ToDense().equal(dense).all().item<bool>());
        Assert.Equal(dense.narrow(0, 2, 6).mv(dense[1]).data<float>().ToArray().Select(v => Math.Round(v, 4)), sparse.Scores(1, 2, 6).Select(v => Math.Round(v, 4)));
        Assert.Equal((6L * mask.sum().item<long>()) + (4 * 10), sparse.Bytes);
        Assert.Empty(sparse.Scores(0, 9, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => sparse.Scores(0, 9, 1));
    }

    [Fact]
    public void The_schedule_is_its_formula_and_explorations_keep_every_count()
    {
        Interactions data = InteractionGenerator.Draw(new() { Users = 60, Items = 50, Longest = 40 }).Interactions;
        using var gcn = new LightGcn(data, 8, 2);
        TrainingOptions training = new() { Steps = 40, LearningRate = 0.01, WeightDecay = 0 };
        using var learning = new DynamicSparseLearning(gcn, new TripleBatches(data, 64), gcn.Gradients, training, new() { Density = 0.3, Interval = 7 });
        long active = (long)Math.Round(0.3 * 110 * 8);
        for (int step = 1; step <= 40; step++)
        {
            ExplorationReport? report = learning.Step();
            Assert.Equal(step % 7 == 0, report is not null);
            using Tensor away = gcn.Table.ne(0);
            Assert.InRange(away.sum().item<long>(), 0, active);
            if (report is null) continue;
            double ratio = 0.005 + (0.5 * (0.5 - 0.005) * (1 + Math.Cos(Math.PI * step / 40)));
            Assert.Equal(ratio, report.RatioUsed, 1e-12);
            Assert.Equal((int)Math.Ceiling(ratio * active), report.Pruned);
            Assert.Equal(report.Pruned, report.Grown);
        }
    }

    [Fact]
    public void Every_user_keeps_one_to_learn_from_whatever_the_shares()
    {
        Interactions data = InteractionGenerator.Draw(new() { Users = 40, Items = 30, Shortest = 1, Longest = 30, MedianLength = 4 }).Interactions;
        foreach ((double test, double validation) in new[] { (0.9999999999, 0), (0.5 - 1e-12, 0.5), (0, 0.9999999999), (0.2, 0.1) })
        {
            InteractionSplit split = data.Split(test, validation);
            Assert.Equal(0, split.ColdUsers);
            Assert.Equal(data.Count, split.Training.Count + split.Validation.Count + split.Test.Count);
        }

        Assert.Equal(0, Interactions.Of(2, 2, []).Split().Training.Count);
    }

    [Fact]
    public void Nothing_is_left_to_the_collector()
    {
        using DisposeScope scope = NewDisposeScope();
        Interactions data = InteractionGenerator.Draw(new() { Users = 30, Items = 40, Longest = 30 }).Interactions;
        InteractionSplit split = data.Split();
        using var gcn = new LightGcn(data, 4, 2);
        using var vae = new MultVae(data, 8, 3);
        using var neu = new NeuMf(30, 40, 4);
        Batch triples = new TripleBatches(data, 16).At(0), pairs = new LabelledPairBatches(data, 8).At(0), histories = new HistoryBatches(data, 8).At(0);
        Tensor table = randn(5, 6), history = rand(3, 40), latent = randn(3, 3);
        gcn.Gradients(triples, 1);
        var calls = new (string Name, Func<IDisposable?> Call)[]
        {
            ("LightGcn", () => gcn.Scores([1, 2])), ("Gradients", () => None(gcn.Gradients(triples, 1))), ("MultVae", () => vae.Scores([1, 2])), ("MultVae loss", () => vae.Loss(histories)), ("Decode", () => vae.Decode(latent)),
            ("Encode", () => { (Tensor mean, Tensor log) = vae.Encode(history); log.Dispose(); return mean; }), ("NeuMf", () => neu.Scores([1, 2])), ("NeuMf loss", () => neu.Loss(pairs)), ("Logits", () => neu.Logits(pairs.Input)),
            ("Popularity", () => new PopularityRecommender(data).Scores([1, 2])), ("SparseEmbedding", () => None(SparseEmbedding.Of(table))), ("ToDense", () => SparseEmbedding.Of(table).ToDense()),
            ("Evaluation", () => None(RecommenderEvaluation.Of(neu, split.Training, split.Test))),
        };
        foreach ((string name, Func<IDisposable?> call) in calls)
        {
            call()?.Dispose();
            long alive = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
            for (int i = 0; i < 5; i++) call()?.Dispose();
            Assert.True(alive == DisposeScopeManager.Statistics.ThreadTotalLiveCount, $"{name} leaves {(DisposeScopeManager.Statistics.ThreadTotalLiveCount - alive) / 5.0} tensors a call.");
        }

        static IDisposable? None(object made) => made is null ? throw new InvalidOperationException() : null;
    }
}
