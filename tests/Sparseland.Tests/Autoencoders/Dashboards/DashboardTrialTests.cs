using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Dashboards;
using Sparseland.Models.Language;
using Sparseland.Tests.Autoencoders.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders.Dashboards;

/// <summary>Dashboards at the ends of their settings, of autoencoders with dead, equal and zero rows, in float64, and at every place.</summary>
public sealed class DashboardTrialTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Fact]
    public void Settings_without_end_mean_all_there_is()
    {
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(latents: 10);
        const int All = int.MaxValue;
        LatentDashboard all = DashboardBed.Dashboard(model, autoencoder, new()
        {
            Top = All, PerDecile = All, Sample = All, Before = All, After = All, LeastBefore = All, LogitTokens = All, Neighbours = All, RemovalExamples = All, Batch = All, MinTogether = 1,
        });
        for (int i = 0; i < 10; i++)
        {
            LatentSummary latent = all[i];
            Assert.Equal(latent.Active, latent.Sampled.Count);
            Assert.All(latent.Top.Concat(latent.Sampled), example => Assert.Equal((12, example.Place), (example.Tokens.Count, example.Focus)));
            Assert.Equal(Enumerable.Range(0, DashboardBed.Vocabulary), latent.Promoted.Select(w => w.Token).Order());
            Assert.Equal(Enumerable.Range(0, 10).Where(j => j != i && all[j].Active > 0), latent.Nearest.Select(n => n.Latent).Order());
            Assert.Equal(latent.Top.Count, latent.Removal?.Examples ?? 0);
        }
    }

    [Fact]
    public void Settings_of_nothing_give_nothing()
    {
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(latents: 10);
        LatentDashboard none = DashboardBed.Dashboard(model, autoencoder, new() { Top = 1, PerDecile = 0, Sample = 1, Before = 0, After = 0, LeastBefore = 0, LogitTokens = 0, Neighbours = 0, Windows = 1, Batch = 1 });
        for (int i = 0; i < 10; i++)
        {
            Assert.Empty(none[i].Sampled);
            Assert.Empty(none[i].Promoted);
            Assert.Empty(none[i].Suppressed);
            Assert.Empty(none[i].Nearest);
            Assert.Empty(none[i].Together);
            Assert.Null(none[i].Removal);
            Assert.All(none[i].Top, example => Assert.Single(example.Tokens));
        }

        Assert.Contains("Latents run from 0 to 9", Assert.Throws<ArgumentOutOfRangeException>(() => none[10]).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => none[-1]);
    }

    [Fact]
    public void Options_out_of_range_are_named_one_by_one()
    {
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(latents: 10);
        LatentDashboardOptions plain = new();
        foreach ((LatentDashboardOptions options, string name) in ((LatentDashboardOptions, string)[])
        [
            (plain with { Length = 0 }, "Length"), (plain with { Length = 13 }, "Length"), (plain with { Length = int.MinValue }, "Length"), (plain with { SkipFirst = -1 }, "SkipFirst"), (plain with { SkipFirst = 12 }, "SkipFirst"),
            (plain with { Windows = 0 }, "Windows"), (plain with { Windows = 21 }, "Windows"), (plain with { Batch = 0 }, "Batch"), (plain with { Top = 0 }, "Top"), (plain with { Sample = -1 }, "Sample"), (plain with { MinTogether = 0 }, "MinTogether"),
            (plain with { PerDecile = -1 }, "PerDecile"), (plain with { Before = -1 }, "Before"), (plain with { After = -1 }, "After"), (plain with { LeastBefore = -1 }, "LeastBefore"), (plain with { LogitTokens = -1 }, "LogitTokens"),
            (plain with { Neighbours = -1 }, "Neighbours"), (plain with { RemovalExamples = -1 }, "RemovalExamples"),
        ])
            Assert.StartsWith(name + " is", Assert.ThrowsAny<ArgumentException>(() => DashboardBed.Dashboard(model, autoencoder, options)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Dead_equal_and_zero_rows_have_sensible_neighbours()
    {
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(latents: 12);
        using (no_grad())
        {
            for (int i = 1; i < 8; i++) autoencoder.Decoder[i].copy_(autoencoder.Decoder[0]);
            autoencoder.Decoder[9].zero_();
            autoencoder.EncoderBias[10].fill_(-1e9f);
            autoencoder.EncoderBias[11].fill_(-1e9f);
        }

        LatentDashboard dashboard = DashboardBed.Dashboard(model, autoencoder, new() { Neighbours = 3, RemovalExamples = 2 });
        double[][] rows = [.. Enumerable.Range(0, 12).Select(i => autoencoder.Decoder[i].to(ScalarType.Float64).data<double>().ToArray())];
        for (int i = 0; i < 12; i++)
        {
            LatentSummary latent = dashboard[i];
            var expected = Enumerable.Range(0, 12).Where(j => j != i && dashboard[j].Active > 0).Select(j => (j, Cosine(rows[i], rows[j]))).OrderByDescending(p => Math.Round(p.Item2, 5)).ThenBy(p => p.j).Take(3).ToArray();
            Assert.Equal(expected.Length, latent.Nearest.Count);
            foreach (((int _, double cosine), LatentNeighbour found) in expected.Zip(latent.Nearest))
            {
                Assert.NotEqual(i, found.Latent);
                Assert.Equal(cosine, found.Cosine, 1e-5);
                Assert.Equal(Cosine(rows[i], rows[found.Latent]), found.Cosine, 1e-5);
            }

            Assert.False(double.IsNaN(latent.EncoderDecoder));
            Assert.Equal(latent.Active == 0, latent.Removal is null);
            if (i == 9 && latent.Removal is { } nothing) Assert.Equal(0, nothing.Divergence, 1e-9);
        }

        Assert.Equal((0, 0, 0), (dashboard[10].Active, dashboard[10].Top.Count, dashboard[10].Values.Counts.Count));
        Assert.NotEqual(dashboard[10].DensityRank, dashboard[11].DensityRank);
    }

    [Fact]
    public void All_latents_dead_is_a_dashboard_of_nothing()
    {
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(latents: 6);
        using (no_grad()) autoencoder.EncoderBias.fill_(-1e9f);
        LatentDashboard dashboard = DashboardBed.Dashboard(model, autoencoder, new() { RemovalExamples = 3 });
        Assert.Equal(6, dashboard.Density.Dead);
        for (int i = 0; i < 6; i++)
        {
            Assert.Empty(dashboard[i].Top);
            Assert.Empty(dashboard[i].Nearest);
            Assert.Equal((0, 0, i + 1), (dashboard[i].Max, dashboard[i].Mean, dashboard[i].DensityRank));
        }
    }

    [Theory]
    [InlineData(ScalarType.Float64, "topk")]
    [InlineData(ScalarType.Float32, "gradient")]
    [InlineData(ScalarType.Float32, "threshold")]
    public void Another_type_or_rule_of_the_same_code_has_the_same_dashboard(ScalarType type, string name)
    {
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder plain = MetricsBed.Autoencoder(latents: 10), changed = MetricsBed.Autoencoder(latents: 10, type: type);
        using (no_grad())
        {
            foreach ((string key, Tensor value) in changed.state_dict()) value.copy_(plain.state_dict()[key]);
        }

        SparseAutoencoder first = name == "threshold" ? plain.With(new ReluRule()) : plain;
        SparseAutoencoder other = name switch { "gradient" => changed.With(new GradientTopKRule(3)), "threshold" => changed.With(new ThresholdRule(10, 0)), _ => changed };
        LatentDashboardOptions options = new() { RemovalExamples = 2, LeastBefore = 0 };
        LatentDashboard one = DashboardBed.Dashboard(model, first, options), two = DashboardBed.Dashboard(model, other, options);
        for (int i = 0; i < 10; i++)
        {
            Assert.Equal(one[i].Active, two[i].Active);
            Assert.Equal(one[i].Max, two[i].Max, 1e-4 * (1 + one[i].Max));
            Assert.Equal(one[i].Mean, two[i].Mean, 1e-4 * (1 + one[i].Mean));
            Assert.Equal(one[i].Top.Select(e => (e.Window, e.Place)), two[i].Top.Select(e => (e.Window, e.Place)));
            Assert.Equal(one[i].Removal?.Divergence ?? 0, two[i].Removal?.Divergence ?? 0, 1e-4);
        }
    }

    [Theory]
    [InlineData(0, Activation.HeadOutputs)]
    [InlineData(2, Activation.HeadOutputs)]
    [InlineData(1, Activation.MlpHidden)]
    [InlineData(2, Activation.ResidualAfter)]
    [InlineData(0, Activation.ResidualBefore)]
    [InlineData(1, Activation.AttentionOutput)]
    public void What_a_model_says_without_a_latent_equals_a_direct_computation_at_every_place(int layer, Activation place)
    {
        using TinyLM model = DashboardBed.Model();
        var site = new ActivationSite(layer, place);
        TokenText text = DashboardBed.Text();
        int width = new ModelActivations(model, site, text).Width;
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(width, 20);
        LatentDashboard dashboard = LatentDashboard.Of(model, DashboardBed.Tokenizer(), autoencoder, site, text, new() { RemovalExamples = 1, SkipFirst = 2, LeastBefore = 0 });
        Assert.Equal(place is not (Activation.HeadOutputs or Activation.MlpHidden), dashboard.HasLogitWeights);
        int seen = 0;
        for (int i = 0; i < 20; i++)
        {
            if (dashboard[i].Removal is not { } removal) continue;
            LatentExample example = dashboard[i].Top[0];
            using var inner = NewDisposeScope();
            using IDisposable off = no_grad();
            int first = example.Window * 12, count = example.Place + 1, latent = i;
            Tensor ids = tensor(text.Ids[first..(first + count)].ToArray().Select(id => (long)id).ToArray(), [1, count]);
            Tensor Last(IActivationHook? hook) => model.Logits(ids, hook)[0, count - 1].to(ScalarType.Float64).log_softmax(0);
            Tensor before = Last(null), after = Last(ActivationHook.Replace(site, value =>
            {
                Tensor changed = value.clone();
                for (int t = 2; t < count; t++)
                {
                    Tensor row = value.dim() == 4 ? value[0].select(1, t).reshape(-1) : value[0, t];
                    float active = autoencoder.Encode(row.unsqueeze(0)).ToDense()[0, latent].item<float>();
                    Tensor part = autoencoder.Decoder[latent] * active;
                    if (value.dim() == 4) changed[0].select(1, t).sub_(part.view(value.shape[1], value.shape[3]));
                    else changed[0, t].sub_(part);
                }

                return changed;
            }));
            double divergence = (before.exp() * (before - after)).sum().item<double>();
            int next = text.Ids[first + count];
            Assert.Equal(divergence, removal.Divergence, 1e-4 * (1 + divergence));
            Assert.Equal((before[next] - after[next]).item<double>(), removal.LossIncrease, 1e-4);
            seen += divergence > 1e-6 ? 1 : 0;
        }

        Assert.True(seen > 2, $"{seen} latents change something");
    }

    [Fact]
    public void The_model_keeps_its_mode_and_a_call_can_be_stopped_at_every_report()
    {
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(latents: 10);
        using var untrained = new SparseAutoencoder(16, 10, new BatchTopKRule(3));
        model.train();
        Assert.Throws<InvalidOperationException>(() => DashboardBed.Dashboard(model, untrained));
        Assert.True(model.training);
        int reports = 0;
        LatentDashboardOptions options = new() { RemovalExamples = 1, Batch = 4 };
        LatentDashboard.Of(model, DashboardBed.Tokenizer(), autoencoder, MetricsBed.Site, DashboardBed.Text(), options, new Counted(_ => reports++));
        Assert.InRange(reports, 5, 200);
        for (int stopAt = 1; stopAt < reports; stopAt += 3)
        {
            using var stop = new CancellationTokenSource();
            int seen = 0, at = stopAt;
            Assert.ThrowsAny<OperationCanceledException>(() => LatentDashboard.Of(model, DashboardBed.Tokenizer(), autoencoder, MetricsBed.Site, DashboardBed.Text(), options, new Counted(report =>
            {
                Assert.InRange(report.Done, 1, report.Total);
                if (++seen == at) stop.Cancel();
            }), stop.Token));
            Assert.True(model.training);
        }
    }

    [Fact]
    public void Histograms_hold_every_value_from_the_smallest_to_the_largest_float()
    {
        float[] values = [float.Epsilon, 1e-38f, 1e-30f, 1, 2, 1.9999999f, 4, 1e20f, float.MaxValue, float.Epsilon];
        foreach (float[] order in (float[][])[values, [.. values.Reverse()]])
        {
            var histograms = new ValueHistograms(2);
            foreach (float value in order) histograms.Add(1, value);
            ValueHistogram found = histograms.Of(1);
            Assert.Equal(values.Length, found.Counts.Sum());
            Assert.Equal(1, found.Counts[^1]);
            Assert.True(double.IsPow2(found.BinWidth) && found.BinWidth * found.Counts.Count > float.MaxValue);
            Assert.Empty(histograms.Of(0).Counts);
        }

        var small = new ValueHistograms(1);
        small.Add(0, float.Epsilon);
        Assert.Equal(1, small.Of(0).Counts.Sum());
    }

    private static double Cosine(double[] a, double[] b)
    {
        double ab = a.Zip(b, (x, y) => x * y).Sum(), size = Math.Sqrt(a.Sum(x => x * x) * b.Sum(y => y * y));
        return size == 0 ? 0 : ab / size;
    }

    private sealed class Counted(Action<ProgressReport> report) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => report(value);
    }
}
