using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Tests.Training;

public class RecalibrateBatchNormTests
{
    [Fact]
    public void Statistics_are_the_plain_mean_of_those_of_the_batches()
    {
        // torch 1.13: BatchNorm1d(4, momentum=None).double() in training mode on rows 0-1, 2-3, 4-5 of sin(arange(24)).reshape(6, 4).
        double[] mean = [0.053504127896263486, 0.09834839647827584, 0.05277160289502941, -0.04132315902119142];
        double[] variance = [0.7238755363139313, 1.0790804882176293, 0.7198147830454102, 0.6636244045163069];
        using DisposeScope scope = NewDisposeScope();
        using Sequential network = Sequential(("bn", BatchNorm1d(4)));
        network.to(ScalarType.Float64);
        network.eval();
        BatchNorm layer = Assert.Single(RecalibrateBatchNorm.LayersOf(network));
        layer.running_mean!.fill_(7);
        Tensor X = arange(24, dtype: ScalarType.Float64).reshape(6, 4).sin();
        Assert.Equal(3, RecalibrateBatchNorm.Run(network, X, 2));
        Near(mean, layer.running_mean!);
        Near(variance, layer.running_var!);
        Assert.False(network.training);
        Assert.Equal(0.1, layer.momentum);
        Assert.Equal(3, layer.num_batches_tracked!.item<long>());
    }

    [Fact]
    public void A_last_sample_alone_is_left_out_and_bad_input_is_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        using Sequential network = Sequential(("bn", BatchNorm1d(3))), none = Sequential(("fc", Linear(3, 2)));
        Tensor X = randn(5, 3);
        Assert.Equal(2, RecalibrateBatchNorm.Run(network, X, 2));
        Assert.Equal(0, RecalibrateBatchNorm.Run(none, X, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => RecalibrateBatchNorm.Run(network, X, 1));
        Assert.Throws<ArgumentException>(() => RecalibrateBatchNorm.Run(network, X.narrow(0, 0, 1)));
        using CancellationTokenSource cancelled = new();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => RecalibrateBatchNorm.Run(network, X, 2, cancelled.Token));
        Assert.Equal(0.1, RecalibrateBatchNorm.LayersOf(network)[0].momentum);
    }

    private static void Near(double[] expected, Tensor values)
    {
        double[] actual = TrainingData.Numbers(values);
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], 1e-6);
    }
}
