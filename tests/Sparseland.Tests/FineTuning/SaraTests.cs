using Sparseland.FineTuning;
using Sparseland.Models;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.FineTuning;

public sealed class SaraTests : IDisposable
{
    private static readonly SaraOptions s_plain = new()
    {
        RankPenalty = 0, ProgressiveStep = 0, LearningRate = 0.01, Training = new() { Steps = 20, FinalRate = 0, Beta2 = 0.999, WeightDecay = 0.1, ClipNorm = double.PositiveInfinity },
    };

    private readonly string _file = Path.Combine(Path.GetTempPath(), $"sparseland-{Guid.NewGuid():N}.safetensors");

    public void Dispose() => File.Delete(_file);

    private static Sequential Network()
    {
        var network = (Sequential)SmallClassifiers.Mlp([6, 70, 66, 3], 5).to(ScalarType.Float64);
        return network;
    }

    private static Dictionary<string, Tensor> Copy(nn.Module model) => model.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().clone());

    [Fact]
    public void The_sparse_backward_pass_is_the_masked_dense_one_in_less_memory()
    {
        using var scope = NewDisposeScope();
        Sequential sparse = Network(), dense = Network();
        Tensor x = randn([4, 6], dtype: ScalarType.Float64), before = sparse.call(x);
        using var delta = SparseDelta.Attach(sparse, new SaraSelection { Share = 0.3 });
        Assert.True(TuneData.Same(before, sparse.call(x)));
        Assert.Equal(sparse.parameters().Where(p => p.requires_grad).Sum(p => p.numel()), delta.Count);
        SaraTraining.Run(sparse, delta, TuneData.Samples(), Losses.CrossEntropy(sparse), s_plain);
        using SaraChoice choice = new SaraSelection { Share = 0.3 }.Of(dense);
        using (var masked = new MaskedGradient(dense, choice.Masks))
        {
            using var optimizer = new AdamWOptimizer(dense, 0.1);
            using var loop = new TrainingLoop(dense, TuneData.Samples(), Losses.CrossEntropy(dense), s_plain.Training with { LearningRate = 0.01 }, masked.Hooks, optimizer);
            loop.Run();
            Assert.Equal(choice.Masks.Size * 24, masked.StateBytes);
            Assert.Equal(choice.Masks.Active * 24, delta.StateBytes);
        }

        Dictionary<string, Tensor> start = Copy(Network());
        foreach ((string name, Parameter parameter) in dense.named_parameters())
        {
            if (!choice.Masks.Names.Contains(name)) continue;
            Assert.InRange(TuneData.Farthest(parameter, delta.WeightOf(name)), 0, 1e-9);
            Assert.True(TuneData.Same(start[name].masked_fill(choice.Masks[name], 0), delta.WeightOf(name).masked_fill(choice.Masks[name], 0)));
            Assert.True(TuneData.Farthest(start[name], delta.WeightOf(name)) > 0.01);
        }
    }

    [Fact]
    public void The_second_selection_fixes_what_has_grown()
    {
        using var scope = NewDisposeScope();
        Sequential network = Network();
        Dictionary<string, Tensor> start = Copy(network);
        using var delta = SparseDelta.Attach(network, new SaraSelection { Threshold = 0.05 });
        var first = delta.Names.ToDictionary(n => n, n => delta.PlacesOf(n).ToArray());
        Dictionary<string, Tensor>? atSwitch = null;
        var seen = new List<StepReport>();
        SaraResult result = SaraTraining.Run(network, delta, TuneData.Samples(), Losses.CrossEntropy(network), s_plain with { ProgressiveStep = 5, RankPenalty = 1e-3 }, new()
        {
            OnStep = (_, report) =>
            {
                seen.Add(report);
                if (report.Step == 5) atSwitch = delta.Names.ToDictionary(n => n, delta.WeightOf);
            },
        });
        Assert.Equal(Enumerable.Range(1, 20).Select(i => (long)i), seen.Select(r => r.Step));
        Assert.Equal(Enumerable.Range(0, 20).Select(i => (s_plain.Training with { LearningRate = 0.01 }).RateOf(i)), seen.Select(r => r.LearningRate));
        Assert.Equal(20, result.Training.History.Count);
        Assert.True(result.Remaining > 0 && result.Remaining < result.Selected);
        Assert.Equal((delta.Selected, delta.Count), (result.Selected, result.Remaining));
        foreach (string name in delta.Names)
        {
            long[] second = [.. delta.PlacesOf(name)];
            Assert.Empty(second.Except(first[name]));
            Tensor at = atSwitch![name].view(-1), end = delta.WeightOf(name).view(-1);
            double[] values = TuneData.Numbers(at), after = TuneData.Numbers(end), before = TuneData.Numbers(start[name].view(-1));
            Assert.Equal(first[name].Where(i => Math.Abs(values[i]) < 0.05), second);
            for (int i = 0; i < values.Length; i++) if (!second.Contains(i)) Assert.Equal(first[name].Contains(i) ? values[i] : before[i], after[i]);
            Assert.True(second.Length == 0 || second.Any(i => values[i] != after[i]));
        }
    }

    [Fact]
    public void With_an_infinite_threshold_it_is_full_fine_tuning()
    {
        using var scope = NewDisposeScope();
        Sequential all = Network(), full = Network();
        using var delta = SparseDelta.Attach(all, new SaraSelection { Threshold = double.PositiveInfinity });
        Assert.Equal(delta.Total, delta.Count);
        SaraTraining.Run(all, delta, TuneData.Samples(), Losses.CrossEntropy(all), s_plain);
        foreach ((string name, Parameter parameter) in full.named_parameters()) if (name.EndsWith("bias", StringComparison.Ordinal)) parameter.requires_grad = false;
        using var optimizer = new AdamWOptimizer(full, 0.1);
        using (var loop = new TrainingLoop(full, TuneData.Samples(), Losses.CrossEntropy(full), s_plain.Training with { LearningRate = 0.01 }, null, optimizer)) loop.Run();
        foreach (string name in delta.Names) Assert.InRange(TuneData.Farthest(full.named_parameters().Single(p => p.name == name).parameter, delta.WeightOf(name)), 0, 1e-10);
    }

    [Fact]
    public void A_saved_update_is_the_trained_network_and_the_base_comes_back()
    {
        using var scope = NewDisposeScope();
        Sequential network = Network(), fresh = Network();
        Dictionary<string, Tensor> start = Copy(network);
        using (var delta = SparseDelta.Attach(network, new SaraSelection()))
        {
            SaraTraining.Run(network, delta, TuneData.Samples(), Losses.CrossEntropy(network), s_plain with { ProgressiveStep = null });
            delta.Save(_file);
        }

        Assert.All(network.named_parameters(), p => Assert.True(TuneData.Same(p.parameter, start[p.name])));
        Assert.All(network.parameters(), p => Assert.True(p.requires_grad));
        using (var delta = SparseDelta.Attach(network, new SaraSelection()))
        {
            SaraTraining.Run(network, delta, TuneData.Samples(), Losses.CrossEntropy(network), s_plain with { ProgressiveStep = null });
            delta.Merge();
            Assert.Throws<ObjectDisposedException>(delta.Merge);
        }

        SparseDelta.Load(_file, fresh);
        Assert.All(fresh.named_parameters(), p => Assert.True(TuneData.Same(p.parameter, network.named_parameters().Single(q => q.name == p.name).parameter)));
        Assert.All(LinearSlots.Of(network), s => Assert.IsType<Linear>(s.Module));
        Assert.Contains("fc1.weight", Assert.Throws<ArgumentException>(() => SparseDelta.Load(_file, network)).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidDataException>(() => SliceAdapter.Load(_file));
    }

    [Fact]
    public void Convolutions_are_trained_in_part_too()
    {
        using var scope = NewDisposeScope();
        Sequential network = SmallClassifiers.Cnn(8, [4, 6], 3, 2);
        Tensor x = randn([5, 1, 8, 8]), before = network.call(x);
        using var delta = SparseDelta.Attach(network, new SaraSelection { Share = 0.2, Filter = name => name.StartsWith("conv", StringComparison.Ordinal) });
        Assert.Equal(["conv1.weight", "conv2.weight"], delta.Names);
        SaraTraining.Run(network, delta, new SampleBatches(x, tensor(new long[] { 0, 1, 2, 0, 1 }), 5), Losses.CrossEntropy(network), s_plain with { Training = s_plain.Training with { Steps = 3 } });
        Tensor update = delta.UpdateOf("conv2.weight").view(6, -1).to(ScalarType.Float64);
        Assert.True(update.ne(0).sum().item<long>() > 0);
        Assert.Equal(update.square().sum().item<double>(), delta.SpectrumOf("conv2.weight").Energy, 1e-9);
        Assert.InRange(delta.SpectrumOf("conv2.weight").EntropyRank, 1, 6);
    }

    [Theory]
    [InlineData(0.6)]
    [InlineData(0.2)]
    public void The_warning_of_a_selection_reaches_its_training(double share)
    {
        using var scope = NewDisposeScope();
        Sequential network = Network();
        using var delta = SparseDelta.Attach(network, new SaraSelection { Share = share });
        Assert.Equal(share > 0.5, delta.Warning is not null);
        SaraResult result = SaraTraining.Run(network, delta, TuneData.Samples(), Losses.CrossEntropy(network), s_plain with { Training = s_plain.Training with { Steps = 2 } });
        Assert.Equal(delta.Warning, result.Warning);
        Assert.Equal(share > 0.5, result.ToString().Contains("hardly sparse", StringComparison.Ordinal));
    }

    [Fact]
    public void Selections_say_what_they_select()
    {
        using var scope = NewDisposeScope();
        Sequential network = Network();
        using SaraChoice share = new SaraSelection { Share = 0.2 }.Of(network), theta = new SaraSelection { Threshold = share.Threshold }.Of(network);
        long size = share.Masks.Size;
        Assert.Equal((long)Math.Round(0.2 * size, MidpointRounding.AwayFromZero), share.Masks.Active);
        Assert.Equal(share.Masks.Active, theta.Masks.Active);
        Assert.Null(share.Warning);
        using SaraChoice most = new SaraSelection { Share = 0.6 }.Of(network);
        Assert.NotNull(most.Warning);
        Assert.Throws<ArgumentException>(() => new SaraSelection { Share = 0.2, Threshold = 1 }.Of(network));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SaraSelection { Share = double.NaN }.Of(network));
        Assert.Throws<ArgumentException>(() => new SaraSelection { Threshold = 1e-12 }.Of(network));
        Assert.Throws<ArgumentException>(() => new SaraSelection { Filter = _ => false }.Of(network));
        using var delta = SparseDelta.Attach(network, share.Masks);
        Assert.Null(delta.Threshold);
        Assert.Throws<ArgumentException>(() => SaraTraining.Run(network, delta, TuneData.Samples(), Losses.CrossEntropy(network), s_plain with { ProgressiveStep = 3 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => (s_plain with { ProgressiveStep = 20 }).Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => (s_plain with { RankPenalty = double.NaN }).Validate());
        Assert.Throws<ArgumentException>(() => delta.PlacesOf("head.bias"));
        Assert.Throws<ArgumentOutOfRangeException>(() => delta.Narrow(0));
    }

    [Fact]
    public void A_cancelled_training_leaves_whole_steps()
    {
        using Sequential network = Network();
        using var delta = SparseDelta.Attach(network, new SaraSelection());
        using var source = new CancellationTokenSource();
        var seen = new List<long>();
        Assert.Throws<OperationCanceledException>(() => SaraTraining.Run(network, delta, TuneData.Samples(), Losses.CrossEntropy(network), s_plain with { ProgressiveStep = 2 }, new()
        {
            OnStep = (_, report) =>
            {
                seen.Add(report.Step);
                if (report.Step == 4) source.Cancel();
            },
        }, cancel: source.Token));
        Assert.Equal([1, 2, 3, 4], seen);
    }

    [Fact]
    public void The_rule_for_the_rate()
    {
        using Sequential network = Network();
        using var delta = SparseDelta.Attach(network, new SaraSelection { Threshold = 0.02 });
        SaraResult result = SaraTraining.Run(network, delta, TuneData.Samples(), Losses.CrossEntropy(network), s_plain with { LearningRate = null, Training = s_plain.Training with { Steps = 1 } });
        Assert.Equal(1e-3 * Math.Exp(-7), result.LearningRate, 1e-15);
    }

    /// <summary>numpy.linalg.norm(x, 'nuc') of ((7 i^2 + 3 i j + 5 j) mod 11) / 3, 8 x 3.</summary>
    [Fact]
    public void The_nuclear_norm_and_its_gradient()
    {
        using var scope = NewDisposeScope();
        Tensor x = tensor((double[])[.. from i in Enumerable.Range(0, 8) from j in Enumerable.Range(0, 3) select ((7 * i * i) + (3 * i * j) + (5 * j)) % 11 / 3.0], [8, 3]);
        Assert.Equal(15.227764628859696, NuclearNorm.Value(x), 1e-10);
        Tensor slope = NuclearNorm.Subgradient(x);
        double[] given = TuneData.Numbers(slope);
        for (int i = 0; i < 24; i += 5)
        {
            Tensor up = x.clone(), down = x.clone();
            up.view(-1)[i].add_(1e-5);
            down.view(-1)[i].sub_(1e-5);
            Assert.Equal((NuclearNorm.Value(up) - NuclearNorm.Value(down)) / 2e-5, given[i], 1e-5);
        }

        Assert.Equal(0, NuclearNorm.Subgradient(zeros(3, 4)).abs().sum().item<float>());

        // Of rank 1 only the one pair counts: sign(s) u v^T.
        Tensor line = ones(4, 3, dtype: ScalarType.Float64);
        Assert.InRange(TuneData.Farthest(NuclearNorm.Subgradient(line), line / Math.Sqrt(12)), 0, 1e-10);
        Assert.Throws<ArgumentException>(() => NuclearNorm.Value(tensor(new[] { 1.0, double.NaN }, [1, 2])));
    }

    [Fact]
    public void The_penalty_alone_makes_the_norm_fall()
    {
        using var scope = NewDisposeScope();
        Sequential network = Network();
        using var delta = SparseDelta.Attach(network, new SaraSelection { Share = 0.5, Filter = name => name == "fc2.weight" });
        double last = NuclearNorm.Value(delta.TrainedPartOf("fc2.weight"));
        SaraResult result = SaraTraining.Run(
            network, delta, TuneData.Samples(), batch => network.call(batch.Input).sum().mul(0),
            s_plain with { RankPenalty = 1, LearningRate = 1e-4, Training = s_plain.Training with { WeightDecay = 0, FinalRate = 1 } }, new()
            {
                OnStep = (_, _) =>
                {
                    double now = NuclearNorm.Value(delta.TrainedPartOf("fc2.weight"));
                    Assert.True(now < last);
                    last = now;
                },
            });
        Assert.Equal(0, result.EmptyPenalties);
    }
}
