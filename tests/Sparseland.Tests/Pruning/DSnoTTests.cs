using Sparseland.Pruning;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

public class DSnoTTests
{
    public static TheoryData<string, double, SwapStop> Cases
    {
        get
        {
            var data = new TheoryData<string, double, SwapStop>();
            foreach (string pattern in new[] { "row", "layer", "2:4" })
            {
                foreach (double p in new[] { 0, 1.0 })
                {
                    data.Add(pattern, p, SwapStop.Decrease);
                    data.Add(pattern, p, SwapStop.AsPublished);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void TheTrackedErrorIsTheRealOneAndCountsStay(string kind, double power, SwapStop stop)
    {
        using DisposeScope scope = NewDisposeScope();
        using var layer = new SyntheticLayer(64, 24, 1, 5);
        using var inputs = new ActivationStatistics(64);
        Tensor X = layer.Inputs(6, 20, 1), W = layer.Weight.to(ScalarType.Float64);
        inputs.Add(X.to(ScalarType.Float64));
        PruningPattern pattern = kind switch { "row" => PruningPattern.PerRow(0.6), "layer" => PruningPattern.PerLayer(0.6), _ => PruningPattern.NofM(2, 4) };
        using PrunedWeight first = new MagnitudePruner().Prune(new("layer", W, inputs), pattern);
        using DSnoTResult result = DSnoT.Refine(W, first.Mask, inputs, pattern, new() { MaxCycles = 12, VariancePower = power, Stop = stop, Threshold = 1e-3, KeepTrajectory = true });
        Assert.True(result.Swaps.Sum() > 10);
        Assert.True(first.Mask.to(ScalarType.Int64).sum(1).equal(result.Mask.to(ScalarType.Int64).sum(1)).all().item<bool>());
        if (kind == "2:4") Assert.True(result.Mask.reshape(-1, 4).to(ScalarType.Int64).sum(1).eq(2).all().item<bool>());

        // Forward passes of the dense and the masked weight over all sequences.
        Tensor difference = X.to(ScalarType.Float64).MatMul((W - W.mul(result.Mask)).t()).sum([0L, 1]) / 6, recomputed = tensor(DSnoT.ExpectedError(W, result.Mask, inputs));
        Tensor old = X.to(ScalarType.Float64).MatMul((W - W.mul(first.Mask)).t()).sum([0L, 1]) / 6;
        for (int i = 0; i < 24; i++)
        {
            Assert.Equal(difference[i].item<double>(), result.ErrorAfter[i], 1e-6 * Math.Max(1, Math.Abs(result.ErrorBefore[i])));
            Assert.Equal(old[i].item<double>(), result.ErrorBefore[i], 1e-6 * Math.Max(1, Math.Abs(result.ErrorBefore[i])));
            Assert.Equal(recomputed[i].item<double>(), result.ErrorAfter[i], 1e-9 * Math.Max(1, Math.Abs(result.ErrorBefore[i])));
            Assert.Equal(result.Swaps[i] + 1, result.Trajectories[i].Count);
            Assert.Equal(result.ErrorAfter[i], result.Trajectories[i][^1], 1e-12);
            long moved = first.Mask[i].ne(result.Mask[i]).sum().item<long>();
            Assert.Equal(2 * result.Swaps[i], moved);
            if (stop == SwapStop.Decrease) Assert.True(Math.Abs(result.ErrorAfter[i]) <= Math.Abs(result.ErrorBefore[i]));
        }
    }

    [Fact]
    public void OneRowByHand()
    {
        using DisposeScope scope = NewDisposeScope();

        // Inputs 1 or 3 in both columns' kinds: sums over a sequence of two tokens are 4, variances 1.
        using var inputs = new ActivationStatistics(6);
        inputs.Add(tensor(new double[,] { { 1, 1, 1, 1, 1, 1 }, { 3, 3, 3, 3, 3, 3 } }).unsqueeze(0));
        Tensor W = tensor(new double[,] { { 5, -4, 3, 2, -1.5, 1 } }), mask = tensor(new[] { true, true, true, false, false, false }).unsqueeze(0);

        // D = 4 (2 - 1.5 + 1) = 6. Grow 2 (c = 8); prune the kept weight of negative contribution, -4 (c = -16): D = 6 - 8 - 16 = -18, farther away.
        Assert.Equal(6, DSnoT.ExpectedError(W, mask, inputs)[0], 1e-12);
        using DSnoTResult decrease = DSnoT.Refine(W, mask, inputs, null, new() { MaxCycles = 5 });
        Assert.Equal(0, decrease.Swaps[0]);
        using DSnoTResult published = DSnoT.Refine(W, mask, inputs, null, new() { MaxCycles = 1, Stop = SwapStop.AsPublished });
        Assert.Equal(-18, published.ErrorAfter[0], 1e-12);
        Assert.Equal([true, false, true, true, false, false], published.Mask[0].data<bool>().ToArray());

        // Then the sign has changed: grow -1.5 (c = -6), prune the least important of positive contribution, 3 (c = 12): D = -18 + 6 + 12 = 0.
        using DSnoTResult two = DSnoT.Refine(W, mask, inputs, null, new() { MaxCycles = 9, Stop = SwapStop.AsPublished });
        Assert.Equal(2, two.Swaps[0]);
        Assert.Equal(0, two.ErrorAfter[0], 1e-12);
    }

    [Fact]
    public void TheMeanPartOfAKnownLayerGoes()
    {
        using DisposeScope scope = NewDisposeScope();
        using var layer = new SyntheticLayer(512, 64, 1, 1);
        using var inputs = new ActivationStatistics(512);
        inputs.Add(layer.Inputs(16, 128, 2));
        using PrunedWeight wanda = new WandaPruner().Prune(new("layer", layer.Weight, inputs), PruningPattern.PerRow(0.5));
        using DSnoTResult result = DSnoT.Refine(layer.Weight, wanda.Mask, inputs, PruningPattern.PerRow(0.5), new() { MaxCycles = 50 });
        Assert.True(result.ErrorAfter.Sum(e => e * e) < 0.05 * result.ErrorBefore.Sum(e => e * e));
        using Tensor bias = DSnoT.BiasCompensation(layer.Weight, wanda.Mask, inputs);
        Assert.Equal(result.ErrorBefore[3] / 128, bias[3].item<float>(), 1e-5);
    }

    [Fact]
    public void RefusesWhatDoesNotBelong()
    {
        using DisposeScope scope = NewDisposeScope();
        using var inputs = new ActivationStatistics(8);
        inputs.Add(rand(4, 8));
        Tensor W = rand(3, 8), mask = rand(3, 8).gt(0.5);
        mask[0] = true;
        mask[1] = false;
        Assert.Throws<ArgumentException>(() => DSnoT.Refine(W, mask, inputs, PruningPattern.PerRow(0.5)));
        Assert.Throws<ArgumentException>(() => DSnoT.Refine(W, mask, inputs, PruningPattern.NofM(2, 4)));
        Assert.Throws<ArgumentException>(() => DSnoT.Refine(W, mask.to(ScalarType.Float32), inputs));
        Assert.Throws<ArgumentException>(() => DSnoT.Refine(rand(3, 7), rand(3, 7).gt(0.5), inputs));
        using var single = new ActivationStatistics(8);
        single.Add(rand(5, 1, 8));
        Assert.Throws<ArgumentException>(() => DSnoT.Refine(W, mask, single));
        Assert.Throws<ArgumentOutOfRangeException>(() => DSnoT.Refine(W, mask, inputs, null, new() { Threshold = double.NaN }));
        Tensor constant = ones(3, 8) * 2;
        using var still = new ActivationStatistics(8);
        still.Add(constant);
        using DSnoTResult floored = DSnoT.Refine(W, mask, still);
        Assert.Equal(8, floored.FlooredVariances);
    }
}
