using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Metrics;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders.Metrics;

/// <summary>Figures in other units, with constant columns, on one thread and two, and after calls that were stopped.</summary>
public sealed class MetricsTrialTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Theory]
    [InlineData(1e18f)]
    [InlineData(1e-25f)]
    public void Figures_of_a_code_without_biases_know_no_unit(float unit)
    {
        var autoencoder = new SparseAutoencoder(16, 40, new TopKRule(3), 2);
        Tensor x = MetricsBed.Gaussian(60, 16, type: ScalarType.Float32), scaled = x * unit;
        Assert.Equal(ReconstructionReport.Of(autoencoder, x).Fvu, ReconstructionReport.Of(autoencoder, scaled).Fvu, 1e-5);
        Assert.Equal(ChoiceReport.Of(autoencoder, x).Fvu, ChoiceReport.Of(autoencoder, scaled).Fvu, 1e-5);
        Assert.Equal(LatentDensity.Of(autoencoder, new TensorActivations(x)).Active, LatentDensity.Of(autoencoder, new TensorActivations(scaled)).Active);
        FeatureAbsorption one = FeatureAbsorption.Of(autoencoder, x, ones(16), [3, 7]), other = FeatureAbsorption.Of(autoencoder, scaled, ones(16) * unit, [3, 7]);
        Assert.Equal((one.Tokens, one.Full, one.Detected), (other.Tokens, other.Full, other.Detected));
        Assert.Equal(one.Fraction, other.Fraction, 1e-5);
        bool[] labels = [.. x.select(1, 2).gt(0).data<bool>()];
        SparseProbe plain = SparseProbe.Of(autoencoder, x, labels, x, labels), far = SparseProbe.Of(autoencoder, scaled, labels, scaled, labels);
        Assert.Equal(plain.Latents.Select(p => p.BalancedAccuracy), far.Latents.Select(p => p.BalancedAccuracy));
        Assert.Equal(plain.Full.BalancedAccuracy, far.Full.BalancedAccuracy, 0.02);
        Assert.Equal(FeatureRecovery.Of(autoencoder, x).Cosine[5], FeatureRecovery.Of(autoencoder, scaled).Cosine[5], 1e-5);
    }

    [Fact]
    public void A_column_that_is_constant_in_the_training_part_decides_nothing_in_the_test_part()
    {
        // 0.1 in float32, widened, has a mean that differs from it in the last digits.
        var autoencoder = new SparseAutoencoder(4, 8, new TopKRule(2), 2);
        Tensor train = MetricsBed.Gaussian(301, 4, 3, ScalarType.Float32), test = MetricsBed.Gaussian(200, 4, 4, ScalarType.Float32);
        bool[] learned = [.. train.select(1, 0).gt(0).data<bool>()], judged = [.. test.select(1, 0).gt(0).data<bool>()];
        train.select(1, 3).fill_(0.1f);
        foreach (float there in (float[])[0.1f, 0.3f, -5])
        {
            test.select(1, 3).fill_(there);
            Assert.InRange(SparseProbe.Of(autoencoder, train, learned, test, judged, [1]).Full.BalancedAccuracy, 0.95, 1);
        }
    }

    [Fact]
    public void A_mode_of_the_model_is_left_as_it_was_also_where_a_call_fails_or_is_stopped()
    {
        using TinyLM model = MetricsBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        using var across = new SparseAutoencoder(16, 40, new BatchTopKRule(3));
        var density = LatentDensity.Of(autoencoder, new TensorActivations(MetricsBed.Gaussian(50, 16, type: ScalarType.Float32)));
        foreach (bool training in (bool[])[true, false])
        {
            model.train(training);
            Assert.Throws<InvalidOperationException>(() => DownstreamFaithfulness.Of(model, MetricsBed.Site, across, MetricsBed.Text()));
            Assert.Equal(training, model.training);
            var stopped = new CancellationToken(canceled: true);
            Assert.ThrowsAny<OperationCanceledException>(() => DownstreamFaithfulness.Of(model, MetricsBed.Site, autoencoder, MetricsBed.Text(), cancel: stopped));
            Assert.ThrowsAny<OperationCanceledException>(() => Steering.Of(model, MetricsBed.Site, autoencoder, density, MetricsBed.Text(), new() { Latents = 2 }, cancel: stopped));
            Assert.Equal(training, model.training);
        }
    }

    [Fact]
    public void Figures_are_the_same_on_one_thread_and_on_two()
    {
        using TinyLM model = MetricsBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        int before = get_num_threads();
        try
        {
            var found = new List<double[]>();
            foreach (int threads in (int[])[1, 2])
            {
                set_num_threads(threads);
                DownstreamFaithfulness faithful = DownstreamFaithfulness.Of(model, MetricsBed.Site, autoencoder, MetricsBed.Text());
                ReconstructionReport report = ReconstructionReport.Of(autoencoder, new ModelActivations(model, MetricsBed.Site, MetricsBed.Text()));
                found.Add([.. faithful.Clean, .. faithful.Spliced, .. faithful.Divergence, report.Fvu, report.L0]);
            }

            for (int i = 0; i < found[0].Length; i++) Assert.Equal(found[0][i], found[1][i], 1e-5);
        }
        finally
        {
            set_num_threads(before);
        }
    }

    [Fact]
    public void A_float64_autoencoder_has_the_figures_of_the_same_one_in_float32()
    {
        using SparseAutoencoder single = MetricsBed.Autoencoder(), wide = MetricsBed.Autoencoder(type: ScalarType.Float64);
        using (no_grad())
        {
            foreach ((string name, Tensor value) in wide.state_dict()) value.copy_(single.state_dict()[name]);
        }

        Tensor x = MetricsBed.Gaussian(120, 16, type: ScalarType.Float32);
        Assert.Equal(ReconstructionReport.Of(single, x).Fvu, ReconstructionReport.Of(wide, x).Fvu, 1e-5);
        LatentDensity a = LatentDensity.Of(single, new TensorActivations(x)), b = LatentDensity.Of(wide, new TensorActivations(x));
        Assert.Equal(a.Active, b.Active);
        Assert.Equal(DecoderSimilarity.Of(single, a).FiringWeighted, DecoderSimilarity.Of(wide, b).FiringWeighted, 1e-5);
        using TinyLM model = MetricsBed.Model();
        Assert.Equal(
            DownstreamFaithfulness.Of(model, MetricsBed.Site, single, MetricsBed.Text()).KullbackLeibler.Value, DownstreamFaithfulness.Of(model, MetricsBed.Site, wide, MetricsBed.Text()).KullbackLeibler.Value, 1e-4);
    }

    [Theory]
    [InlineData(Activation.HeadOutputs)]
    [InlineData(Activation.MlpHidden)]
    [InlineData(Activation.MlpOutput)]
    [InlineData(Activation.AttentionOutput)]
    [InlineData(Activation.ResidualBefore)]
    public void A_perfect_autoencoder_costs_nothing_at_every_place(Activation place)
    {
        using TinyLM model = MetricsBed.Model();
        var site = new ActivationSite(2, place);
        int width = new ModelActivations(model, site, MetricsBed.Text()).Width;
        Tensor both = cat([eye(width), -eye(width)]);
        using var perfect = new SparseAutoencoder(both, null, null, null, new ReluRule(), true, 1);
        DownstreamFaithfulness found = DownstreamFaithfulness.Of(model, site, perfect, MetricsBed.Text());
        Assert.Equal(0, found.CrossEntropyIncrease.Value, 1e-5);
        Assert.Equal(0, found.KullbackLeibler.Value, 1e-6);
        Assert.Equal(0, ReconstructionReport.Of(perfect, new ModelActivations(model, site, MetricsBed.Text())).Fvu, 1e-10);
    }
}
