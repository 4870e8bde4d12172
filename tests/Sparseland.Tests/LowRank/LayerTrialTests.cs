using Sparseland.FineTuning;
using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Selection;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

/// <summary>Attacks on the layers that stand for a linear one: forms of input, types, foreign states, damaged files, trainings that stop.</summary>
public sealed class LayerTrialTests : IDisposable
{
    private readonly string _file = Path.Combine(Path.GetTempPath(), $"sparseland-{Guid.NewGuid():N}.safetensors");

    public static TheoryData<string> Kinds => [.. Makers.Keys];

    private static readonly Dictionary<string, Func<Linear, nn.Module<Tensor, Tensor>>> Makers = new()
    {
        ["low rank"] = l => LowRankLinear.FromDense(l, 3),
        ["adapter"] = l => Moved(new LoraLinear(l, 3, 1, 0.5)),
        ["slice of inputs"] = l => Moved(new SliceLinear(l, SliceSide.Input, [1, 4, 6])),
        ["slice of outputs"] = l => Moved(new SliceLinear(l, SliceSide.Output, [0, 5])),
        ["sparse, formed"] = l => LowRankSparseLinear.FromDense(l, 2, r => Support.Random(12, 8, 20, 1)),
        ["sparse, factored"] = l => Factored(LowRankSparseLinear.FromDense(l, 2, r => Support.Random(12, 8, 20, 1))),
        ["channels"] = l => new LowRankChannelLinear(l, new() { Rank = 2, KeptShare = 0.3, Activation = InnerActivation.None }),
        ["spectral"] = l => new SpectralLinear(l, new() { Rank = 3 }),
        ["dense-sparse, formed"] = l => DenseSparseLinear.FromDense(l, new(12, 8, 4, 6, 2)),
        ["dense-sparse, factored"] = l => Factored(DenseSparseLinear.FromDense(l, new(12, 8, 4, 6, 2))),
        ["straight-through weight"] = l => new StraightThroughFactorizer(l, new(12, 8, 4, 6, 2)),
        ["straight-through coefficients"] = l => new StraightThroughFactorizer(l, new(12, 8, 4, 6, 2), new() { Estimator = StfEstimator.Coefficients }),
        ["Monarch"] = l => MonarchLinear.FromDense(l, new(8, 12, 2, 3)),
        ["Monarch, padded"] = l => MonarchLinear.FromDense(l, MonarchShape.ForBlocks(8, 12, 3)),
        ["blocks"] = l => BlockDiagonalLinear.FromDense(l, 4),
    };

    public void Dispose() => File.Delete(_file);

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_layer_is_its_weight_for_inputs_of_any_form(string kind)
    {
        using var scope = NewDisposeScope();
        foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            using Linear linear = Dense(type);
            using nn.Module<Tensor, Tensor> layer = Makers[kind](linear);
            using Linear merged = ((IMergeableLinear)layer).Merge();
            Tensor whole = randn([6, 5, 8], dtype: type, generator: new Generator(3));
            Tensor[] inputs =
            [
                whole, whole[0], whole[0][0], whole.narrow(0, 0, 0), whole[0].narrow(0, 0, 0), whole.transpose(0, 1), whole[0].t().contiguous().t(), whole[0].narrow(0, 0, 1).expand(4, 8),
                randn([5, 16], dtype: type, generator: new Generator(4)).slice(1, 0, 16, 2), zeros([3, 8], dtype: type),
            ];
            foreach (Tensor input in inputs)
            {
                Tensor x = input.detach().requires_grad_(), y = layer.call(x), expected = merged.call(input).detach();
                Assert.Equal(expected.shape, y.shape);
                Assert.Equal(type, y.dtype);
                double most = type == ScalarType.Float64 ? 1e-6 : 1e-4;
                if (y.numel() > 0) Assert.True((y - expected).abs().max().to(ScalarType.Float64).item<double>() < most, $"{kind}, {type}, [{string.Join(", ", input.shape)}]");
                y.sum().backward();
                Assert.Equal(input.shape, x.grad!.shape);
                if (y.numel() > 0) Assert.True((x.grad! - merged.weight!.detach().sum(0L).expand(input.shape)).abs().max().to(ScalarType.Float64).item<double>() < most, $"{kind}, {type}, gradient of [{string.Join(", ", input.shape)}]");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Inputs_that_are_none_are_refused_by_their_shape_or_type(string kind)
    {
        using var scope = NewDisposeScope();
        using Linear linear = Dense(ScalarType.Float32);
        using nn.Module<Tensor, Tensor> layer = Makers[kind](linear);
        if (layer is StraightThroughFactorizer) return;
        Assert.Contains("8]", Assert.ThrowsAny<ArgumentException>(() => layer.call(zeros([3, 7]))).Message, StringComparison.Ordinal);
        Assert.ThrowsAny<ArgumentException>(() => layer.call(zeros([8, 3])));
        Assert.ThrowsAny<ArgumentException>(() => layer.call(tensor(1f)));
        Assert.Contains("Float64", Assert.ThrowsAny<ArgumentException>(() => layer.call(zeros([3, 8], dtype: ScalarType.Float64))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentNullException>(() => layer.call(null!));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Half_layers_are_replaced_by_layers_that_compute_or_are_refused(string kind)
    {
        using var scope = NewDisposeScope();
        foreach (ScalarType half in new[] { ScalarType.Float16, ScalarType.BFloat16 })
        {
            using Linear linear = Dense(half);
            nn.Module<Tensor, Tensor> layer;
            try
            {
                layer = Makers[kind](linear);
            }
            catch (ArgumentException error)
            {
                Assert.Contains(half.ToString(), error.Message, StringComparison.Ordinal);
                continue;
            }

            // Where the layer became Float32 its inputs must be too.
            ScalarType type = layer.parameters().First().dtype;
            Tensor x = randn([5, 8], generator: new Generator(3)).to(half), y = layer.call(x.to(type));
            using Linear merged = ((IMergeableLinear)layer).Merge();
            Tensor expected = nn.functional.linear(x.to(ScalarType.Float32), merged.weight!.to(ScalarType.Float32), merged.bias!.to(ScalarType.Float32));
            Assert.Equal(type, y.dtype);
            Assert.True((y.to(ScalarType.Float32) - expected).abs().max().item<float>() < 0.1);
            y.to(ScalarType.Float32).square().sum().backward();
            Assert.All(layer.parameters().Where(p => p.requires_grad && p.grad is not null), p => Assert.True(p.grad!.isfinite().all().item<bool>()));
            layer.Dispose();
        }
    }

    [Fact]
    public void One_adapter_alone_is_a_network()
    {
        using var scope = NewDisposeScope();
        using Linear linear = Dense(ScalarType.Float32);
        using LoraLinear layer = new(linear, 2, 1);
        using ReLoraOptimizer optimizer = new(new AdamWOptimizer(layer, 0), layer, new() { Every = 2, WarmUp = 1 });
        Tensor before = layer.Base.detach().clone();
        for (int i = 0; i < 4; i++)
        {
            layer.zero_grad();
            layer.call(randn([6, 8], generator: new Generator((ulong)i))).square().sum().backward();
            optimizer.Step(0.1);
        }

        Assert.Equal(2, optimizer.Merges);
        Assert.False(layer.Base.equal(before).all().item<bool>());
        Assert.Equal(0, layer.B.count_nonzero().item<long>());
    }

    [Fact]
    public void Layers_of_other_types_and_starts_are_refused()
    {
        using var scope = NewDisposeScope();
        Assert.Contains("Int32", Assert.Throws<ArgumentException>(() => new LowRankLinear(4, 4, 2, 1, type: ScalarType.Int32)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new LowRankLinear(4, 4, 2, 1, type: ScalarType.Float16));
        Assert.Throws<ArgumentOutOfRangeException>(() => new LowRankLinear(4, 4, 2, 1, start: (FactorStart)7));
        using FactorPair pair = TruncatedSvd.Of(eye(4), 2);
        Assert.Contains("Float32", Assert.Throws<ArgumentException>(() => LowRankLinear.FromFactors(pair, zeros(4, dtype: ScalarType.Float64))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ScalarType.Float16, StfEstimator.Weight)]
    [InlineData(ScalarType.BFloat16, StfEstimator.Weight)]
    [InlineData(ScalarType.Float16, StfEstimator.Coefficients)]
    [InlineData(ScalarType.BFloat16, StfEstimator.Coefficients)]
    public void Half_networks_are_factored_trained_and_finished(ScalarType half, StfEstimator estimator)
    {
        using var scope = NewDisposeScope();
        using Sequential network = nn.Sequential(("first", Dense(half)), ("relu", nn.ReLU()), ("second", (Linear)nn.Linear(12, 3).to(half)));
        StraightThroughFactorizer.Attach(network, (name, _) => name == "first" ? new(12, 8, 4, 6, 2) : null, new() { Estimator = estimator });
        var layer = (StraightThroughFactorizer)LinearSlots.Of(network).First(s => s.Name == "first").Module;
        Tensor x = randn([9, 8], generator: new Generator(1)).to(half), y = network.call(x);
        Assert.Equal(half, y.dtype);
        y.to(ScalarType.Float32).square().mean().backward();
        Parameter trained = layer.Raw ?? layer.Coefficients!;
        Assert.Equal(half, trained.dtype);
        Assert.True(trained.grad!.isfinite().all().item<bool>() && trained.grad!.count_nonzero().item<long>() > 0);
        layer.Sweep();
        Tensor expected = layer.call(x).detach();
        using DenseSparseLinear finished = layer.Finish();
        Assert.Equal(ScalarType.Float32, finished.Values.dtype);
        Assert.True((finished.call(x.to(ScalarType.Float32)) - expected.to(ScalarType.Float32)).abs().max().item<float>() < 0.1);
    }

    [Fact]
    public void Atoms_of_a_foreign_state_are_refused_before_they_are_followed()
    {
        using var scope = NewDisposeScope();
        using Linear linear = Dense(ScalarType.Float32);
        using StraightThroughFactorizer layer = new(linear, new(12, 8, 4, 6, 2), name: "block 3");
        Dictionary<string, Tensor> own = layer.state_dict().ToDictionary(p => p.Key, p => p.Value.clone());
        foreach (long wrong in new long[] { -1, 6, long.MaxValue })
        {
            var state = own.ToDictionary(p => p.Key, p => p.Value.clone());
            state["atoms"].view(-1)[1] = wrong;
            layer.load_state_dict(state);
            Assert.Contains("block 3", Assert.Throws<InvalidDataException>(() => layer.call(zeros([2, 8]))).Message, StringComparison.Ordinal);
            Assert.Throws<InvalidDataException>(layer.Sweep);
        }

        layer.load_state_dict(own);
        layer.call(zeros([2, 8]));
    }

    [Fact]
    public void Values_of_another_support_are_refused()
    {
        using var scope = NewDisposeScope();
        SLTrainOptions options = new() { Rank = 2, Density = 0.2 };
        using LowRankSparseLinear one = new(8, 12, options), same = new(8, 12, options), other = new(8, 12, options with { Seed = 5 });
        Tensor x = randn([3, 8]);
        using (no_grad()) one.Values.normal_();
        same.load_state_dict(one.state_dict());
        Assert.True(same.call(x).equal(one.call(x)).all().item<bool>());
        other.load_state_dict(one.state_dict());
        Assert.Contains("another support", Assert.Throws<InvalidDataException>(() => other.call(x)).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidDataException>(() => other.Merge());
        Assert.Throws<InvalidDataException>(() => other.Save(_file));
        using (no_grad()) one.Values[3] = float.NaN;
        one.Save(_file);
        Assert.Contains("values", Assert.Throws<InvalidDataException>(() => LowRankSparseLinear.Load(_file)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_files_are_refused_or_whole()
    {
        using var scope = NewDisposeScope();
        using LowRankSparseLinear layer = new(8, 12, new() { Rank = 2, Density = 0.2 }, bias: true);
        using DenseSparseFactors factors = DenseSparse.Factorize(LowRankData.Gaussian(12, 8, 2), new(12, 8, 4, 6, 2));
        foreach ((Action<string> save, Action<string> load) in new (Action<string>, Action<string>)[] { (layer.Save, p => LowRankSparseLinear.Load(p).Dispose()), (factors.Save, p => DenseSparseFactors.Load(p).Dispose()) })
        {
            save(_file);
            byte[] whole = File.ReadAllBytes(_file);
            for (int at = 0; at < whole.Length; at += 3)
            {
                byte[] broken = (byte[])whole.Clone();
                broken[at] ^= (byte)(1 << (at % 8));
                File.WriteAllBytes(_file, broken);
                Exception? error = Record.Exception(() => load(_file));
                Assert.True(error is null or InvalidDataException or IOException, $"byte {at}: {error}");
                File.WriteAllBytes(_file, whole[..at]);
                Assert.True(Record.Exception(() => load(_file)) is InvalidDataException or IOException, $"cut after {at} bytes");
            }
        }
    }

    [Fact]
    public void A_factorisation_stops_when_it_is_told()
    {
        using var scope = NewDisposeScope();

        // One block: nothing to stop between.
        Tensor W = LowRankData.Gaussian(1200, 512, 1), basis = LowRankData.Gaussian(1100, 512, 2).unsqueeze(0);
        DenseSparseShape shape = new(1200, 512, 512, 1100, 1);
        using DenseSparseFactors factors = DenseSparseFactors.Of(shape, basis, arange(1200).remainder(1100).view(1, 1200, 1), ones([1, 1200, 1], dtype: ScalarType.Float64));
        DenseSparse.Refit(W, factors).Dispose();
        foreach (Action<CancellationToken> run in new Action<CancellationToken>[] { c => DenseSparse.Refit(W, factors, c).Dispose(), c => DenseSparse.UpdateBasis(W, factors, c).Dispose() })
        {
            // Told in the middle of the block, by a thread of its own and sooner each time (beside other tests the measured run may have been a slow one):
            // who looks only before the block would never hear.
            long start = System.Diagnostics.Stopwatch.GetTimestamp();
            run(default);
            TimeSpan all = System.Diagnostics.Stopwatch.GetElapsedTime(start);
            Assert.Contains(Enumerable.Range(1, 6), halving =>
            {
                using var cancel = new CancellationTokenSource();
                Thread teller = new(() => { Thread.Sleep(all / (1 << halving)); cancel.Cancel(); });
                teller.Start();
                Exception? heard = Record.Exception(() => run(cancel.Token));
                teller.Join();
                return heard is OperationCanceledException;
            });
        }
    }

    [Theory]
    [InlineData("relora")]
    [InlineData("sst")]
    public void Taken_up_after_any_step_a_training_goes_on_bit_for_bit(string method)
    {
        using var scope = NewDisposeScope();
        Tensor x = randn([32, 8], generator: new Generator(1)), target = randn([32, 12], generator: new Generator(2));
        (Sequential Model, TrainingLoop Loop) Begin()
        {
            var model = nn.Sequential(("only", Dense(ScalarType.Float32)));
            if (method == "relora") LoraLinear.Attach(model, 2, 3);
            else LinearSlots.Replace(model, (_, l) => new SpectralLinear(l, new() { Rank = 2, Seed = 9 }));
            AdamWOptimizer adam = new(model, 0);
            IOptimizer optimizer = method == "relora" ? new ReLoraOptimizer(adam, model, new() { Every = 3, WarmUp = 1 }) : new SstOptimizer(adam, model, new() { StepsPerIteration = 3, WarmUp = 2 });
            return (model, new TrainingLoop(model, new SampleBatches(x, target, 16), Losses.SquaredError(model), new() { Steps = 20, LearningRate = 0.03, WeightDecay = 0 }, optimizer: optimizer));
        }

        (Sequential whole, TrainingLoop unbroken) = Begin();
        for (int i = 0; i < 13; i++) unbroken.Step();
        for (int stop = 0; stop < 12; stop++)
        {
            (_, TrainingLoop first) = Begin();
            for (int i = 0; i < stop; i++) first.Step();
            first.Save(_file);
            (Sequential second, TrainingLoop again) = Begin();
            again.Load(_file);
            for (int i = stop; i < 13; i++) again.Step();
            foreach ((string name, Tensor value) in whole.state_dict()) Assert.True(value.equal(second.state_dict()[name]).all().item<bool>(), $"{method}, stopped after {stop}: {name}");
            first.Dispose();
            again.Dispose();
        }

        unbroken.Dispose();
    }

    [Fact]
    public void What_is_permuted_is_no_view_of_what_it_came_from()
    {
        using var scope = NewDisposeScope();
        foreach ((int rows, int columns) in new[] { (1, 6), (6, 1), (2, 3) })
        {
            Tensor x = arange(6, dtype: ScalarType.Float64), y = new StridePermutation(rows, columns).Apply(x);
            y.fill_(-1);
            Assert.Equal(15, x.sum().item<double>());
        }
    }

    private static Linear Dense(ScalarType type)
    {
        Linear linear = nn.Linear(8, 12);
        using (no_grad())
        {
            linear.weight!.copy_(randn([12, 8], generator: new Generator(11)) * 0.3);
            linear.bias!.copy_(randn(12, generator: new Generator(12)));
        }

        return (Linear)linear.to(type);
    }

    /// <summary>An adapter as it is after some training.</summary>
    private static nn.Module<Tensor, Tensor> Moved(nn.Module<Tensor, Tensor> layer)
    {
        using IDisposable off = no_grad();
        foreach ((string name, Parameter parameter) in layer.named_parameters())
        {
            if (name is "lora_B" or "delta") parameter.copy_(randn(parameter.shape, generator: new Generator(5)));
        }

        return layer;
    }

    private static LowRankSparseLinear Factored(LowRankSparseLinear layer)
    {
        layer.Mode = ForwardMode.Factored;
        return layer;
    }

    private static DenseSparseLinear Factored(DenseSparseLinear layer)
    {
        layer.Mode = ForwardMode.Factored;
        return layer;
    }
}
