using Sparseland.Coding;
using Sparseland.Penalties;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Coding;

public sealed class ListaTests
{
    // Claim 4 of the core, first half.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void BeforeTrainingEachLayerIsAnIstaStep(bool tied)
    {
        using Tensor D = CodingData.Dictionary(40, 20, 1), X = CodingData.Planted(D, 10, 3, 2);
        using var network = new Lista(D, 0.1, 6, tied);
        double step = 1 / network.Lipschitz;
        var coder = new ThresholdCoder(new L1(0.1));
        Tensor codes = zeros([10, 40], dtype: ScalarType.Float64);
        for (int layer = 1; layer <= 6; layer++)
        {
            using Tensor moved = ThresholdCoder.GradientStep(codes, X, D, step);
            codes.Dispose();
            codes = coder.ProxStep(moved, step);
            using Tensor after = network.After(X, layer);
            Assert.True(CodingData.MaxDifference(codes, after) < 1e-12);
        }

        codes.Dispose();
        Assert.Equal(tied ? 3 : 18, network.parameters().Count());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void TrainingHelpsOnHeldOutCodesAndRepeats(bool tied)
    {
        using Tensor D = CodingData.Dictionary(30, 15, 3), X = CodingData.Planted(D, 600, 2, 4), held = CodingData.Planted(D, 200, 2, 5);
        using Tensor targets = new CoordinateCoder(new L1(0.1)).Codes(X, D), truth = new CoordinateCoder(new L1(0.1)).Codes(held, D);
        var options = new ListaTrainingOptions { Epochs = 15, BatchSize = 50, LearningRate = 3e-3, Seed = 6 };
        double[] errors = new double[2];
        for (int run = 0; run < 2; run++)
        {
            using var network = new Lista(D, 0.1, 4, tied);
            double before = Error(network, held, truth);
            IReadOnlyList<double> losses = ListaTraining.Fit(network, X, targets, options);
            errors[run] = Error(network, held, truth);
            Assert.True(errors[run] < 0.7 * before, $"{before} to {errors[run]}");
            Assert.True(losses[^1] < losses[0]);
        }

        Assert.Equal(errors[0], errors[1], 1e-12);
    }

    [Fact]
    public void BadInputIsNamed()
    {
        using Tensor D = CodingData.Dictionary(10, 5, 7), X = CodingData.Planted(D, 6, 2, 8), codes = zeros([5, 10], dtype: ScalarType.Float64);
        Assert.Throws<ArgumentOutOfRangeException>(() => new Lista(D, 0, 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Lista(D, 0.1, 0));
        using var network = new Lista(D, 0.1, 3);
        Assert.Throws<ArgumentOutOfRangeException>(() => network.After(X, 4));
        Assert.Throws<ArgumentException>(() => ListaTraining.Fit(network, X, codes));
        Assert.Throws<ArgumentOutOfRangeException>(() => ListaTraining.Fit(network, X, codes, new ListaTrainingOptions { Epochs = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => ListaTraining.Fit(network, X, codes, new ListaTrainingOptions { LearningRate = double.PositiveInfinity }));
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        using Tensor fits = zeros([6, 10], dtype: ScalarType.Float64);
        Assert.Throws<OperationCanceledException>(() => ListaTraining.Fit(network, X, fits, cancel: cancelled.Token));
    }

    private static double Error(Lista network, Tensor X, Tensor truth)
    {
        using var free = no_grad();
        using var scope = NewDisposeScope();
        return network.call(X).sub(truth).square().sum().item<double>() / truth.square().sum().item<double>();
    }
}
