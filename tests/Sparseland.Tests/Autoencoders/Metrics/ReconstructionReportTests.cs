using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Metrics;
using Sparseland.Evaluation;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders.Metrics;

public class ReconstructionReportTests
{
    [Theory]
    [InlineData(1, 0)]
    [InlineData(7, 0)]
    [InlineData(4, 1e6)]
    public void One_pass_equals_the_whole_set_at_once(int length, double offset)
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(type: ScalarType.Float64);
        Tensor x = MetricsBed.Gaussian(9_100, 16) + offset;
        using (no_grad()) autoencoder.DecoderBias.add_(offset);
        ReconstructionReport report = ReconstructionReport.Of(autoencoder, new MetricsBed.Windowed(x, length));
        using SparseCode code = autoencoder.Encode(x);
        double wanted = ReconstructionError.FractionOfVarianceUnexplained(x, autoencoder.Decode(code));
        Assert.Equal(1, report.Fvu / wanted, 1e-11);
        Assert.Equal(code.L0, report.L0, 1e-12);
        Assert.Equal(9_100, report.Tokens);
        Assert.Equal(9_100 / length, report.Windows);
        Assert.Equal(64, report.Groups);
        Assert.Equal(1 - report.Fvu, report.ExplainedVariance);
        Assert.Equal((x - autoencoder.Decode(code)).square().sum(1).mean().item<double>(), report.SquaredError, 1e-9);
        Assert.Contains("Fvu = ", report.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_standard_error_covers_the_figure_of_a_larger_set()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(type: ScalarType.Float64);

        // Tokens of a window share a direction, so that windows differ much more than tokens drawn alone would.
        Tensor x = MetricsBed.Gaussian(200 * 300, 16) + (3 * MetricsBed.Gaussian(200 * 10, 16, seed: 8).repeat_interleave(30, 0));
        double truth = ReconstructionReport.Of(autoencoder, x).Fvu;
        int inside = 0;
        for (int part = 0; part < 20; part++)
        {
            ReconstructionReport report = ReconstructionReport.Of(autoencoder, new MetricsBed.Windowed(x.narrow(0, part * 3_000, 3_000), 30));
            if (Math.Abs(report.Fvu - truth) < 2.2 * report.FvuError) inside++;
        }

        Assert.InRange(inside, 17, 20);
    }

    [Fact]
    public void A_call_reports_how_far_it_is_and_stops_in_the_middle()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(type: ScalarType.Float64);
        using var stop = new CancellationTokenSource();
        var seen = new Seen(report =>
        {
            if (report.Done >= 8_192) stop.Cancel();
        });
        Assert.Throws<OperationCanceledException>(() => ReconstructionReport.Of(autoencoder, MetricsBed.Gaussian(20_000, 16), seen, stop.Token));
        Assert.Equal([4_096, 8_192], seen.Reports.Select(r => r.Done));
        Assert.All(seen.Reports, r => Assert.Equal(20_000, r.Total));
    }

    [Fact]
    public void One_window_has_no_standard_error()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(type: ScalarType.Float64);
        var source = new MetricsBed.Windowed(MetricsBed.Gaussian(9, 16), 9);
        ReconstructionReport report = ReconstructionReport.Of(autoencoder, source);
        Assert.Equal((1, double.NaN, double.NaN), (report.Groups, report.FvuError, report.L0Error));
        Assert.All(LatentDensity.Of(autoencoder, source).StandardError, e => Assert.Equal(double.NaN, e));
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        Assert.Contains("width 15", Assert.Throws<ArgumentException>("source", () => ReconstructionReport.Of(autoencoder, zeros(3, 15))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("activations", () => ReconstructionReport.Of(autoencoder, zeros(0, 16)));
        Assert.Throws<ArgumentException>("source", () => ReconstructionReport.Of(autoencoder, new MetricsBed.Windowed(zeros(0, 16), 4)));
        Assert.Contains("no variance", Assert.Throws<ArgumentException>("source", () => ReconstructionReport.Of(autoencoder, ones(5, 16))).Message, StringComparison.Ordinal);
        Tensor x = MetricsBed.Gaussian(12, 16);
        x[9, 3] = double.NaN;
        Assert.Contains("token 1 of window 2", Assert.Throws<InvalidDataException>(() => ReconstructionReport.Of(autoencoder, new MetricsBed.Windowed(x, 4))).Message, StringComparison.Ordinal);
        Assert.Throws<OperationCanceledException>(() => ReconstructionReport.Of(autoencoder, x.nan_to_num(0), cancel: new CancellationToken(true)));
    }

    private sealed class Seen(Action<ProgressReport> then) : IProgress<ProgressReport>
    {
        public List<ProgressReport> Reports { get; } = [];

        public void Report(ProgressReport value)
        {
            Reports.Add(value);
            then(value);
        }
    }
}
