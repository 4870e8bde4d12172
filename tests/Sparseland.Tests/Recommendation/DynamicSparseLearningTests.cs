using Sparseland.Recommendation;
using Sparseland.Selection;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Recommendation;

public sealed class DynamicSparseLearningTests : IDisposable
{
    private static readonly InteractionSplit Data = InteractionGenerator.Draw(new() { Users = 60, Items = 80, Longest = 60 }, 2).Interactions.Split();
    private static readonly TrainingOptions Short = new() { Steps = 40, LearningRate = 0.01, FinalRate = 1, WeightDecay = 0, Beta2 = 0.999, ClipNorm = double.PositiveInfinity };
    private static readonly DynamicSparseLearningOptions Sparse = new() { Density = 0.2, Interval = 5, Seed = 3 };
    private readonly string _folder = Directory.CreateTempSubdirectory("sparseland-dsl-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void An_exploration_is_that_of_the_published_code()
    {
        // Recorded with numpy from a restatement of its threshold and growth rules, on weights without ties; ratio 0.3 of 39.
        using var scope = NewDisposeScope();
        int[] all = [.. Enumerable.Range(0, 96)];
        Tensor mask = tensor(all.Select(i => i * 7 % 5 < 2).ToArray(), [12, 8]);
        Tensor weight = tensor(all.Select(i => Math.Sin((1.7 * i) + 0.3)).ToArray(), [12, 8]).mul(mask);
        Tensor gradient = tensor(all.Select(i => Math.Cos((2.3 * i * i) + 0.1)).ToArray(), [12, 8]);
        TopologyChange change = DynamicSparseLearning.Explore(weight, mask, gradient, 0.3);
        Assert.Equal(27, change.Kept.Count);
        Assert.Equal([0, 13, 20, 33, 35, 48, 50, 55, 68, 70, 83, 85], Flat(change.Dropped));
        Assert.Equal([0, 2, 7, 20, 21, 26, 54, 56, 66, 74, 89, 94], Flat(change.Grown));
        Assert.Equal([0, 20], Flat(change.Regrown));
        Assert.Throws<ArgumentOutOfRangeException>("ratio", () => DynamicSparseLearning.Explore(weight, mask, gradient, 1.5));
    }

    [Theory]
    [InlineData(MomentRule.Keep)]
    [InlineData(MomentRule.Reset)]
    public void The_number_of_weights_stays_and_the_inactive_are_zero(MomentRule moments)
    {
        using LightGcn model = Model();
        using DynamicSparseLearning training = Prepared(model, Sparse with { Moments = moments });
        long active = training.Masks.Active;
        Assert.Equal((long)Math.Round(0.2 * model.Table.numel()), active);
        for (int step = 1; step <= 40; step++)
        {
            ExplorationReport? report = training.Step();
            Assert.Equal(step % 5 == 0, report is not null);
            Assert.Equal(active, training.Masks.Active);
            using var scope = NewDisposeScope();
            Assert.True(model.Table.masked_select(training.Masks["table"].logical_not()).eq(0).all().item<bool>());
            if (report is null) continue;
            Assert.Equal(step, report.Step);
            Assert.Equal((report.Pruned, (int)Math.Ceiling((report.RatioUsed * active) - 1e-6)), (report.Grown, report.Pruned));
        }

        Assert.Equal(8, training.Explorations.Count);
        Assert.Equal(0.005, training.Explorations[^1].RatioUsed, 1e-15);
        Assert.True(training.Explorations[^1].EverActive > 0.3);
    }

    [Fact]
    public void Nothing_to_move_is_a_static_mask_bit_for_bit()
    {
        float[] Trained(DynamicSparseLearningOptions options)
        {
            using LightGcn model = Model();
            using DynamicSparseLearning training = Prepared(model, options);
            training.Run();
            return model.Table.data<float>().ToArray();
        }

        float[] still = Trained(Sparse with { UpdateRatio = 0, FinalRatio = 0 });
        using LightGcn model = Model();
        using MaskSet masks = MaskSet.Random(model, 0.2, 3);
        using SparseOptimizer optimizer = new(new AdamWOptimizer(model, 0, 0.9, 0.999), masks);
        using TrainingLoop loop = new(model, new TripleBatches(Data.Training, 64), model.Gradients, Short, optimizer.Hooks(), optimizer);
        loop.Run();
        Assert.Equal(model.Table.data<float>().ToArray(), still);
        Assert.NotEqual(still, Trained(Sparse));
    }

    [Fact]
    public void A_killed_training_goes_on_bit_for_bit()
    {
        TrainingOptions options = Short with { Checkpoint = Path.Combine(_folder, "dsl.safetensors"), CheckpointEvery = 10 };
        using LightGcn whole = Model(), killed = Model(), fresh = Model();
        using DynamicSparseLearning straight = Prepared(whole, Sparse), first = Prepared(killed, Sparse, options), second = Prepared(fresh, Sparse, options);
        straight.Run();
        using var stop = new CancellationTokenSource();
        first.Optimizer.OnUpdate += report => { if (report.Step == 25) stop.Cancel(); };
        Assert.Throws<OperationCanceledException>(() => first.Run(cancel: stop.Token));
        second.Loop.Load(options.Checkpoint!);
        Assert.Equal(25, second.Loop.Done);
        second.Run();
        Assert.Equal(whole.Table.data<float>().ToArray(), fresh.Table.data<float>().ToArray());
        Assert.Equal(straight.Masks.SupportOf("table"), second.Masks.SupportOf("table"));
        Assert.Equal(straight.Optimizer.Fired.Rate, second.Optimizer.Fired.Rate);
    }

    [Fact]
    public void Every_model_trains_sparse()
    {
        using var scope = NewDisposeScope();
        using MultVae vae = new(Data.Training, 24, 8);
        using DynamicSparseLearning first = new(vae, new HistoryBatches(Data.Training, 16), vae.Loss, Short with { Steps = 200 }, Sparse);
        Tensor histories = Data.Training.Pairs.ToMask().to(ScalarType.Float32);

        // Minus the log likelihood of all histories, nothing hidden and nothing drawn.
        double Unlikely() => vae.Loss(histories, nn.functional.normalize(histories), shape => zeros(shape), 0).item<float>();
        double before = Unlikely();
        first.Run();
        Assert.True(Unlikely() < before - 2, $"{Unlikely()} after {before}");
        Assert.Equal(4, first.Masks.Names.Count);
        using NeuMf neural = new(60, 80);
        using DynamicSparseLearning second = new(neural, new LabelledPairBatches(Data.Training, 64), neural.Loss, Short with { Steps = 60 }, Sparse);
        TrainingResult done = second.Run();
        Assert.True(done.RecentLoss(10) < done.History.Take(10).Average(s => s.Loss));
        Assert.InRange(RecommenderEvaluation.Of(vae, Data.Training, Data.Test).MeanRecall, 0.05, 1);
    }

    [Fact]
    public void The_best_on_validation_comes_back()
    {
        using LightGcn model = Model();
        using BestOnValidation best = new(model, Data);
        Assert.Throws<InvalidOperationException>(best.Restore);
        Assert.True(double.IsNaN(best.Recall));
        List<(double Recall, float[] Table)> seen = [];
        using TrainingLoop loop = new(model, new TripleBatches(Data.Training, 64), model.Gradients, Short with { Steps = 300, EvaluateEvery = 20, LearningRate = 0.3 }, new()
        {
            Evaluate = cancel =>
            {
                seen.Add((best.Evaluate(cancel), model.Table.data<float>().ToArray()));
                return seen[^1].Recall;
            },
        });
        loop.Run();
        best.Restore();
        int at = seen.FindIndex(s => s.Recall == seen.Max(other => other.Recall));
        Assert.Equal((seen[at].Recall, at + 1, 15), (best.Recall, best.BestEvaluation, best.Evaluations));
        Assert.Equal(seen[at].Table, model.Table.data<float>().ToArray());
        Assert.True(at < 14, "overfitting was wanted");
        using Linear other = nn.Linear(2, 2);
        Assert.Throws<ArgumentException>("model", () => new BestOnValidation(other, Data));
    }

    [Fact]
    public void Bad_settings_say_what_would_not_happen()
    {
        using LightGcn model = Model();
        Assert.Contains("explored", Assert.Throws<ArgumentOutOfRangeException>("Interval", () => Prepared(model, Sparse with { Interval = 41 })).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>("Interval", () => Prepared(model, Sparse with { Interval = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>("Density", () => Prepared(model, Sparse with { Density = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>("Density", () => Prepared(model, Sparse with { Density = 1.5 }));
        Assert.Throws<ArgumentOutOfRangeException>("UpdateRatio", () => Prepared(model, Sparse with { UpdateRatio = -0.1 }));
        Assert.Contains("table", Assert.Throws<ArgumentException>("densities", () => Prepared(model, Sparse with { Density = 1e-5 })).Message, StringComparison.Ordinal);
        Assert.Equal(0.2 + (0.8 / 50), DynamicSparseLearning.DenseWorkShare(0.2, 50), 1e-15);
    }

    [Fact]
    public void Sparse_storage_gives_the_table_back_and_counts_its_indices()
    {
        using var scope = NewDisposeScope();
        using LightGcn model = Model();
        using MaskSet masks = MaskSet.Random(model, 0.2, 3);
        masks.Apply();

        // An active zero is stored, an inactive weight is not.
        Tensor table = model.Table.detach().clone(), mask = masks["table"];
        int at = mask.flatten().to(ScalarType.Int32).argmax().to(ScalarType.Int32).item<int>();
        table.flatten()[at] = 0f;
        SparseEmbedding sparse = SparseEmbedding.Of(table, mask);
        Assert.Equal(masks.Active, sparse.Count);
        Assert.Equal((6 * masks.Active) + (4 * 141), sparse.Bytes);
        Assert.Equal(4 * 140 * 16, sparse.DenseBytes);
        Assert.True(sparse.ToDense().eq(table).all().item<bool>());
        float[] expected = table.narrow(0, 60, 80).mv(table[7]).data<float>().ToArray(), scores = sparse.Scores(7, 60, 80);
        for (int i = 0; i < 80; i++) Assert.Equal(expected[i], scores[i], 1e-6);
        Assert.Throws<ArgumentOutOfRangeException>("first", () => sparse.Scores(7, 60, 81));
        Assert.Throws<ArgumentException>("table", () => SparseEmbedding.Of(zeros(3)));
        Assert.Throws<ArgumentException>("mask", () => SparseEmbedding.Of(zeros(3, 2), ones(2, 3, dtype: ScalarType.Bool)));
    }

    private static LightGcn Model() => new(Data.Training, width: 16, layers: 2, seed: 4);

    private static DynamicSparseLearning Prepared(LightGcn model, DynamicSparseLearningOptions options, TrainingOptions? training = null) =>
        new(model, new TripleBatches(Data.Training, 64), model.Gradients, training ?? Short, options);

    private static int[] Flat(Support support) => [.. from row in Enumerable.Range(0, support.Rows) from column in support.Row(row).ToArray() select (row * support.Columns) + column];
}
