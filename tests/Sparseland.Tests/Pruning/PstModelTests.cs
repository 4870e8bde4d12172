using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

public class PstModelTests
{
    private static readonly Func<string, bool> s_head = name => name.StartsWith("head", StringComparison.Ordinal);
    private static readonly PstOptions s_small = new() { WeightRank = 2, ScoreRank = 3 };

    private static PooledClassifier Network() =>
        new(new TinyLM(new LlamaConfig { Vocabulary = 30, Width = 16, Layers = 2, Heads = 2, KeyValueHeads = 1, MlpWidth = 24, Context = 12 }, seed: 5), 3);

    private static (Tensor X, Tensor Labels) Data(int count = 48)
    {
        // The class is that of the first token.
        using var generator = new Generator(6);
        Tensor X = randint(0, 30, [count, 7], dtype: ScalarType.Int64, generator: generator), labels = X.select(1, 0).remainder(3);
        return (X, labels);
    }

    private static PstTrainingOptions Few(double sparsity, long steps = 20) => new() { Sparsity = sparsity, Training = new PstTrainingOptions().Training with { Steps = steps, LearningRate = 1e-2 } };

    [Theory]
    [InlineData("pst")]
    [InlineData("magnitude")]
    [InlineData("movement")]
    public void A_network_is_pruned_while_it_learns_and_merges_into_an_ordinary_one(string kind)
    {
        using var scope = NewDisposeScope();
        using PooledClassifier network = Network();
        (Tensor X, Tensor labels) = Data();
        long blocks = LinearSlots.Of(network).Sum(s => ((Linear)s.Module).weight!.numel());
        var seen = new List<double>();
        using PstModel model = kind switch
        {
            "pst" => PstModel.Convert(network, null, s_small, s_head),
            "magnitude" => PstModel.Convert(network, null, PstOptions.Magnitude with { WeightRank = 2 }, s_head),
            _ => PstModel.Convert(network, null, new MovementOptions(), s_head),
        };
        long sides = model.Layers.Sum(l => l.Layer.Outputs + l.Layer.Inputs), head = (16 * 3) + 3;
        Assert.Equal(14, model.Layers.Count);
        Assert.Equal(head + (kind switch { "pst" => 6 * sides, "magnitude" => 2 * sides, _ => 2 * blocks }), model.TrainableParameters);
        Tensor embeddings = network.Decoder.Embeddings.detach().clone();
        var reports = new List<ProgressReport>();
        TrainingResult result = PstTraining.Run(
            model, new SampleBatches(X, labels, 12, 1), Losses.CrossEntropy(network), Few(0.8), new() { OnStep = (_, _) => seen.Add(model.Sparsity) }, progress: new Reports(reports));

        // 10 % of 20 steps without pruning, the last 30 % with all of it, and never less than before.
        Assert.Equal([0.0, 0.0], seen[..2]);
        Assert.All(seen[14..], s => Assert.Equal(0.8, s));
        Assert.True(seen[3] > 0 && seen[13] < 0.8 && seen.SequenceEqual(seen.Order()));
        Assert.Equal(20, reports.Count);
        Assert.Equal(0, result.History[^1].LearningRate);
        Assert.True(network.Decoder.Embeddings.eq(embeddings).all().item<bool>());

        network.eval();
        using IDisposable off = no_grad();
        Tensor before = network.call(X);
        PstExport export = model.Merge();
        Assert.Null(export.Warning);
        Assert.Equal(blocks, export.Weights);
        Assert.Equal(model.Layers.Sum(l => (long)Math.Floor((0.8 * l.Layer.Outputs * l.Layer.Inputs) + 1e-6)), export.Zeros);
        Assert.True((network.call(X) - before).abs().max().item<float>() < 1e-5);
        model.Dispose();
        Assert.All(LinearSlots.Of(network), s => Assert.IsType<Linear>(s.Module));
        Assert.True((network.call(X) - before).abs().max().item<float>() < 1e-5);
        Assert.All(network.named_parameters(), p => Assert.True(p.parameter.requires_grad));
        Assert.Throws<ObjectDisposedException>(model.Merge);
        Assert.Throws<ObjectDisposedException>(() => model.SetSparsity(0.9));
    }

    [Fact]
    public void The_same_seed_gives_the_same_network_and_a_checkpoint_goes_on_bit_for_bit()
    {
        using var scope = NewDisposeScope();
        (Tensor X, Tensor labels) = Data();
        float[] Once(long seed, string? checkpoint)
        {
            using PooledClassifier network = Network();
            using PstModel model = PstModel.Convert(network, null, s_small with { Seed = seed }, s_head);
            PstTrainingOptions options = Few(0.7);
            if (checkpoint is not null) options = options with { Training = options.Training with { Checkpoint = checkpoint } };
            using TrainingLoop loop = PstTraining.Loop(model, new SampleBatches(X, labels, 12, 1), Losses.CrossEntropy(network), options);
            if (checkpoint is not null && File.Exists(checkpoint)) loop.Load(checkpoint);
            while (loop.Done < (checkpoint is not null && !File.Exists(checkpoint) ? 9 : 20)) loop.Step();
            if (checkpoint is not null) loop.Save(checkpoint);
            return [.. model.Layers.SelectMany(l => l.Layer.Export().data<float>().ToArray())];
        }

        float[] whole = Once(1, null);
        Assert.Equal(whole, Once(1, null));
        Assert.NotEqual(whole, Once(2, null));
        string file = Path.Combine(Path.GetTempPath(), $"pst-{Guid.NewGuid():N}.safetensors");
        try
        {
            Assert.NotEqual(whole, Once(1, file));
            Assert.Equal(whole, Once(1, file));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void Disposing_alone_puts_the_dense_network_back_and_stopping_early_is_warned_of()
    {
        using var scope = NewDisposeScope();
        using PooledClassifier network = Network();
        (Tensor X, Tensor labels) = Data();
        Tensor before = network.call(X).detach();
        using var stop = new CancellationTokenSource();
        using (PstModel model = PstModel.Convert(network, null, s_small, s_head))
        {
            Assert.Throws<OperationCanceledException>(() => PstTraining.Run(
                model, new SampleBatches(X, labels, 12, 1), Losses.CrossEntropy(network), Few(0.8),
                new() { OnStep = (_, report) => { if (report.Step == 8) stop.Cancel(); } }, cancel: stop.Token));
        }

        // The head has learned; the blocks are as they were.
        using IDisposable off = no_grad();
        network.Head.weight!.zero_();
        network.Head.bias!.zero_();
        Assert.True(network.call(X).eq(before).all().item<bool>());
        using PstModel second = PstModel.Convert(network, null, s_small, s_head);
        second.Target = 0.9;
        second.SetSparsity(0.25);
        Assert.Contains("0.25", second.Merge().Warning, StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_be_converted_is_refused_and_nothing_changes()
    {
        using var scope = NewDisposeScope();
        using PooledClassifier network = Network();
        string first = LinearSlots.Of(network)[0].Name;
        Assert.Throws<ArgumentException>(() => PstModel.Convert(network, _ => false, s_small));
        Assert.Throws<ArgumentException>(() => PstModel.Convert(network, null, s_small, name => name == "hat.weight"));
        Assert.Contains("k_proj", Assert.Throws<ArgumentOutOfRangeException>(() => PstModel.Convert(network, null, s_small with { WeightRank = 16 })).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => PstModel.Convert(network, null, s_small with { ScoreRank = 0 }));
        Assert.All(LinearSlots.Of(network), s => Assert.IsType<Linear>(s.Module));
        using (PstModel model = PstModel.Convert(network, name => name == first, s_small))
        {
            Assert.Single(model.Layers);
            Assert.Contains(first, Assert.Throws<ArgumentException>(() => PstModel.Convert(network, null, new MovementOptions())).Message, StringComparison.Ordinal);
        }

        using Linear one = nn.Linear(4, 4), two = nn.Linear(4, 4);
        two.weight = one.weight;
        using Sequential tied = nn.Sequential(("a", one), ("b", two));
        Assert.Contains("tied", Assert.Throws<ArgumentException>(() => PstModel.Convert(tied, null, s_small)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Schedules_without_room_and_falling_sparsity_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new PstTrainingOptions { InitialShare = 0.6, FinalShare = 0.4 }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => new PstTrainingOptions { InitialShare = -0.1 }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => new PstTrainingOptions { FinalShare = double.NaN }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => new PstTrainingOptions { Sparsity = 1 }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => new PstTrainingOptions { Sparsity = double.NaN }.Schedule());
        using var scope = NewDisposeScope();
        using PooledClassifier network = Network();
        (Tensor X, Tensor labels) = Data();
        using PstModel model = PstModel.Convert(network, null, s_small, s_head);
        model.SetSparsity(0.5);
        Assert.Throws<ArgumentException>(() => PstTraining.Run(model, new SampleBatches(X, labels, 12, 1), Losses.CrossEntropy(network), Few(0.8)));
        Assert.Throws<ArgumentOutOfRangeException>(() => model.SetSparsity(0.4));
    }

    [Fact]
    public void Movement_is_the_sum_over_the_training_whichever_way_it_is_taken()
    {
        using var scope = NewDisposeScope();
        using PooledClassifier network = Network();
        (Tensor X, Tensor labels) = Data();
        using PstModel model = PstModel.Convert(network, null, new MovementOptions(), s_head);
        using MovementScore movement = MovementScore.Of(model);
        Assert.Throws<InvalidOperationException>(movement.Scores);
        Assert.Throws<InvalidOperationException>(movement.Add);
        using var sgd = new SgdOptimizer(network);
        const double eta = 0.3;
        PstTrainingOptions options = Few(0.5);
        options = options with { Training = options.Training with { LearningRate = eta, FinalRate = 1, ClipNorm = double.PositiveInfinity } };
        PstTraining.Run(model, new SampleBatches(X, labels, 12, 1), Losses.CrossEntropy(network), options, new() { OnGradients = _ => movement.Add() }, sgd);

        // Under plain gradient descent the trained scores are eta times the sums.
        using ParameterScores scores = movement.Scores();
        Assert.Equal(20, movement.Steps);
        Assert.All(model.Layers, l => Assert.True(((((MovementLinear)l.Layer).Scores / eta) - scores[l.Name]).norm().item<double>() <= 1e-5 * scores[l.Name].norm().item<double>()));
        using PooledClassifier other = Network();
        using PstModel pst = PstModel.Convert(other, null, s_small);
        Assert.Throws<ArgumentException>(() => MovementScore.Of(pst));
    }

    [Fact]
    public void Movement_of_a_plain_parameter_is_minus_gradient_times_weight()
    {
        using var scope = NewDisposeScope();
        using Linear linear = nn.Linear(3, 2, hasBias: false);
        using Sequential network = nn.Sequential(("one", linear));
        using MovementScore movement = MovementScore.Of(network);
        Tensor expected = zeros(2, 3, dtype: ScalarType.Float64);
        for (int t = 1; t <= 3; t++)
        {
            linear.zero_grad();
            (linear.call(ones(1, 3) * t).sum() * t).backward();
            movement.Add();

            // The gradient of t sum(W (t, t, t)) is t^2 everywhere.
            expected -= linear.weight!.detach() * (t * t);
        }

        using ParameterScores scores = movement.Scores();
        Assert.True((scores["one.weight"] - expected).abs().max().item<double>() < 1e-5);
        using MaskSet masks = MaskSet.FromScores(network, scores, PruningPattern.PerLayer(0.5));
        Assert.Equal(3, masks.Active);
        Assert.Throws<ArgumentException>(() => MovementScore.Step(ones(2), ones(3)));
        Assert.Throws<ArgumentException>(() => MovementScore.Of(network, ["other"]));
        (linear.call(ones(1, 3)).sum() / 0).backward();
        Assert.Throws<ArithmeticException>(movement.Add);
        Assert.Equal(3, movement.Steps);
    }

    [Fact]
    public void Scores_are_taken_apart_and_shuffling_loses_the_order_only()
    {
        using var scope = NewDisposeScope();

        // NumPy 1.24: numpy.linalg.svd([[1, 2], [3, 4], [5, 6]], compute_uv=False).
        Tensor M = tensor(new double[] { 1, 2, 3, 4, 5, 6 }, [3, 2]);
        Assert.Equal(9.525518091565104, ScoreAnalysis.SingularValues(M)[0], 1e-12);
        Assert.Equal(0.5143005806586446, ScoreAnalysis.SingularValues(M)[1], 1e-12);
        Assert.Equal(9.525518091565104 * 9.525518091565104 / 91, ScoreAnalysis.TopShare(M, 1), 1e-12);
        RowColumnProfile profile = ScoreAnalysis.RowColumnProfile(M);
        Assert.Equal([Math.Sqrt(5), 5, Math.Sqrt(61)], profile.RowNorms);
        Assert.Equal([Math.Sqrt(35), Math.Sqrt(56)], profile.ColumnNorms);
        Assert.Equal((Math.Sqrt(56) - Math.Sqrt(35)) / (Math.Sqrt(56) + Math.Sqrt(35)), profile.ColumnVariation, 1e-12);
        Tensor rows = (Normal(1, 40, 1).exp() * Normal(2, 40, 30)).to(ScalarType.Float64), shuffled = ScoreAnalysis.Shuffled(rows, 3);
        Assert.Equal(rows.data<double>().ToArray().Order(), shuffled.data<double>().ToArray().Order());
        Assert.True(ScoreAnalysis.RowColumnProfile(rows).RowVariation > 2 * ScoreAnalysis.RowColumnProfile(shuffled).RowVariation);
        Assert.True(shuffled.eq(ScoreAnalysis.Shuffled(rows, 3)).all().item<bool>());
        Assert.Throws<ArgumentException>(() => ScoreAnalysis.SingularValues(zeros(3, 3)));
        Assert.Throws<ArgumentException>(() => ScoreAnalysis.SingularValues(zeros(3)));
        Assert.Throws<ArgumentException>(() => ScoreAnalysis.RowColumnProfile(M / 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => ScoreAnalysis.TopShare(M, 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => ScoreAnalysis.TopShare(M, 0));
    }

    private static Tensor Normal(ulong seed, params long[] shape)
    {
        using var generator = new Generator(seed);
        return randn(shape, generator: generator);
    }

    private sealed class Reports(List<ProgressReport> list) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => list.Add(value);
    }
}
