using Sparseland.Models;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class ProximalTrainingTests
{
    private static readonly ProximalTrainingOptions Short = new() { Epochs = 40, BatchSize = 32, LearningRate = 0.2, Seed = 3 };

    [Theory]
    [InlineData(4)]
    [InlineData(6)]
    public void The_envelope_leaves_exactly_k_groups_whatever_the_strength(int k)
    {
        using var scope = NewDisposeScope();
        (Tensor X, Tensor labels) = TrainingData.Blobs(400, 8, 3, 11);
        ProximalTrainingOptions settled = Short with { Epochs = 100 };
        foreach (double strength in new[] { 0.05, 0.4 })
        {
            using Sequential network = TrainingData.Mlp();
            using var training = new ProximalTraining(network, X, labels, [TrainingData.Envelope(network, k, strength)], ["head"], settled);
            IReadOnlyList<EpochReport> history = training.Fit((X, labels));
            Assert.Equal(k, history[^1].Surviving[0]);
            Assert.True(history[0].Surviving[0] > k, "the level is reached gradually, not in the first epoch");
            Assert.True(history[^1].TestAccuracy > 0.75);
        }
    }

    [Fact]
    public void A_k_below_what_the_data_need_is_shared_by_more_groups()
    {
        // Three classes need three units. The envelope is convex: with k = 2 it gives each of the three about two thirds of a budget.
        using var scope = NewDisposeScope();
        (Tensor X, Tensor labels) = TrainingData.Blobs(400, 8, 3, 11);
        using Sequential network = TrainingData.Mlp();
        RegularizedGroups part = TrainingData.Envelope(network, 2, 0.2);
        using var training = new ProximalTraining(network, X, labels, [part], ["head"], Short);
        Assert.Equal(3, training.Fit()[^1].Surviving[0]);
        double[] norms = part.Groups.Norms(), budgets = new double[norms.Length];
        Sparseland.Penalties.EnvelopeLevel.Budgets(norms, Sparseland.Penalties.EnvelopeLevel.Of(norms, 2, 0), 0, budgets);
        Assert.All(budgets.Where(u => u > 0), u => Assert.InRange(u, 0.5, 0.9));
        Assert.Equal(2, budgets.Sum(), 1e-10);
    }

    [Fact]
    public void Group_lasso_counts_follow_the_strength()
    {
        using var scope = NewDisposeScope();
        (Tensor X, Tensor labels) = TrainingData.Blobs(400, 8, 3, 11);
        int[] counts = [.. new[] { 0.01, 0.1 }.Select(strength =>
        {
            using Sequential network = TrainingData.Mlp();
            GroupSpec rows = GroupSpec.Rows(TrainingData.Fc1(network));
            using var training = new ProximalTraining(network, X, labels, [new(rows, new GroupLassoRegularizer(strength))], ["head"], Short);
            return training.Fit()[^1].Surviving[0];
        })];
        Assert.True(counts[0] >= 2 * counts[1], $"{counts[0]} and {counts[1]}");
    }

    [Fact]
    public void One_k_for_two_layers_is_shared_between_them()
    {
        using var scope = NewDisposeScope();
        (Tensor X, Tensor labels) = TrainingData.Blobs(300, 8, 3, 12);
        using Sequential network = SmallClassifiers.Mlp([8, 12, 12, 3], 4);
        GroupSpec one = GroupSpec.Rows(network.Layer<Linear>("fc1")), two = GroupSpec.Rows(network.Layer<Linear>("fc2"));
        RegularizedGroups both = new(GroupSpec.Together(one, two), new EnvelopeRegularizer(KeepGroups.Count(9), 0.1));
        using var training = new ProximalTraining(network, X, labels, [both], ["head"], Short);
        int surviving = training.Fit()[^1].Surviving[0];

        // The envelope is convex: two groups of equal use may share one budget, so one more than k can be left.
        Assert.InRange(surviving, 9, 10);
        Assert.Equal(surviving, one.Surviving() + two.Surviving());
        Assert.True(one.Surviving() > 0 && two.Surviving() > 0);
    }

    [Fact]
    public void The_same_seed_gives_the_same_numbers_and_another_seed_others()
    {
        using var scope = NewDisposeScope();
        (Tensor X, Tensor labels) = TrainingData.Blobs(128, 8, 3, 13);
        double[] Run(long seed)
        {
            using Sequential network = TrainingData.Mlp();
            using var training = new ProximalTraining(network, X, labels, [TrainingData.Envelope(network, 4, 0.1)], ["head"], Short with { Epochs = 4, Seed = seed, Momentum = 0.5 });
            training.Fit();
            return TrainingData.Parameters(network);
        }

        double[] first = Run(1);
        Assert.Equal(first, Run(1));
        Assert.NotEqual(first, Run(2));
        Assert.Equal(TrainingData.Parameters(SmallClassifiers.Mlp([8, 16, 3], 7)), TrainingData.Parameters(SmallClassifiers.Mlp([8, 16, 3], 7)));
        Assert.NotEqual(TrainingData.Parameters(SmallClassifiers.Mlp([8, 16, 3], 7)), TrainingData.Parameters(SmallClassifiers.Mlp([8, 16, 3], 8)));
    }

    [Fact]
    public void A_saved_training_goes_on_as_if_nothing_had_happened()
    {
        using var scope = NewDisposeScope();
        (Tensor flat, Tensor labels) = TrainingData.Blobs(64, 64, 3, 14);
        Tensor X = flat.reshape(64, 1, 8, 8);
        ProximalTrainingOptions options = Short with { Epochs = 6, BatchSize = 16, LearningRate = 0.05, Momentum = 0.9 };
        (Sequential Network, ProximalTraining Training) Start(long seed, ProximalTrainingOptions? other = null)
        {
            Sequential network = SmallClassifiers.Cnn(8, [6, 6], 3, seed);
            GroupSpec spec = GroupSpec.Together(
                GroupSpec.Filters(network.Layer<Conv2d>("conv1"), network.Layer<BatchNorm2d>("bn1")),
                GroupSpec.Filters(network.Layer<Conv2d>("conv2"), network.Layer<BatchNorm2d>("bn2")));
            return (network, new ProximalTraining(network, X, labels, [new(spec, new EnvelopeRegularizer(KeepGroups.Share(0.5), 0.1))], ["head"], other ?? options));
        }

        string path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid()}.safetensors");
        (Sequential whole, ProximalTraining straight) = Start(1);
        (Sequential half, ProximalTraining broken) = Start(1);
        (Sequential rest, ProximalTraining resumed) = Start(2);
        using (whole)
        using (straight)
        using (half)
        using (broken)
        using (rest)
        using (resumed)
        {
            try
            {
                straight.Fit();
                for (int epoch = 0; epoch < 3; epoch++) broken.RunEpoch();
                broken.Loop.Save(path);
                resumed.Loop.Load(path);
                Assert.Equal(3, resumed.Epoch);
                resumed.Fit();
                Assert.Equal(3, resumed.History.Count);
                Assert.Equal(TrainingData.Parameters(whole), TrainingData.Parameters(rest));
                Assert.Equal(straight.History[^1].Loss, resumed.History[^1].Loss);
                foreach ((string name, Tensor buffer) in whole.named_buffers())
                    Assert.Equal(TrainingData.Numbers(buffer), TrainingData.Numbers(rest.named_buffers().Single(b => b.name == name).buffer));

                (Sequential same, ProximalTraining stranger) = Start(1, options with { Momentum = 0.5 });
                Assert.Contains("Momentum was 0.9, not 0.5", Assert.Throws<InvalidDataException>(() => stranger.Loop.Load(path)).Message);
                stranger.Dispose();
                using var adam = new TrainingLoop(same, new SampleBatches(X, labels, 16, 3), Losses.CrossEntropy(same));
                Assert.Contains("Optimizer was proximal-sgd, not adamw", Assert.Throws<InvalidDataException>(() => adam.Load(path)).Message);
                same.Dispose();
            }
            finally
            {
                File.Delete(path);
            }
        }
    }

    [Fact]
    public void Cancellation_stops_before_the_next_mini_batch()
    {
        using var scope = NewDisposeScope();
        using Sequential network = TrainingData.Mlp();
        (Tensor X, Tensor labels) = TrainingData.Blobs(64, 8, 3, 15);
        using var training = new ProximalTraining(network, X, labels, [TrainingData.Envelope(network, 4, 0.1)], ["head"], Short);
        using var source = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => training.Fit(progress: new StopAfter(2, source), cancel: source.Token));
        Assert.Equal(2, training.Epoch);

        // In the middle of an epoch, too; the next call ends that epoch.
        training.Loop.Step();
        Assert.Equal(2, training.Epoch);
        Assert.Equal(3, training.RunEpoch().Epoch);
        Assert.Equal(6, training.Loop.Done);
    }

    [Fact]
    public void Learning_rates_drop_between_epochs()
    {
        using var scope = NewDisposeScope();
        using Sequential network = TrainingData.Mlp();
        (Tensor X, Tensor labels) = TrainingData.Blobs(64, 8, 3, 15);
        using var training = new ProximalTraining(network, X, labels, [TrainingData.Envelope(network, 4, 0.1)], ["head"], new() { Epochs = 8, BatchSize = 32, LearningRate = 0.5, DropAt = [0.5, 0.75], DropTo = 0.1 });
        Assert.Equal([0.5, 0.5, 0.5, 0.5, 0.05, 0.05, 0.005, 0.005], training.Fit().Select(e => Math.Round(e.LearningRate, 12)));
    }

    [Fact]
    public void Refuses_bad_options_and_samples()
    {
        using var scope = NewDisposeScope();
        using Sequential network = TrainingData.Mlp();
        (Tensor X, Tensor labels) = TrainingData.Blobs(64, 8, 3, 15);
        RegularizedGroups part = TrainingData.Envelope(network, 4, 0.1);
        foreach (ProximalTrainingOptions wrong in new ProximalTrainingOptions[]
        {
            new() { Epochs = 0 }, new() { BatchSize = 0 }, new() { LearningRate = 0 }, new() { LearningRate = double.NaN }, new() { Momentum = 1 },
            new() { DropAt = [0.5, 0.5] }, new() { DropAt = [1] }, new() { DropTo = 0 },
        })
        {
            Assert.ThrowsAny<ArgumentException>(() => new ProximalTraining(network, X, labels, [part], ["head"], wrong));
        }

        ProximalTraining Of(Tensor samples, Tensor classes) => new(network, samples, classes, [part], ["head"]);
        Assert.Contains("Int64", Assert.Throws<ArgumentException>(() => Of(zeros(4, 8), zeros(4))).Message);
        Assert.Contains("[4]", Assert.Throws<ArgumentException>(() => Of(zeros(4, 8), zeros(3, dtype: ScalarType.Int64))).Message);
        Assert.Throws<ArgumentException>(() => Of(zeros(4), zeros(4, dtype: ScalarType.Int64)));
        using ProximalTraining training = Of(X, labels);
        Assert.Contains("Int64", Assert.Throws<ArgumentException>(() => training.RunEpoch((X, zeros(64)))).Message);
        Assert.Throws<ArgumentException>(() => SmallClassifiers.Mlp([3], 1));
        Assert.Throws<ArgumentException>(() => SmallClassifiers.Cnn(8, [], 3, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => SmallClassifiers.Cnn(4, [2, 2, 2], 3, 1));
        Assert.Contains("fc1", Assert.Throws<ArgumentException>(() => network.Layer<Linear>("fc9")).Message);
        Assert.Throws<ArgumentException>(() => network.Layer<Conv2d>("fc1"));
    }

    private sealed class StopAfter(int epochs, CancellationTokenSource source) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value)
        {
            if (value.Done == epochs) source.Cancel();
        }
    }
}
