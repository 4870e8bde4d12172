using Sparseland.Pruning;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

/// <summary>Attacks on calibration: inputs that lie at one address and are not the same, views, cancellations, layers that never compute.</summary>
public sealed class CalibrationTrialTests
{
    private static Tensor Drawn(int seed, params long[] shape) => randn(shape, dtype: ScalarType.Float64, generator: new Generator((ulong)seed));

    private static Linear Wide(int inputs, int outputs) => nn.Linear(inputs, outputs, dtype: ScalarType.Float64);

    [Fact]
    public void A_square_and_its_transpose_are_two_inputs_though_they_lie_at_one_address()
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear a = Wide(5, 2), b = Wide(5, 2), c = Wide(5, 2);
        using StatisticsCollector seen = new([("a", a), ("b", b), ("c", c)], gram: true);
        Tensor x = Drawn(1, 5, 5);
        a.call(x);
        c.call(x.alias());
        b.call(x.t());
        seen.EndBatch();
        Assert.Same(seen["a"], seen["c"]);
        Assert.NotSame(seen["a"], seen["b"]);
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(x.select(1, i).norm().item<double>(), seen["a"].Norms()[i], 12);
            Assert.Equal(x.select(0, i).norm().item<double>(), seen["b"].Norms()[i], 12);
        }

        Assert.InRange((seen["b"].Gram! - x.mm(x.t())).abs().max().item<double>(), 0, 1e-12);
    }

    [Theory]
    [InlineData(1), InlineData(3), InlineData(7)]
    public void Statistics_are_those_of_loops_for_any_batches_and_views(int batch)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor x = Drawn(2, 7, 4, 6).transpose(1, 2) + 5;
        using ActivationStatistics all = new(4, gram: true), parts = new(4, gram: true), first = new(4, gram: true), second = new(4, gram: true);
        all.Add(x);
        for (int from = 0; from < 7; from += batch) parts.Add(x.narrow(0, from, Math.Min(batch, 7 - from)));
        first.Add(x.narrow(0, 0, 2));
        second.Add(x.narrow(0, 2, 5));
        first.Merge(second);
        double[] values = [.. x.contiguous().data<double>()];
        for (int c = 0; c < 4; c++)
        {
            double[] own = [.. Enumerable.Range(0, 42).Select(t => values[(t * 4) + c])];
            double mean = own.Average(), within = Enumerable.Range(0, 7).Average(s => own.Skip(6 * s).Take(6).Average(v => Math.Pow(v - own.Skip(6 * s).Take(6).Average(), 2)));
            foreach (ActivationStatistics one in new[] { all, parts, first })
            {
                Assert.Equal((42, 7), (one.Count, one.Sequences));
                Assert.Equal(mean, one.Mean()[c], 12);
                Assert.Equal(own.Average(v => (v - mean) * (v - mean)), one.Variance()[c], 10);
                Assert.Equal(within, one.VarianceWithinSequences()[c], 10);
                Assert.Equal(Math.Sqrt(own.Sum(v => v * v)), one.Norms()[c], 10);
                for (int d = 0; d < 4; d++) Assert.Equal(Enumerable.Range(0, 42).Sum(t => values[(t * 4) + c] * values[(t * 4) + d]), one.Gram![c, d].item<double>(), 9);
            }
        }

        Tensor bad = x.clone();
        bad[3, 2, 1] = double.NaN;
        Assert.Contains("Input 1 of 4", Assert.ThrowsAny<ArgumentException>(() => all.Add(bad)).Message, StringComparison.Ordinal);
        Assert.Equal(42, all.Count);
        Assert.ThrowsAny<ArgumentException>(() => all.Add(x.to(ScalarType.Float16)));
        Assert.ThrowsAny<ArgumentException>(() => all.Add(zeros([0, 4], dtype: ScalarType.Float64)));
        Assert.ThrowsAny<ArgumentException>(() => all.Merge(new ActivationStatistics(4)));
    }

    [Fact]
    public void A_gathering_that_stops_or_fails_leaves_the_network_as_it_was()
    {
        using DisposeScope scope = NewDisposeScope();
        using Sequential net = nn.Sequential(("one", Wide(3, 4)), ("two", Wide(4, 2)));
        net.train();
        Tensor x = Drawn(3, 6, 3);
        int calls = 0;
        using CancellationTokenSource source = new();
        Assert.ThrowsAny<OperationCanceledException>(() => StatisticsCollector.Gather(net, _ =>
        {
            Assert.False(net.training);
            net.call(x);
            if (++calls == 2) source.Cancel();
        }, 5, cancel: source.Token));
        Assert.Equal(2, calls);
        Assert.True(net.training);
        ArgumentException named = Assert.ThrowsAny<ArgumentException>(() => StatisticsCollector.Gather(net, _ => net.call(x * double.NaN), 1));
        Assert.StartsWith("one:", named.Message, StringComparison.Ordinal);
        Assert.True(net.training);
        using StatisticsCollector seen = StatisticsCollector.Gather(net, _ => net.call(x), 2);
        net.call(x);
        Assert.Equal(12, seen["one"].Count);
        Assert.Throws<KeyNotFoundException>(() => seen["three"]);
        using StatisticsCollector none = StatisticsCollector.Gather(net, _ => net.call(x), 0);
        Assert.Empty(none.Layers);
        seen.Dispose();
        seen.Dispose();
    }

    [Fact]
    public void A_layer_that_is_none_leaves_no_hook_on_the_others()
    {
        using DisposeScope scope = NewDisposeScope();
        using Linear a = Wide(3, 2);
        Assert.Throws<ArgumentNullException>(() => new StatisticsCollector([("a", a), ("b", null!)]));

        // A hook that was left would refuse this.
        a.call(full([1, 3], double.NaN, dtype: ScalarType.Float64));
    }
}
