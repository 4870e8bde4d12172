using Sparseland.Solvers;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

[Collection(nameof(LoneGenerator))]
public sealed class SparseOptimizerTests : IDisposable
{
    private static readonly TrainingOptions Short = new() { Steps = 30, LearningRate = 0.02, Seed = 4, ClipNorm = 0.5 };
    private static readonly TopologyOptions Moving = new() { Interval = 4, Schedule = DropSchedule.CosineTo(0.5, 0.05), Length = 30 };
    private readonly string _folder = Directory.CreateTempSubdirectory("sparseland-sparse-").FullName;
    private readonly DisposeScope _scope = NewDisposeScope();

    private string Checkpoint => Path.Combine(_folder, "training.safetensors");

    public static TheoryData<string> Kinds => [.. new[] { "adamw", "sgd", "nesterov" }];

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory, MemberData(nameof(Kinds))]
    public void Numbers_stay_and_inactive_weights_and_moments_are_zero_after_every_step(string kind)
    {
        using Sequential network = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.3, 2);
        using SparseOptimizer optimizer = new(Inner(kind, network), masks, Moving, new DropMagnitude(), new GrowGradient());
        long[] before = [.. masks.Names.Select(masks.ActiveOf)];
        double explored = optimizer.Fired.Rate;
        int updates = 0;
        using TrainingLoop loop = Loop(network, optimizer, Short, new()
        {
            OnStep = (_, _) =>
            {
                Assert.Equal(before, masks.Names.Select(masks.ActiveOf));
                foreach (string name in masks.Names)
                {
                    Tensor off = masks[name].logical_not();
                    Assert.All(Bits(masks.ParameterOf(name).masked_select(off)), bits => Assert.Equal(0, bits));
                    Assert.All(optimizer.MomentsOf(name), moment => Assert.All(Bits(moment.masked_select(off)), bits => Assert.Equal(0, bits)));
                }

                Assert.True(optimizer.Fired.Rate >= explored);
                explored = optimizer.Fired.Rate;
            },
        });
        optimizer.OnUpdate = report =>
        {
            updates++;
            foreach ((string name, TopologyChange change) in report.Changes)
            {
                // New weights are zero with moments of zero; the kept ones have theirs.
                Tensor fresh = change.Grown.ToMask().logical_and(change.Dropped.ToMask().logical_not());
                Assert.Equal(0, masks.ParameterOf(name).masked_select(fresh).abs().sum().item<float>());
                Assert.All(optimizer.MomentsOf(name), moment => Assert.Equal(0, moment.masked_select(fresh).abs().sum().item<float>()));
                Assert.True(masks.ParameterOf(name).masked_select(change.Kept.ToMask()).ne(0).all().item<bool>());
            }
        };
        loop.Run();
        Assert.Equal(7, updates);
        Assert.True(explored > masks.Density + 0.05);
    }

    [Fact]
    public void Kept_weights_move_as_if_the_others_did_not_exist()
    {
        // A linear layer with masked inputs against the smaller one.
        foreach (string kind in Kinds)
        {
            using Sequential wide = nn.Sequential(("a", nn.Linear(8, 3))), narrow = nn.Sequential(("a", nn.Linear(5, 3)));
            (Tensor X, Tensor labels) = TrainingData.Blobs(60, 8, 3, 1);
            Tensor mask = zeros([3, 8], dtype: ScalarType.Bool);
            mask.narrow(1, 0, 5).fill_(true);
            using (no_grad())
            {
                narrow.parameters().First().copy_(wide.parameters().First().narrow(1, 0, 5));
                narrow.parameters().Last().copy_(wide.parameters().Last());
            }

            using MaskSet masks = MaskSet.Of(wide, new Dictionary<string, Tensor> { ["a.weight"] = mask });
            using SparseOptimizer sparse = new(Inner(kind, wide), masks);
            using IOptimizer dense = Inner(kind, narrow);
            for (int step = 0; step < 50; step++)
            {
                foreach ((Sequential network, IOptimizer optimizer, Tensor input) in new[] { (wide, (IOptimizer)sparse, X), (narrow, dense, X.narrow(1, 0, 5)) })
                {
                    network.zero_grad();
                    nn.functional.cross_entropy(network.call(input), labels).backward();
                    optimizer.Step(0.05);
                }
            }

            Assert.True(wide.parameters().First().narrow(1, 0, 5).allclose(narrow.parameters().First(), 1e-4, 1e-5));
            Assert.True(wide.parameters().First().narrow(1, 5, 3).eq(0).all().item<bool>());
        }
    }

    [Fact]
    public void Growing_changes_no_output()
    {
        using Sequential network = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.3, 2);
        (Tensor X, Tensor labels) = TrainingData.Blobs(40, 8, 3, 1);
        Tensor afterDrop = zeros(0), afterGrowth = zeros(0);
        using SparseOptimizer optimizer = new(new SgdOptimizer(network), masks, Moving with { Interval = 1, Order = UpdateOrder.ReplacesStep }, new DropMagnitude(), new GrowGradient());
        network.zero_grad();
        nn.functional.cross_entropy(network.call(X), labels).backward();
        optimizer.Prepare();
        TopologyReport planned = optimizer.Plan(1);
        using (Sequential twin = TrainingData.Mlp())
        using (no_grad())
        {
            foreach ((Parameter to, Parameter from) in twin.parameters().Zip(network.parameters())) to.copy_(from);

            // What grows at once where it was dropped keeps its value, and is not dropped here either.
            using MaskSet kept = MaskSet.Of(twin, planned.Changes.ToDictionary(c => c.Key, c => c.Value.Kept.Union(c.Value.Regrown).ToMask()));
            kept.Apply();
            afterDrop = twin.call(X);
        }

        optimizer.Step(0.1);
        using (no_grad()) afterGrowth = network.call(X);
        Assert.True(afterDrop.eq(afterGrowth).all().item<bool>());
        Assert.Equal(1, optimizer.Count);
    }

    [Fact]
    public void Nothing_to_move_is_the_static_training_bit_for_bit()
    {
        double[] Trained(TopologyOptions? options, IGrowScore? grow)
        {
            using Sequential network = TrainingData.Mlp();
            using MaskSet masks = MaskSet.Random(network, 0.3, 2);
            using SparseOptimizer optimizer = new(new AdamWOptimizer(network), masks, options, new DropMagnitude(), grow);
            using TrainingLoop loop = Loop(network, optimizer, Short);
            loop.Run();
            return TrainingData.Parameters(network);
        }

        double[] fixedMasks = Trained(null, null);
        foreach (UpdateOrder order in Enum.GetValues<UpdateOrder>())
        {
            Assert.Equal(fixedMasks, Trained(Moving with { Schedule = DropSchedule.Constant(0), Order = order }, new GrowGradient()));
            Assert.Equal(fixedMasks, Trained(Moving with { End = 0, Order = order }, new GrowGradient()));
            Assert.Equal(fixedMasks, Trained(Moving with { Order = order }, null));
        }

        Assert.NotEqual(fixedMasks, Trained(Moving, new GrowGradient()));
    }

    [Fact]
    public void Random_growth_explores_as_the_closed_form_says()
    {
        const int Side = 320;
        using Sequential network = nn.Sequential(("a", nn.Linear(Side, Side, hasBias: false)));
        using MaskSet masks = MaskSet.Random(network, 0.1, 2);
        TopologyOptions options = new() { Interval = 1, Schedule = DropSchedule.Cosine(0.3), End = 30 };
        using SparseOptimizer optimizer = new(new SgdOptimizer(network), masks, options, new DropMagnitude(), new GrowRandom());
        long active = masks.Active;
        var counts = new List<long>();
        optimizer.OnUpdate = report => counts.Add(report.Changes["a.weight"].Grown.Count);
        using var source = new Generator(3);
        for (int step = 0; step < 29; step++)
        {
            network.zero_grad();
            network.call(randn([4, Side], generator: source)).square().mean().backward();
            optimizer.Step(0.01);
        }

        Assert.Equal(29, counts.Count);

        // Four standard errors of a share of 10^5 places.
        Assert.Equal(FiredSet.ExpectedUnderRandomGrowth(Side * Side, active, counts), optimizer.Fired.Rate, 4 * Math.Sqrt(0.25 / (Side * Side)));
    }

    [Fact]
    public void A_replaced_step_grows_the_largest_gradient_and_the_next_moves_it_by_its_own()
    {
        using Sequential network = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.3, 2);
        (Tensor X, Tensor labels) = TrainingData.Blobs(40, 8, 3, 1);
        using SparseOptimizer optimizer = new(new SgdOptimizer(network), masks, Moving with { Interval = 3, Order = UpdateOrder.ReplacesStep }, new DropMagnitude(), new GrowGradient());
        Dictionary<string, Tensor> raw = [];
        for (int step = 1; step <= 4; step++)
        {
            network.zero_grad();
            nn.functional.cross_entropy(network.call(X), labels).backward();
            if (step >= 3) raw = masks.Names.ToDictionary(name => name, name => masks.ParameterOf(name).grad!.clone());
            optimizer.Step(0.1);
            if (step != 3) continue;
            foreach ((string name, TopologyChange change) in optimizer.LastUpdate!.Changes)
            {
                Tensor free = change.Kept.ToMask().logical_not(), sizes = raw[name].abs().masked_fill(free.logical_not(), -1);
                long largest = sizes.argmax().item<long>();
                Assert.True(change.Grown.ToMask().flatten()[largest].item<bool>());
            }
        }

        foreach ((string name, TopologyChange change) in optimizer.LastUpdate!.Changes)
        {
            Tensor fresh = change.Grown.ToMask().logical_and(change.Dropped.ToMask().logical_not());
            Assert.True(masks.ParameterOf(name).masked_select(fresh).eq(raw[name].mul(-0.1).masked_select(fresh)).all().item<bool>());
        }

        Assert.Equal(4, optimizer.Count);
    }

    [Fact]
    public void Kept_moments_run_on_where_weights_are_inactive()
    {
        using Sequential network = TrainingData.Mlp(), dense = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.3, 2);
        using SparseOptimizer optimizer = new(new AdamWOptimizer(network, 0), masks, Moving with { Moments = MomentRule.Keep }, new DropMagnitude(), new GrowGradient());
        (Tensor X, Tensor labels) = TrainingData.Blobs(40, 8, 3, 1);
        network.zero_grad();
        nn.functional.cross_entropy(network.call(X), labels).backward();
        Tensor gradient = masks.ParameterOf("fc1.weight").grad!.clone();
        optimizer.Step(0.01);
        Assert.True(optimizer.MomentsOf("fc1.weight")[0].allclose(gradient.mul(0.1), 1e-5, 1e-9));
        Assert.True(masks.ParameterOf("fc1.weight").masked_select(masks["fc1.weight"].logical_not()).eq(0).all().item<bool>());
    }

    [Theory]
    [InlineData(8)]
    [InlineData(10)]
    public void A_training_killed_at_an_update_or_between_two_goes_on_bit_for_bit(int every)
    {
        (double[] Weights, string Masks, double Fired) Straight()
        {
            using Sequential network = TrainingData.Mlp();
            using MaskSet masks = MaskSet.Random(network, 0.3, 2);
            using SparseOptimizer optimizer = Optimizer(network, masks);
            using TrainingLoop loop = Loop(network, optimizer, Short);
            loop.Run();
            return (TrainingData.Parameters(network), Print(masks), optimizer.Fired.Rate);
        }

        using Sequential killed = TrainingData.Mlp(), fresh = TrainingData.Mlp(hidden: 16);
        using (no_grad()) foreach (Parameter p in fresh.parameters()) p.fill_(0.01f);
        using MaskSet first = MaskSet.Random(killed, 0.3, 2), second = MaskSet.Random(fresh, 0.3, 77);
        TrainingOptions options = Short with { Checkpoint = Checkpoint, CheckpointEvery = every };
        using (SparseOptimizer optimizer = Optimizer(killed, first))
        using (TrainingLoop loop = Loop(killed, optimizer, options, new() { OnStep = (_, r) => { if (r.Step == 19) throw new InvalidOperationException("killed"); } }))
            Assert.Throws<InvalidOperationException>(() => loop.Run());
        using SparseOptimizer taken = Optimizer(fresh, second);
        using TrainingLoop resumed = Loop(fresh, taken, options);
        resumed.Load(Checkpoint);
        resumed.Run();
        (double[] weights, string masks, double rate) = Straight();
        Assert.Equal(weights, TrainingData.Parameters(fresh));
        Assert.Equal(masks, Print(second));
        Assert.Equal(rate, taken.Fired.Rate);
    }

    [Fact]
    public void Bad_input_is_refused_before_anything_moves()
    {
        using Sequential network = TrainingData.Mlp(), other = TrainingData.Mlp();
        using MaskSet masks = MaskSet.Random(network, 0.3, 2), strange = MaskSet.Random(other, 0.3, 2);
        Assert.Throws<ArgumentException>("masks", () => new SparseOptimizer(new SgdOptimizer(network), strange));
        using SparseOptimizer optimizer = new(new SgdOptimizer(network), masks, Moving with { Interval = 1 }, new DropMagnitude(), new GrowGradient());
        (Tensor X, Tensor labels) = TrainingData.Blobs(40, 8, 3, 1);
        nn.functional.cross_entropy(network.call(X), labels).backward();
        using (no_grad()) masks.ParameterOf("fc1.weight").grad!.fill_(double.NaN);
        double[] before = TrainingData.Parameters(network);
        Assert.Contains("fc1.weight", Assert.Throws<DivergenceException>(() => optimizer.Step(0.1)).Message, StringComparison.Ordinal);
        Assert.Equal(before, TrainingData.Parameters(network));
        Assert.Equal(0, optimizer.Count);

        // Masks and weights of two moments.
        Dictionary<string, Tensor> state = optimizer.State.ToDictionary(s => s.Key, s => s.Value.clone());
        state["mask.fc1.weight"] = state["mask.fc1.weight"].logical_not();
        Assert.Throws<InvalidDataException>(() => optimizer.Load(state, 3));
    }

    private static SparseOptimizer Optimizer(Sequential network, MaskSet masks) => new(new AdamWOptimizer(network), masks, Moving, new DropMagnitude(), new GrowRandom());

    private static IOptimizer Inner(string kind, Sequential network) => kind switch
    {
        "adamw" => new AdamWOptimizer(network, 0.1),
        "sgd" => new SgdOptimizer(network),
        _ => new SgdOptimizer(network, 0.9, 0.01, nesterov: true),
    };

    private static TrainingLoop Loop(Sequential network, SparseOptimizer optimizer, TrainingOptions options, TrainingHooks? hooks = null)
    {
        (Tensor X, Tensor labels) = TrainingData.Blobs(60, 8, 3, 1);
        return new(network, new SampleBatches(X, labels, 16), Losses.CrossEntropy(network), options, optimizer.Hooks(hooks), optimizer);
    }

    private static string Print(MaskSet masks) => string.Join("; ", masks.Names.Select(name => string.Join(",", masks.SupportOf(name).ColumnIndices.ToArray())));

    private static int[] Bits(Tensor values) => [.. values.contiguous().data<float>().ToArray().Select(BitConverter.SingleToInt32Bits)];
}
