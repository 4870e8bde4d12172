using Sparseland.Autoencoders;
using Sparseland.Tests.Autoencoders.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

public class SharedBufferTests
{
    [Fact]
    public void Batches_are_the_same_on_every_thread_also_across_blocks()
    {
        using var scope = NewDisposeScope();
        Tensor x = MetricsBed.Gaussian(1_200, 4);
        ActivationBufferOptions options = new() { Capacity = 500, Repeat = true };
        using var alone = new ActivationBuffer(new MetricsBed.Windowed(x, 20), 10, options);
        using var shared = new ActivationBuffer(new MetricsBed.Windowed(x, 20), 10, options);
        double[] expected = [.. Enumerable.Range(0, 200).Select(i => alone.At(i).Input.square().sum().item<double>())], found = new double[200];
        Parallel.For(0, 200, i =>
        {
            using var inner = NewDisposeScope();
            found[i] = shared.At(i).Input.square().sum().item<double>();
        });
        Assert.Equal(expected, found);
    }
}
