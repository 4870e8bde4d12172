using Sparseland.Kernels;
using Sparseland.Models;
using Sparseland.Selection;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

/// <summary>Masked layers and what a masked training does to memory directly, against plain loops and against the operations of libtorch.</summary>
public sealed class MaskedTrialTests
{
    // Numbers of every size and kind, around the length from which threads share the work.
    [Theory]
    [InlineData(ScalarType.Byte)]
    [InlineData(ScalarType.Int16)]
    [InlineData(ScalarType.Int32)]
    [InlineData(ScalarType.Int64)]
    [InlineData(ScalarType.Bool)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.ComplexFloat32)]
    [InlineData(ScalarType.ComplexFloat64)]
    public void Zeros_are_written_into_numbers_of_any_type_and_nowhere_else(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(3);
        foreach (long length in (long[])[1, 65_535, 65_536, 65_537, 131_073])
        {
            Tensor whole = (randn(length + 2, generator: generator) * 5).to(type), mask = rand(length, generator: generator) > 0.5f;

            // One number into its storage: no vector of it is aligned.
            Tensor view = whole.narrow(0, 1, length), before = whole.clone();
            foreach (bool where in (bool[])[true, false])
            {
                Tensor expected = before.clone();
                expected.narrow(0, 1, length).masked_fill_(where ? mask : mask.logical_not(), 0);
                whole.copy_(before);
                MaskedZeros.Write(view, mask, where);
                Assert.Equal(expected.bytes.ToArray(), whole.bytes.ToArray());
            }

            Assert.Equal(before.narrow(0, 1, length).masked_fill(mask.logical_not(), 0).clone().bytes.ToArray(), MaskedZeros.Of(before.narrow(0, 1, length), mask).clone().bytes.ToArray());
        }
    }

    [Fact]
    public void A_number_without_a_dimension_and_a_mask_of_one_row_are_taken()
    {
        using var scope = NewDisposeScope();
        Tensor one = tensor(3.0f), wide = ones(4, 3);
        MaskedZeros.Write(one, tensor(true), where: true);
        Assert.Equal(0, one.item<float>());
        MaskedZeros.Write(wide, tensor(new[] { true, false, true }, [1, 3]), where: false);
        Assert.Equal(8, wide.sum().item<float>());
        Assert.Equal(8, MaskedZeros.Of(ones(4, 3), tensor(new[] { true, false, true }, [1, 3])).sum().item<float>());
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Int32)]
    public void A_mask_of_another_type_is_not_read_as_bytes(ScalarType type)
    {
        using var scope = NewDisposeScope();
        Tensor mask = tensor(new[] { 1, 0, 0, 1, 0, 1 }, [2, 3]).to(type), weight = ones(2, 3);
        Assert.ThrowsAny<Exception>(() => MaskedZeros.Write(weight, mask, where: true));
        Assert.Equal(6, weight.sum().item<float>());
    }

    [Fact]
    public void A_conjugated_view_keeps_its_values()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(3);
        foreach (ScalarType type in (ScalarType[])[ScalarType.ComplexFloat32, ScalarType.ComplexFloat64])
        {
            Tensor x = randn([5, 7], type, generator: generator), mask = rand(5, 7, generator: generator) > 0.5f;
            Tensor expected = x.conj().masked_fill(mask.logical_not(), 0);
            Assert.Equal(0, (MaskedZeros.Of(x.conj(), mask) - expected).abs().sum().to(ScalarType.Float64).item<double>());
            Tensor own = x.clone();
            MaskedZeros.Write(own.conj(), mask, where: false);
            Assert.Equal(0, (own.conj() - expected).abs().sum().to(ScalarType.Float64).item<double>());
        }
    }

    [Fact]
    public void A_leaf_with_a_gradient_is_not_written_behind_its_graph()
    {
        using var scope = NewDisposeScope();
        Tensor leaf = ones([3, 4], requires_grad: true), mask = zeros(3, 4, dtype: ScalarType.Bool);
        Assert.ThrowsAny<Exception>(() => MaskedZeros.Write(leaf, mask, where: false));
        Assert.False(MaskedZeros.Of(leaf, mask).requires_grad);
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void Candidates_keep_their_scores_and_all_else_is_minus_infinity(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(3);
        foreach (long[] shape in (long[][])[[0], [1], [1, 65_536], [3, 21_846], [257, 511]])
        {
            Tensor scores = randn(shape, generator: generator).to(type), among = rand(shape, generator: generator) > 0.5f;
            if (scores.numel() > 1)
            {
                // What is no candidate may be anything.
                scores.view(-1)[0] = double.NaN;
                scores.view(-1)[-2] = double.PositiveInfinity;
                among.view(-1)[0] = false;
                among.view(-1)[-2] = false;
                among.view(-1)[-1] = true;
            }

            Tensor kept = scores.clone();
            foreach (Tensor given in scores.dim() == 2 ? (Tensor[])[scores, scores.t().contiguous().t()] : [scores])
            {
                foreach (bool own in (bool[])[false, true])
                {
                    using Tensor mine = own ? given.clone() : given.alias();
                    Tensor ranked = CandidateScores.Of(mine, among, own)!;
                    Assert.Equal(TrainingData.Numbers(given.to(ScalarType.Float64).masked_fill(among.logical_not(), double.NegativeInfinity)), TrainingData.Numbers(ranked));
                }
            }

            Assert.Equal(TrainingData.Numbers(kept), TrainingData.Numbers(scores));
            if (scores.numel() == 0) continue;
            foreach (double bad in (double[])[double.NaN, double.PositiveInfinity, double.NegativeInfinity])
            {
                Tensor broken = zeros_like(scores);
                broken.view(-1)[-1] = bad;
                Assert.Equal(among.view(-1)[-1].item<bool>(), CandidateScores.Of(broken, among) is null);
            }
        }
    }

    [Fact]
    public void Random_scores_of_large_layers_share_no_stretch()
    {
        using var scope = NewDisposeScope();
        double[] Of(string layer, long step, long length) => TopologyContext.RandomScores([length], 4, (long)SeededRandom.Mix(TopologyContext.NameHash(layer) ^ SeededRandom.Mix((ulong)step))).data<double>().ToArray();
        double[] a = Of("a", 1, (1 << 20) + 1000), b = Of("b", 1, (1 << 20) + 1000), later = Of("a", 2, (1 << 20) + 1000);
        HashSet<double> ends = [.. a[^1000..]];
        Assert.Equal(1000, ends.Count);
        Assert.DoesNotContain(a[..^1000], ends.Contains);
        Assert.DoesNotContain(b, ends.Contains);
        Assert.DoesNotContain(later, ends.Contains);
        Assert.True(a.All(x => x is >= 0 and < 1));
        Assert.Equal(a[..^1001], Of("a", 1, (1 << 20) - 1));
        Assert.Empty(Of("a", 1, 0));
        Assert.InRange(a[^1000..].Average(), 0.45, 0.55);
    }

    public static TheoryData<ScalarType, double, bool> Layers()
    {
        var data = new TheoryData<ScalarType, double, bool>();
        foreach (ScalarType type in (ScalarType[])[ScalarType.Float32, ScalarType.Float64])
        {
            foreach (double density in (double[])[0, 0.05, 0.5, 1])
            {
                data.Add(type, density, true);
                data.Add(type, density, false);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Layers))]
    public void A_masked_layer_is_the_dense_one_whatever_stands_at_masked_places(ScalarType type, double density, bool hasBias)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(8);
        using Bed bed = new(70, 61, density, type, hasBias);
        Tensor[] inputs =
        [
            randn([70], type, generator: generator), randn([1, 70], type, generator: generator), randn([0, 70], type, generator: generator), randn([3, 0, 70], type, generator: generator),
            randn([2, 17, 70], type, generator: generator), randn([70, 9], type, generator: generator).t(), randn([70], type, generator: generator).expand(5, 70), randn([6, 1], type, generator: generator).expand(6, 70),
            randn([4, 71], type, generator: generator).narrow(1, 1, 70), zeros([3, 70], type).fill_(-0.0),
        ];
        foreach (Tensor input in inputs)
        {
            Tensor x = input.detach().requires_grad_(true), y = input.detach().requires_grad_(true);
            Tensor output = bed.Layer.call(x), expected = bed.Dense(y);
            Assert.True(bed.Layer.IsSparse);
            Close(expected, output, type);
            Tensor slope = randn(output.shape, type, generator: generator);
            Dictionary<string, Tensor> got = bed.Gradients(() => output.backward([slope])), wanted = bed.Gradients(() => expected.backward([slope]));
            Close(y.grad!, x.grad!, type);
            foreach ((string name, Tensor gradient) in wanted) Close(name == "weight" ? gradient.masked_fill(bed.Mask.logical_not(), 0) : gradient, got[name], type);

            // A gradient without memory of its own, as a sum gives.
            Dictionary<string, Tensor> ofSum = bed.Gradients(() => bed.Layer.call(input).sum().backward()), sum = bed.Gradients(() => bed.Dense(input).sum().backward());
            Close(sum["weight"].masked_fill(bed.Mask.logical_not(), 0), ofSum["weight"], type);
        }
    }

    [Fact]
    public void Gradients_are_numeric_differences()
    {
        using var scope = NewDisposeScope();
        using Bed bed = new(6, 5, 0.4, ScalarType.Float64, true);
        using Generator generator = new(8);
        Tensor x = randn([3, 6], ScalarType.Float64, generator: generator).requires_grad_(true), c = randn([3, 5], ScalarType.Float64, generator: generator);
        double Loss() => (bed.Layer.call(x).tanh() * c).sum().item<double>();
        Dictionary<string, Tensor> gradients = bed.Gradients(() => (bed.Layer.call(x).tanh() * c).sum().backward());
        using IDisposable off = no_grad();
        foreach ((Tensor numbers, Tensor gradient) in ((Tensor, Tensor)[])[(bed.Weight, gradients["weight"]), (x, x.grad!)])
        {
            for (long r = 0; r < numbers.shape[0]; r++)
            {
                for (long i = 0; i < numbers.shape[1]; i++)
                {
                    double at = numbers[r, i].item<double>();
                    numbers[r, i] = at + 1e-6;
                    double above = Loss();
                    numbers[r, i] = at - 1e-6;
                    double below = Loss();
                    numbers[r, i] = at;
                    if (double.IsNaN(at)) Assert.Equal(0, gradient[r, i].item<double>());
                    else Assert.Equal((above - below) / 2e-6, gradient[r, i].item<double>(), 1e-7);
                }
            }
        }
    }

    [Fact]
    public void Masks_and_weights_that_move_after_the_forward_pass_do_not_reach_its_gradient()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(8);
        using Bed bed = new(70, 61, 0.1, ScalarType.Float64, true);
        Tensor x = randn([4, 70], ScalarType.Float64, generator: generator).requires_grad_(true), y = x.detach().requires_grad_(true);
        Dictionary<string, Tensor> wanted = bed.Gradients(() => bed.Dense(y).square().sum().backward());
        Tensor before = bed.Mask.clone(), loss = bed.Layer.call(x).square().sum();
        bed.Masks.Set("fc.weight", before.logical_not());
        bed.Layer.call(x.detach());
        Dictionary<string, Tensor> got = bed.Gradients(() => loss.backward());
        Close(y.grad!, x.grad!, ScalarType.Float64);
        Close(wanted["weight"].masked_fill(before.logical_not(), 0), got["weight"], ScalarType.Float64);
    }

    [Fact]
    public void A_graph_that_is_kept_gives_its_gradient_twice_and_one_that_is_not_fails()
    {
        using var scope = NewDisposeScope();
        using Bed bed = new(70, 61, 0.1, ScalarType.Float64, true);
        Tensor x = ones([4, 70], ScalarType.Float64).requires_grad_(true), loss = bed.Layer.call(x).square().sum();
        loss.backward(retain_graph: true);
        Tensor once = x.grad!.clone();
        loss.backward();
        Close(once * 2, x.grad!, ScalarType.Float64);
        Assert.ThrowsAny<Exception>(() => loss.backward());
    }

    [Fact]
    public void Frozen_parts_get_no_gradient()
    {
        using var scope = NewDisposeScope();
        using Bed bed = new(70, 61, 0.1, ScalarType.Float32, true);
        Tensor x = ones(4, 70).requires_grad_(true);
        bed.Weight.requires_grad = false;
        bed.Layer.call(x).sum().backward();
        Assert.NotNull(x.grad);
        Assert.Null(bed.Weight.grad);
        bed.Weight.requires_grad = true;
        Tensor still = ones(4, 70);
        bed.Layer.call(still).sum().backward();
        Assert.Null(still.grad);
        Assert.NotNull(bed.Weight.grad);
        using (no_grad()) Assert.False(bed.Layer.call(x).requires_grad);
    }

    // A penalty on a gradient: what cannot be differentiated twice must say so, and not count as a constant.
    [Fact]
    public void A_gradient_of_a_gradient_is_right_or_refused()
    {
        using var scope = NewDisposeScope();
        using Bed bed = new(70, 61, 0.1, ScalarType.Float64, true);
        using Generator generator = new(8);
        Tensor x = randn([4, 70], ScalarType.Float64, generator: generator).requires_grad_(true), along = randn([70, 61], ScalarType.Float64, generator: generator);
        Tensor Penalty(Func<Tensor, Tensor> layer)
        {
            // Two ways from x to the loss, one of them without the layer.
            Tensor value = (layer(x) + x.mm(along)).tanh().sum();
            return autograd.grad([value], [x], retain_graph: true, create_graph: true)[0].square().sum();
        }

        Dictionary<string, Tensor> wanted = bed.Gradients(() => Penalty(bed.Dense).backward());
        bed.Weight.grad = null;
        Exception? refusal = Record.Exception(() => Penalty(bed.Layer.call).backward());
        if (refusal is null) Close(wanted["weight"].masked_fill(bed.Mask.logical_not(), 0), bed.Weight.grad!, ScalarType.Float64);
    }

    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    public void A_network_of_a_smaller_type_computes_what_it_computed_before(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using Bed bed = new(70, 61, 0.05, type, true, clean: true);
        Tensor x = ones(4, 70).to(type);
        Assert.True(bed.Layer.call(x).equal(nn.functional.linear(x, bed.Weight, bed.Bias)).all().item<bool>());
    }

    [Fact]
    public void Layers_put_into_an_evaluated_network_do_not_ask_for_dense_gradients()
    {
        using var scope = NewDisposeScope();
        using Sequential network = nn.Sequential(("fc", nn.Linear(20, 10)));
        using MaskSet masks = MaskSet.Random(network, 0.1, 1);
        masks.Apply();
        network.eval();
        var layer = (MaskedLinear)MaskedLinear.Attach(network, masks, () => throw new InvalidOperationException("asked"))[0].After;
        network.call(ones(2, 20));
        Assert.True(layer.IsSparse);
    }

    [Fact]
    public void A_network_that_was_moved_to_another_type_is_refused_and_not_computed_with_old_weights()
    {
        using var scope = NewDisposeScope();
        using Sequential network = nn.Sequential(("fc", nn.Linear(20, 10)));
        using MaskSet masks = MaskSet.Random(network, 0.1, 1);
        MaskedLinear.Attach(network, masks);
        network.call(ones(2, 20));
        network.to(ScalarType.Float64);
        network.to(ScalarType.Float32);
        using (no_grad()) foreach (Parameter p in network.parameters()) p.fill_(0);
        Exception? refusal = Record.Exception(() => Assert.Equal(0, network.call(ones(2, 20)).abs().sum().item<float>()));
        Assert.IsNotType<Xunit.Sdk.EqualException>(refusal);
    }

    [Fact]
    public void Inference_without_versions_gives_the_same()
    {
        using var scope = NewDisposeScope();
        using Bed bed = new(70, 61, 0.1, ScalarType.Float64, true);
        Tensor x = ones([4, 70], ScalarType.Float64), expected = bed.Dense(x).detach();
        using IDisposable mode = inference_mode();
        Tensor y = bed.Layer.call(x), again = bed.Layer.call(ones([4, 70], ScalarType.Float64));
        Assert.True(y.allclose(expected, 1e-12, 1e-12));
        Assert.True(again.allclose(expected, 1e-12, 1e-12));
        Tensor fresh = ones(61, 70);
        MaskedZeros.Write(fresh, bed.Mask, where: true);
        Assert.Equal((61 * 70) - MaskSet.TrueIn(bed.Mask), fresh.sum().item<float>());
    }

    // Adam's pass in pieces, around the length of one.
    [Theory]
    [InlineData(1)]
    [InlineData(32_767)]
    [InlineData(32_768)]
    [InlineData(65_553)]
    public void Steps_of_Adam_in_pieces_are_those_of_the_formula(int size)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(2);
        using Sequential network = nn.Sequential(("fc", nn.Linear(1, size, hasBias: false)));
        using AdamWOptimizer adam = new(network, 0);
        Parameter weight = network.parameters().Single();
        double[] theta = TrainingData.Numbers(weight.detach()), m = new double[size], v = new double[size];
        for (int step = 1; step <= 3; step++)
        {
            weight.grad = randn([size, 1], generator: generator);
            double[] g = TrainingData.Numbers(weight.grad);
            adam.Step(0.01);
            for (int i = 0; i < size; i++)
            {
                m[i] = (0.9 * m[i]) + (0.1 * g[i]);
                v[i] = (0.999 * v[i]) + (0.001 * g[i] * g[i]);
                theta[i] -= 0.01 * (m[i] / (1 - Math.Pow(0.9, step))) / (Math.Sqrt(v[i] / (1 - Math.Pow(0.999, step))) + 1e-8);
            }
        }

        double[] got = TrainingData.Numbers(weight.detach());
        Assert.InRange(Enumerable.Range(0, size).Max(i => Math.Abs(theta[i] - got[i])), 0, 2e-5);
    }

    [Fact]
    public void Nothing_stays_alive_after_calls_of_masked_work()
    {
        using Bed bed = new(70, 61, 0.1, ScalarType.Float32, true);
        using Tensor x = randn(4, 70), w = randn(61, 70);
        Support support = bed.Masks.SupportOf("fc.weight");
        TurnedSupport turned = new(support);
        void Round()
        {
            using (NewDisposeScope()) bed.Layer.call(x).sum().backward();
            using (Tensor copy = MaskedZeros.Of(w, bed.Mask)) MaskedZeros.Write(copy, bed.Mask, where: true);
            using (Tensor values = support.Gather(w), there = turned.Turn(values), dense = SparseProduct.ToDense(support, values), back = Transposed.Of(dense), twice = Transposed.Of(back)) Assert.True(TensorInput.IsFinite(twice));
            using (Tensor? ranked = CandidateScores.Of(w, bed.Mask)) Assert.NotNull(ranked);
            using (Tensor scores = TopologyContext.RandomScores([61, 70], 1, 2)) Assert.Equal(4270, scores.numel());
        }

        for (int i = 0; i < 3; i++) Round();
        long alive = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        for (int i = 0; i < 100; i++) Round();
        Assert.Equal(alive, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    [Theory]
    [InlineData(10, 3, false)]
    [InlineData(10, 3, true)]
    [InlineData(10, 10, true)]
    [InlineData(10, 1, true)]
    [InlineData(7, 50, false)]
    [InlineData(1, 1, true)]
    [InlineData(5, int.MaxValue, false)]
    public void Every_sample_comes_once_an_epoch_and_a_batch_does_not_depend_on_what_was_asked_before(int samples, int batch, bool whole)
    {
        EpochOrder Fresh(long seed = 6) => new(samples, batch, seed, 800, whole);
        EpochOrder order = Fresh();
        long per = order.PerEpoch;
        Assert.Equal(whole ? samples / batch : (samples - 1) / batch + 1, per);
        foreach (long epoch in (long[])[0, 1, 2, 1_000_000_007, (long.MaxValue / per) - 1])
        {
            // The order of an epoch by itself.
            long[] expected = new SeededRandom(6, 800 + epoch).Permutation<long>(samples);
            long[][] batches = [.. Enumerable.Range(0, (int)per).Select(i => order.At((epoch * per) + i))];
            Assert.Equal(expected.Take(whole ? (int)per * batch : samples), batches.SelectMany(b => b));
            Assert.All(batches[..^1], b => Assert.Equal(batch, b.Length));
            Assert.Equal(batches[^1], Fresh().At((epoch * per) + per - 1));
            order.At(0);
            Assert.Equal(batches[0], order.At(epoch * per));
        }

        order.At(long.MaxValue);
        Assert.Throws<ArgumentOutOfRangeException>(() => order.At(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => order.At(long.MinValue));
        long[] mine = order.At(0);
        Array.Fill(mine, -5);
        Assert.DoesNotContain(-5, order.At(0));
    }

    [Fact]
    public void Samples_are_served_in_batches_larger_than_all_of_them_and_after_jumps()
    {
        using var scope = NewDisposeScope();
        Tensor X = arange(7).view(7, 1), labels = arange(7);
        SampleBatches batches = new(X, labels, 100, seed: 3), same = new(X, labels, 100, seed: 3), other = new(X, labels, 100, seed: 4);
        Assert.Equal(1, batches.PerEpoch);
        Batch far = batches.At(1L << 40);
        Assert.Equal(Enumerable.Range(0, 7).Select(i => (long)i), far.Target.data<long>().ToArray().Order());
        Assert.Equal(far.Target.data<long>().ToArray(), same.At(1L << 40).Target.data<long>().ToArray());
        Assert.Contains(Enumerable.Range(0, 5), i => !batches.At(i).Target.data<long>().ToArray().SequenceEqual(other.At(i).Target.data<long>().ToArray()));
        Assert.Throws<ArgumentException>(() => new SampleBatches(X, labels, 8, whole: true));
        Assert.Throws<ArgumentOutOfRangeException>(() => batches.At(-1));
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    public void A_gradient_that_is_not_finite_at_a_masked_place_does_no_harm(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using Sequential network = nn.Sequential(("fc", nn.Linear(30, 20, dtype: type)));
        using MaskSet masks = MaskSet.Random(network, 0.2, 1);
        using SparseOptimizer optimizer = new(new AdamWOptimizer(network), masks);
        Parameter weight = masks.ParameterOf("fc.weight");
        foreach (bool turned in (bool[])[false, true])
        {
            Tensor gradient = ones_like(weight).masked_fill(masks["fc.weight"].logical_not(), double.NaN);
            weight.grad = turned ? gradient.t().contiguous().t() : gradient;
            optimizer.Step(0.1);
            Assert.True(weight.isfinite().all().item<bool>());
            Assert.Equal(0, weight.masked_select(masks["fc.weight"].logical_not()).abs().sum().to(ScalarType.Float64).item<double>());
            Assert.All(optimizer.MomentsOf("fc.weight"), m => Assert.Equal(0, m.masked_select(masks["fc.weight"].logical_not()).abs().sum().to(ScalarType.Float64).item<double>()));
        }
    }

    private static void Close(Tensor expected, Tensor actual, ScalarType type)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.Equal(expected.dtype, actual.dtype);
        double tolerance = type == ScalarType.Float64 ? 1e-11 : 1e-4;
        Assert.True(actual.allclose(expected, tolerance, tolerance));
    }

    /// <summary>A network of one masked layer whose weights at masked places are not finite.</summary>
    private sealed class Bed : IDisposable
    {
        private readonly Sequential _network;

        public Bed(int inputs, int outputs, double density, ScalarType type, bool hasBias, bool clean = false)
        {
            using IDisposable off = no_grad();
            using Generator generator = new(5);
            _network = nn.Sequential(("fc", nn.Linear(inputs, outputs, hasBias, dtype: type)));
            var linear = (Linear)_network.named_children().Single().module;
            using Tensor mask = rand([outputs, inputs], generator: generator) < density;
            Masks = MaskSet.Of(_network, new Dictionary<string, Tensor> { ["fc.weight"] = mask });
            Weight = linear.weight!;
            Bias = linear.bias;
            Tensor numbers = randn([outputs, inputs], generator: generator).to(type).masked_fill(mask.logical_not(), clean ? 0 : double.NaN);
            if (!clean && density < 1) numbers.masked_fill_(mask.logical_not().logical_and(rand([outputs, inputs], generator: generator) < 0.5), double.PositiveInfinity);
            Weight.copy_(numbers);
            Layer = (MaskedLinear)MaskedLinear.Attach(_network, Masks, limit: 1)[0].After;
        }

        public MaskSet Masks { get; }

        public Tensor Mask => Masks["fc.weight"];

        public Parameter Weight { get; }

        public Parameter? Bias { get; }

        public MaskedLinear Layer { get; }

        public Tensor Dense(Tensor x) => nn.functional.linear(x, zeros_like(Weight).where(Mask.logical_not(), Weight), Bias);

        public Dictionary<string, Tensor> Gradients(Action backward)
        {
            Weight.grad = null;
            if (Bias is not null) Bias.grad = null;
            backward();
            Dictionary<string, Tensor> gradients = new() { ["weight"] = Weight.grad!.clone() };
            if (Bias is not null) gradients["bias"] = Bias.grad!.clone();
            return gradients;
        }

        public void Dispose()
        {
            Masks.Dispose();
            _network.Dispose();
        }
    }
}
