using FsCheck;
using FsCheck.Fluent;
using Sparseland.Bayes.Networks;
using Sparseland.Selection;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Bayes.Networks;

public sealed class RemovalCriterionTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    // scipy 1.x: stats.foldnorm(|mu|/sigma, scale=sigma).mean(), .var(); E exp by integrate.quad of exp(1.5 |t|) over the density.
    [Theory]
    [InlineData(0.3, 0.5, 0.46867273224175554, 0.1203458700530477, 1.3509960869581619, 2.366505432544232, 1.3987962777742537)]
    [InlineData(-1.2, 0.4, 1.2003057234536383, 0.159266170244438, 3.0076694770024326, 7.243212884230936, 1.5194081130890473)]
    [InlineData(0.02, 0.7, 0.5587471440726836, 0.17820162899061975, 1.3236082988667142, 2.962791870284105, 0.9837213495012199)]
    [InlineData(4, 0.25, 4.0, 0.0625, 16.0, 432.8159154166555, 2.573485185608765)]
    public void Moments_are_those_of_scipy(double mu, double sigma, double mean, double variance, double ratio, double exponential, double exponentialRatio)
    {
        Tensor m = tensor(new[] { mu }), s = tensor(new[] { sigma });
        void Near(double expected, Tensor actual, double share) => Assert.Equal(expected, actual.item<double>(), Math.Abs(expected) * share);
        Near(mean, FoldedNormal.Mean(m, s), 1e-13);
        Near(variance, FoldedNormal.Variance(m, s), 1e-9);
        Near(ratio, FoldedNormal.SignalToNoise(m, s), 1e-9);
        Near(exponential, FoldedNormal.Exponential(m, s, 1.5), 1e-12);
        Near(mean, RemovalCriterion.ExpectedAbs.Of(m, s), 1e-13);
        Near(ratio, RemovalCriterion.SnrAbs.Of(m, s), 1e-9);
        Near(exponential, RemovalCriterion.ExpAbs(1.5).Of(m, s), 1e-12);
        Near(exponentialRatio, RemovalCriterion.SnrExpAbs(1.5).Of(m, s), 1e-9);
        Near(Math.Abs(mu), RemovalCriterion.Mean.Of(m, s), 0);
        Near(Math.Abs(mu) / sigma, RemovalCriterion.Snr.Of(m, s), 1e-15);
        Near(-sigma, RemovalCriterion.Certainty.Of(m, s), 0);
    }

    [Fact]
    public void Draws_have_these_moments()
    {
        const int Draws = 1_000_000;
        using Generator generator = new(3);
        Tensor size = (0.2 + (0.35 * randn(new long[] { Draws }, dtype: ScalarType.Float64, generator: generator))).abs();
        Tensor mu = tensor(new[] { 0.2 }), sigma = tensor(new[] { 0.35 });
        void Within(Tensor sample, double expected) =>
            Assert.InRange((sample.mean().item<double>() - expected) / (sample.std().item<double>() / Math.Sqrt(Draws)), -4, 4);
        Within(size, FoldedNormal.Mean(mu, sigma).item<double>());
        Within((2 * size).exp(), FoldedNormal.Exponential(mu, sigma, 2).item<double>());
        Assert.Equal(size.var().item<double>(), FoldedNormal.Variance(mu, sigma).item<double>(), 4e-4);
    }

    [Fact]
    public void At_zero_the_ratio_of_the_absolute_value_is_a_constant_and_it_depends_on_the_ratio_alone()
    {
        Tensor zero = zeros(3, dtype: ScalarType.Float64), sigma = tensor(new[] { 1e-20, 0.6, 1e20 });
        Assert.All(RemovalCriterion.SnrAbs.Of(zero, sigma).data<double>().ToArray(), value => Assert.Equal(Math.Sqrt(2 / (Math.PI - 2)), value, 1e-12));
        Tensor same = RemovalCriterion.SnrAbs.Of(sigma * 0.7, sigma);
        Assert.Equal(same[0].item<double>(), same[2].item<double>(), 1e-12);
    }

    [Fact]
    public void It_rises_with_the_ratio_and_chooses_what_the_ratio_chooses() => Prop.ForAll<int>(seed =>
    {
        using var scope = NewDisposeScope();
        using Generator generator = new((ulong)(uint)seed);
        Tensor sigma = rand(new long[] { 400 }, dtype: ScalarType.Float64, generator: generator) + 0.01;
        // Ratios from 0.05 on: below, the curve is flat to fourth order and rounding decides.
        Tensor mu = sigma * (0.05 + (3 * rand(new long[] { 400 }, dtype: ScalarType.Float64, generator: generator)));
        Support a = Select.TopK(RemovalCriterion.Snr.Of(mu, sigma), Budget.Global(120)), b = Select.TopK(RemovalCriterion.SnrAbs.Of(mu, sigma), Budget.Global(120));
        return a.Equals(b);
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Extreme_sizes_and_certain_weights_give_plain_answers()
    {
        Tensor mu = tensor(new[] { 1e200, -1e-200, 0, 5, 1e30 }), sigma = tensor(new[] { 1e-200, 1e-200, 0, 0, 1e30 });
        double[] mean = FoldedNormal.Mean(mu, sigma).data<double>().ToArray(), variance = FoldedNormal.Variance(mu, sigma).data<double>().ToArray();
        Assert.Equal(1e200, mean[0]);
        Assert.Equal(1.1666309411753726e-200, mean[1], 1e-214);
        Assert.Equal([0.0, 5.0], mean[2..4]);
        Assert.Equal(0, variance[3]);
        Assert.All(mean.Concat(variance), value => Assert.True(double.IsFinite(value)));
        double[] ratio = FoldedNormal.SignalToNoise(mu, sigma).data<double>().ToArray();
        Assert.Equal(Math.Sqrt(2 / (Math.PI - 2)), ratio[2], 1e-12);
        Assert.Equal(double.PositiveInfinity, ratio[3]);
        Assert.All(ratio, value => Assert.False(double.IsNaN(value)));
        Tensor strided = arange(1, 9, dtype: ScalarType.Float32).reshape(2, 4).t();
        Assert.Equal([4, 2], RemovalCriterion.ExpectedAbs.Of(strided, strided * 0.5).shape);
        Assert.Equal(0, RemovalCriterion.ExpectedAbs.Of(empty(0), empty(0)).numel());
    }

    [Fact]
    public void Bad_input_is_named()
    {
        Tensor one = ones(2);
        Assert.Equal("sigma", Assert.Throws<ArgumentException>(() => RemovalCriterion.Snr.Of(one, ones(3))).ParamName);
        Assert.Equal("sigma", Assert.Throws<ArgumentException>(() => RemovalCriterion.Snr.Of(one, -one)).ParamName);
        Assert.Equal("mu", Assert.Throws<ArgumentException>(() => RemovalCriterion.Snr.Of(one * float.NaN, one)).ParamName);
        Assert.Throws<ArgumentOutOfRangeException>(() => RemovalCriterion.ExpAbs(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => RemovalCriterion.SnrExpAbs(double.NaN));
        ArgumentException over = Assert.Throws<ArgumentException>(() => RemovalCriterion.ExpAbs(50).Of(one, one));
        Assert.Contains("lambda is 50", over.Message, StringComparison.Ordinal);
        Assert.Contains("largest sigma 1", over.Message, StringComparison.Ordinal);
        TopologyContext alone = new() { Layer = "fc1.weight", Weight = one, Mask = one.eq(1) };
        Assert.Contains("fc1.weight", Assert.Throws<InvalidOperationException>(() => new DropCriterion(RemovalCriterion.Snr).Of(alone)).Message, StringComparison.Ordinal);
    }
}
