using Sparseland.FineTuning;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.FineTuning;

public sealed class RankMixtureTests : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"mixture-{Guid.NewGuid():N}.safetensors");

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void The_output_is_the_formula()
    {
        using var scope = NewDisposeScope();
        using Linear linear = Base();
        using RankMixtureLinear layer = Two(linear, new() { Rank = 3, ActiveRanks = 2, Temperature = 0.5, Threshold = 0.2 });
        layer.eval();
        Tensor x = Points(6), A = layer.Keys(), B = layer.Values(), y = layer.call(x).detach();
        for (int t = 0; t < 6; t++)
        {
            // Token by token, with sorting in place of the library's selection.
            double[] z = [.. A.mv(x[t]).data<double>()];
            double norm = Math.Sqrt(z.Sum(v => v * v));
            double[] s = [.. z.Select(v => v / norm)];
            int[] kept = [.. Enumerable.Range(0, 6).OrderByDescending(i => s[i]).Take(2)];
            double sum = kept.Sum(i => Math.Exp(s[i] / 0.5));
            double[] w = new double[6];
            foreach (int i in kept) w[i] = s[i] >= 0.2 ? Math.Exp(s[i] / 0.5) / sum : 0;
            Tensor expected = linear.call(x[t]) + B.mv(tensor(w) * tensor(z));
            Assert.True((y[t] - expected).abs().max().item<double>() < 1e-10);
        }

        // The sum of squares of s is 1, and the gate is off in training.
        layer.train();
        Assert.True((layer.call(x) - y).abs().max().item<double>() > 0);
    }

    [Fact]
    public void All_ranks_at_a_high_temperature_are_the_sum_over_their_number_and_order_does_not_matter()
    {
        using var scope = NewDisposeScope();
        using Linear linear = Base();
        using RankMixtureLinear layer = Two(linear, new() { Rank = 3, Temperature = 1e6, Threshold = 0 }, tasks: 1);
        layer.eval();
        Tensor x = Points(5), expected = linear.call(x) + x.mm(layer.Keys().t()).mm(layer.Values().t()) / 3;
        Assert.True((layer.call(x) - expected).abs().max().item<double>() < 1e-5);
        Assert.True((layer.Weights(x).sum(1L) - 1).abs().max().item<double>() < 1e-12);
    }

    [Fact]
    public void The_update_scales_with_positive_factors_and_not_with_negative_ones()
    {
        using var scope = NewDisposeScope();
        using Linear linear = Base();
        using RankMixtureLinear layer = Two(linear, new() { Rank = 4, Temperature = 0.1 });
        layer.eval();
        Tensor x = Points(8);
        Tensor Update(Tensor at) => (layer.call(at) - linear.call(at)).detach();
        Assert.True((Update(x * 7) - (Update(x) * 7)).abs().max().item<double>() < 1e-5);
        Assert.True((Update(x * -1) + Update(x)).abs().max().item<double>() > 1e-3);
        Assert.True(Update(zeros([2, 7], dtype: ScalarType.Float64)).equal(0).all().item<bool>());
    }

    [Fact]
    public void Freezing_keeps_the_function_at_any_scale_and_appending_alone_moves_it()
    {
        using var scope = NewDisposeScope();
        using Linear linear = Base();
        using var layer = new RankMixtureLinear(linear, new() { Rank = 3, Scale = 2.5, Threshold = 0 });
        layer.BeginTask(1);
        using (no_grad()) layer.named_parameters().First(p => p.name.StartsWith("values", StringComparison.Ordinal) && p.parameter.requires_grad).parameter.copy_(randn([5, 3], dtype: ScalarType.Float64, generator: new Generator(4)));
        layer.eval();
        Tensor x = Points(6), before = layer.call(x).detach();
        layer.EndTask();
        Assert.True((layer.call(x) - before).abs().max().item<double>() < 1e-12);
        Assert.DoesNotContain(layer.parameters(), p => p.requires_grad);

        // New values are 0, but the new keys enter the norm and the selection.
        layer.BeginTask(2);
        Assert.Equal(2, layer.parameters().Count(p => p.requires_grad));
        Assert.True((layer.call(x) - before).abs().max().item<double>() > 1e-6);
        Assert.Equal(6, layer.Ranks);
        Assert.Equal(35 + (6 * 12) + 5, layer.ParameterCount);
    }

    [Fact]
    public void Training_a_task_leaves_the_old_ranks_bit_for_bit_and_gradients_are_those_of_fixed_places()
    {
        using var scope = NewDisposeScope();
        using PlantedAssociations world = PlantedAssociations.Generate(3, new() { Width = 12, Subspace = 2, Tasks = 2, Training = 40, Test = 20 });
        using var layer = new RankMixtureLinear(world.Layer, new() { Rank = 4, Temperature = 0.1 });
        TaskMatrix first = world.Run(layer, 10);
        Assert.Equal(2, layer.Tasks);
        Assert.Throws<ArgumentException>(() => world.Run(layer, 10));
        using var again = new RankMixtureLinear(world.Layer, new() { Rank = 4, Temperature = 0.1 });
        Assert.Equal(first.Values.SelectMany(v => v), world.Run(again, 10).Values.SelectMany(v => v));
        Tensor old = layer.Keys(), oldValues = layer.Values();
        layer.BeginTask(9);
        using (var loop = new TrainingLoop(layer, new SampleBatches(world.Tasks[0].Training.Input, world.Tasks[0].Training.Target, 20), Losses.SquaredError(layer), new() { Steps = 5, WeightDecay = 0.1 })) loop.Run();
        Assert.True(layer.Keys().narrow(0, 0, 8).equal(old).all().item<bool>());
        Assert.True(layer.Values().narrow(1, 0, 8).equal(oldValues).all().item<bool>());
        Assert.True(layer.Values().narrow(1, 8, 4).abs().max().item<float>() > 0);
    }

    [Fact]
    public void Mixtures_forget_less_than_added_adapters_and_those_less_than_one_that_goes_on()
    {
        using var scope = NewDisposeScope();
        using PlantedAssociations world = PlantedAssociations.Generate(1, new() { Tasks = 3 });
        using var mixture = new RankMixtureLinear(world.Layer, new() { Rank = 8, Temperature = 0.05 });
        using var added = new ContinualLora(world.Layer, ContinualRule.Added, 8);
        using var sequential = new ContinualLora(world.Layer, ContinualRule.Sequential, 8);
        using var routed = new ContinualLora(world.Layer, ContinualRule.Routed, 8);
        TaskMatrix a = world.Run(mixture, 120), b = world.Run(added, 120), c = world.Run(sequential, 120), d = world.Run(routed, 120);
        Assert.True(a.Forgetting < 0.1, $"{a.Forgetting}");
        Assert.True(b.Forgetting > a.Forgetting + 0.2 && c.Forgetting > b.Forgetting, $"{a.Forgetting} {b.Forgetting} {c.Forgetting}");
        Assert.InRange(d.Learned, 0, 1);
        Assert.True(c.Learned < 0.2);
    }

    [Fact]
    public void Figures_of_a_matrix()
    {
        TaskMatrix errors = new([[0.1, 0.8, 0.9], [0.3, 0.2, 1.0], [0.5, 0.4, 0.3]]);
        errors.Validate();
        Assert.Equal(0.2, errors.Learned, 1e-12);
        Assert.Equal(0.4, errors.Last, 1e-12);
        Assert.Equal((0.8 + 0.9 + 1.0) / 3, errors.Transfer, 1e-12);
        Assert.Equal(0.3, errors.Forgetting, 1e-12);
        Assert.Equal((0.1 + 0.25 + 0.4) / 3, errors.Average, 1e-12);
        Assert.Equal(-0.3, (errors with { AreErrors = false }).Forgetting, 1e-12);
        Assert.Throws<ArgumentException>(() => new TaskMatrix([[1], [2]]).Validate());
        Assert.True(double.IsNaN(new TaskMatrix([[1]]).Forgetting));
    }

    [Fact]
    public void A_file_is_read_back_and_bad_use_is_refused()
    {
        using var scope = NewDisposeScope();
        using Linear linear = Base();
        using RankMixtureLinear layer = Two(linear, new() { Rank = 3 });
        layer.Save(_path);
        using var read = new RankMixtureLinear(linear, new() { Rank = 3 });
        read.Load(_path, 2);
        read.eval();
        layer.eval();
        Tensor x = Points(4);
        Assert.True(read.call(x).equal(layer.call(x)).all().item<bool>());
        Assert.Throws<InvalidOperationException>(() => read.Load(_path));
        using var other = new RankMixtureLinear(linear, new() { Rank = 4 });
        Assert.Contains("3 ranks", Assert.Throws<InvalidDataException>(() => other.Load(_path)).Message, StringComparison.Ordinal);
        using var three = new RankMixtureLinear(linear, new() { Rank = 3 });
        Assert.Contains("2 tasks", Assert.Throws<InvalidDataException>(() => three.Load(_path, 3)).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(three.EndTask);
        three.BeginTask(1);
        Assert.Throws<InvalidOperationException>(() => three.BeginTask(2));
        Assert.Throws<InvalidOperationException>(() => three.Save(_path));
        Assert.Throws<NotSupportedException>(three.Merge);
        Assert.Throws<ArgumentOutOfRangeException>(() => new RankMixtureLinear(linear, new() { Rank = 3, ActiveRanks = 4 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RankMixtureLinear(linear, new() { Temperature = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RankMixtureLinear(linear, new() { Threshold = 1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ContinualLora(linear, ContinualRule.Added, 6));
        Assert.Throws<ArgumentOutOfRangeException>(() => PlantedAssociations.Generate(1, new() { Subspace = 65 }));
    }

    private static Linear Base()
    {
        Linear linear = nn.Linear(7, 5, dtype: ScalarType.Float64);
        using IDisposable off = no_grad();
        var generator = new Generator(2);
        foreach (Parameter p in linear.parameters()) p.copy_(randn(p.shape, dtype: ScalarType.Float64, generator: generator));
        return linear;
    }

    private static Tensor Points(long count) => randn([count, 7], dtype: ScalarType.Float64, generator: new Generator(8));

    private static RankMixtureLinear Two(Linear linear, RankMixtureOptions options, int tasks = 2)
    {
        var layer = new RankMixtureLinear(linear, options);
        for (int t = 0; t < tasks; t++)
        {
            layer.BeginTask(t);
            using IDisposable off = no_grad();
            layer.named_parameters().First(p => p.name.StartsWith("values", StringComparison.Ordinal) && p.parameter.requires_grad).parameter.copy_(randn([5, options.Rank], dtype: ScalarType.Float64, generator: new Generator((ulong)(30 + t))));
            layer.EndTask();
        }

        return layer;
    }
}
