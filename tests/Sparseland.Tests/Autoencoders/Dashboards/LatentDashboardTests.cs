using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Dashboards;
using Sparseland.Autoencoders.Metrics;
using Sparseland.Models.Language;
using Sparseland.Tests.Autoencoders.Metrics;
using Sparseland.Tests.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders.Dashboards;

public class LatentDashboardTests
{
    private static readonly LatentDashboardOptions s_few = new() { Top = 3, Sample = 20, PerDecile = 1, Before = 4, After = 2, MinTogether = 2, LeastBefore = 0 };

    [Theory]
    [InlineData(0, 0)]
    [InlineData(3, 0)]
    [InlineData(0, 4)]
    public void Top_examples_are_the_largest_of_their_windows_with_distinct_surroundings(int skip, int before)
    {
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        TokenText text = DashboardBed.Text();
        LatentDashboard dashboard = DashboardBed.Dashboard(model, autoencoder, s_few with { SkipFirst = skip, LeastBefore = before });
        float[,] dense = DashboardBed.Dense(model, autoencoder, text, skip);
        int seen = 0, repeated = 0;
        for (int latent = 0; latent < autoencoder.Latents; latent++)
        {
            var found = new List<(float Value, int Token, string Key)>();
            for (int window = 0; window < 20; window++)
            {
                int best = Enumerable.Range(window * 12, 12).Where(t => t % 12 >= skip).MaxBy(t => (dense[t, latent] > 0 && t % 12 >= before, dense[t, latent]));
                if (dense[best, latent] > 0) found.Add((dense[best, latent], best, string.Join(' ', Around(text, best, s_few)) + " " + Math.Min(best % 12, s_few.Before)));
            }

            var expected = found.GroupBy(f => f.Key).Select(g => g.OrderByDescending(f => (f.Token % 12 >= before, f.Value)).ThenBy(f => f.Token).First())
                .OrderByDescending(f => (f.Token % 12 >= before, f.Value)).ThenBy(f => f.Token).Take(3).OrderByDescending(f => f.Value).ThenBy(f => f.Token).ToArray();
            repeated += found.Count - found.DistinctBy(f => f.Key).Count();
            IReadOnlyList<LatentExample> top = dashboard[latent].Top;
            Assert.Equal(expected.Select(e => e.Token), top.Select(e => (e.Window * 12) + e.Place));
            foreach ((LatentExample example, var wanted) in top.Zip(expected))
            {
                Assert.Equal(wanted.Value, example.Value, 1e-5f);
                Assert.Equal(Around(text, wanted.Token, s_few), example.Tokens);
                Assert.Equal((example.Value, text.Ids[wanted.Token]), (example.Values[example.Focus], example.Tokens[example.Focus]));
                int first = wanted.Token - example.Focus;
                for (int i = 0; i < example.Values.Count; i++) Assert.Equal(dense[first + i, latent], example.Values[i], 1e-5f);
                seen++;
            }
        }

        Assert.True(seen > 60, $"{seen} examples");
        Assert.True(repeated > 10, $"{repeated} repeated");
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(0, 3)]
    [InlineData(3, 2)]
    public void A_latent_that_is_taken_out_changes_what_the_model_says(int skip, int examples)
    {
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        TokenText text = DashboardBed.Text();
        LatentDashboard dashboard = DashboardBed.Dashboard(model, autoencoder, s_few with { SkipFirst = skip, RemovalExamples = examples });
        float[,] dense = DashboardBed.Dense(model, autoencoder, text, skip);
        int seen = 0;
        for (int latent = 0; latent < autoencoder.Latents; latent++)
        {
            LatentExample[] top = [.. dashboard[latent].Top.Take(examples)];
            LatentRemoval? removal = dashboard[latent].Removal;
            Assert.Equal(top.Length, removal?.Examples ?? 0);
            if (removal is null) continue;
            (double divergence, double loss) = (0, 0);
            foreach (LatentExample example in top)
            {
                using var scope = NewDisposeScope();
                (Tensor before, Tensor after) = Around(model, autoencoder, text, dense, latent, example, skip);
                divergence += (before.exp() * (before - after)).sum().item<double>() / top.Length;
                int next = text.Ids[(example.Window * 12) + example.Place + 1];
                loss += (before[next] - after[next]).item<double>() / top.Length;
                if (example != top[0]) continue;
                Tensor change = after.exp() - before.exp();
                Assert.Equal((change.argmin().item<long>(), change.argmax().item<long>()), (removal.Lowered.Token, removal.Raised.Token));
                Assert.Equal(change.min().item<double>(), removal.Lowered.Change, 1e-5);
                Assert.Equal(change.max().item<double>(), removal.Raised.Change, 1e-5);
            }

            Assert.Equal(divergence, removal.Divergence, 1e-4 * (1 + divergence));
            Assert.Equal(loss, removal.LossIncrease, 1e-4 * (1 + Math.Abs(loss)));
            seen += divergence > 1e-4 ? 1 : 0;
        }

        Assert.True(seen > 10, $"{seen} latents change something");
        Assert.All(Enumerable.Range(0, autoencoder.Latents), i => Assert.Null(DashboardBed.Dashboard(model, autoencoder, s_few with { Windows = 2 })[i].Removal));
    }

    /// <summary>Log-probabilities after an example, with the latent and without it.</summary>
    private static (Tensor Before, Tensor After) Around(TinyLM model, SparseAutoencoder autoencoder, TokenText text, float[,] dense, int latent, LatentExample example, int skip)
    {
        using IDisposable off = no_grad();
        int first = example.Window * 12, count = example.Place + 1;
        Tensor ids = tensor(text.Ids[first..(first + count)].ToArray().Select(id => (long)id).ToArray(), [1, count]);
        Tensor values = tensor(Enumerable.Range(0, count).Select(t => t < skip ? 0 : dense[first + t, latent]).ToArray());
        IActivationHook without = ActivationHook.Replace(MetricsBed.Site, x => x - (values.unsqueeze(1) * autoencoder.Decoder[latent]).unsqueeze(0));
        Tensor Last(IActivationHook? hook) => model.Logits(ids, hook)[0, count - 1].to(ScalarType.Float64).log_softmax(0);
        return (Last(null), Last(without));
    }

    [Theory]
    [InlineData(TokenScaling.None, 1.0)]
    [InlineData(TokenScaling.None, 0.3)]
    [InlineData(TokenScaling.LayerNorm, 1.0)]
    [InlineData(TokenScaling.ConstantNorm, 2.0)]
    public void Parts_of_the_latents_and_what_is_always_added_make_the_reconstruction(TokenScaling scaling, double factor)
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using var autoencoder = new SparseAutoencoder(randn([24, 16], generator: new Generator(6)), null, null, null, new TopKRule(4), true, factor) { TokenScaling = scaling };
        Tensor x = (randn([10, 16], generator: new Generator(7)) * 3) + 1;
        using SparseCode code = autoencoder.Encode(x);
        Tensor whole = autoencoder.Decode(code), sum = zeros_like(whole);
        for (int latent = 0; latent < 24; latent++) sum.add_(autoencoder.PartOf(code, [.. Enumerable.Repeat(latent, 10)]));

        // Without any part what is left of each token is its bias and mean: the same whatever the latents say.
        using var empty = new SparseCode(new(10, 24, new int[11], []), code.Values.narrow(0, 0, 0).clone()) { Frame = code.Frame };
        Assert.True((whole - sum - autoencoder.Decode(empty)).abs().max().item<float>() < 1e-4f);
        empty.Frame = null;
    }

    [Fact]
    public void Sampled_examples_come_from_every_tenth_of_the_values()
    {
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        float[,] dense = DashboardBed.Dense(model, autoencoder, DashboardBed.Text());
        LatentDashboard all = DashboardBed.Dashboard(model, autoencoder, s_few with { Sample = 240 });
        int whole = 0;
        for (int latent = 0; latent < autoencoder.Latents; latent++)
        {
            float[] sorted = [.. Enumerable.Range(0, 240).Select(t => dense[t, latent]).Where(v => v > 0).OrderDescending()];
            LatentExample[] sampled = [.. all[latent].Sampled];
            Assert.Equal(Math.Min(10, sorted.Length), sampled.Length);
            Assert.Equal(sampled.Select(e => e.Decile).OrderDescending(), sampled.Select(e => e.Decile));
            whole += sampled.Select(e => e.Decile).Distinct().Count() == 10 ? 1 : 0;
            Assert.All(sampled, e =>
            {
                int place = Array.FindIndex(sorted, v => Math.Abs(v - e.Value) < 1e-6), last = Array.FindLastIndex(sorted, v => Math.Abs(v - e.Value) < 1e-6);
                Assert.InRange(e.Decile, 10 - (last * 10 / sorted.Length), 10 - (place * 10 / sorted.Length));
            });
        }

        Assert.True(whole > 5, $"{whole} latents with ten tenths");
    }

    [Fact]
    public void Samples_are_those_of_the_seed_and_of_no_batch()
    {
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        LatentDashboard a = DashboardBed.Dashboard(model, autoencoder, s_few with { Sample = 6 }), b = DashboardBed.Dashboard(model, autoencoder, s_few with { Sample = 6, Batch = 3 });
        LatentDashboard other = DashboardBed.Dashboard(model, autoencoder, s_few with { Sample = 6, Seed = 2 });
        Assert.Equal(Places(a), Places(b));
        Assert.NotEqual(Places(a), Places(other));
        Assert.All(Enumerable.Range(0, 40), i => Assert.True(a[i].Sampled.Count <= 6));

        static IEnumerable<int> Places(LatentDashboard d) => Enumerable.Range(0, 40).SelectMany(i => d[i].Sampled).Select(e => (e.Window * 12) + e.Place);
    }

    [Fact]
    public void Every_active_token_is_equally_likely_to_be_sampled()
    {
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        int latent = Enumerable.Range(0, 40).MaxBy(i => DashboardBed.Dashboard(model, autoencoder, s_few)[i].Active);
        var counts = new Dictionary<int, int>();
        const int Draws = 60, Sample = 10;
        for (int seed = 0; seed < Draws; seed++)
        {
            foreach (LatentExample e in DashboardBed.Dashboard(model, autoencoder, s_few with { Sample = Sample, PerDecile = Sample, Seed = seed })[latent].Sampled)
                counts[(e.Window * 12) + e.Place] = counts.GetValueOrDefault((e.Window * 12) + e.Place) + 1;
        }

        long active = DashboardBed.Dashboard(model, autoencoder, s_few)[latent].Active;
        Assert.Equal(Draws * Sample, counts.Values.Sum());
        double expected = (double)Draws * Sample / active;
        Assert.True(counts.Values.Max() < expected + (6 * Math.Sqrt(expected)), $"{counts.Values.Max()} of one token, {expected:F1} expected");
    }

    [Fact]
    public void Counts_values_and_histogram_equal_a_dense_computation()
    {
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        TokenText text = DashboardBed.Text();
        LatentDashboard dashboard = DashboardBed.Dashboard(model, autoencoder);
        float[,] dense = DashboardBed.Dense(model, autoencoder, text);
        long[] active = new long[40];
        for (int latent = 0; latent < 40; latent++)
        {
            float[] values = [.. Enumerable.Range(0, 240).Select(t => dense[t, latent]).Where(v => v > 0)];
            LatentSummary summary = dashboard[latent];
            active[latent] = values.Length;
            Assert.Equal((values.Length, values.Length / 240.0), (summary.Active, summary.Density));
            Assert.Equal(values.DefaultIfEmpty(0).Max(), summary.Max, 1e-5);
            Assert.Equal(values.Length == 0 ? 0 : values.Average(), summary.Mean, 1e-5);
            Assert.Equal(values.Length, summary.Values.Counts.Sum());
            if (values.Length == 0) continue;
            double width = summary.Values.BinWidth;
            Assert.Equal(Math.ScaleB(1, Math.ILogB(summary.Max) + 1) / 64, width);
            Assert.Equal(values.GroupBy(v => (int)(v / width)).ToDictionary(g => g.Key, g => g.Count()), summary.Values.Counts.Select((n, b) => (n, b)).Where(p => p.n > 0).ToDictionary(p => p.b, p => p.n));
        }

        Assert.Equal(Enumerable.Range(0, 40).OrderByDescending(i => active[i]).Select((i, r) => (i, r + 1)).OrderBy(p => p.i).Select(p => p.Item2), Enumerable.Range(0, 40).Select(i => dashboard[i].DensityRank));
        var source = new ModelActivations(model, MetricsBed.Site, text);
        Assert.Equal(ReconstructionReport.Of(autoencoder, source), dashboard.Reconstruction);
        Assert.Equal(LatentDensity.Of(autoencoder, source).StandardError, dashboard.Density.StandardError);
        Assert.Contains("Site = ", dashboard.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Logit_weights_equal_a_direct_computation()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        autoencoder.Scaling.Set(2.5);
        LatentDashboard dashboard = DashboardBed.Dashboard(model, autoencoder, new() { LogitTokens = 4 });
        Tensor gain = model.named_parameters().Single(p => p.name == "model.norm.weight").parameter;
        Tensor logits = ((autoencoder.Decoder / 2.5) * gain).mm(model.Embeddings.t());
        logits = logits - logits.mean([1L], keepdim: true);
        for (int latent = 0; latent < 40; latent++)
        {
            double[] weights = [.. logits[latent].to(ScalarType.Float64).data<double>()];
            int[] order = [.. Enumerable.Range(0, DashboardBed.Vocabulary).OrderByDescending(t => weights[t])];
            Assert.Equal(order.Take(4), dashboard[latent].Promoted.Select(w => w.Token));
            Assert.Equal(order.Reverse().Take(4), dashboard[latent].Suppressed.Select(w => w.Token));
            Assert.All(dashboard[latent].Promoted.Concat(dashboard[latent].Suppressed), w => Assert.Equal(weights[w.Token], w.Weight, 1e-4));
        }

        LatentDashboard inside = LatentDashboard.Of(model, DashboardBed.Tokenizer(), autoencoder, new(1, Activation.MlpInput), DashboardBed.Text());
        Assert.False(inside.HasLogitWeights);
        Assert.Empty(inside[0].Promoted);
    }

    [Fact]
    public void Neighbours_equal_a_dense_computation()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        autoencoder.Encoder.add_(MetricsBed.Gaussian(40, 16, type: ScalarType.Float32), alpha: 0.2);
        LatentDashboard dashboard = DashboardBed.Dashboard(model, autoencoder, s_few with { Neighbours = 4 });
        float[,] dense = DashboardBed.Dense(model, autoencoder, DashboardBed.Text());
        bool[,] on = new bool[240, 40];
        for (int t = 0; t < 240; t++)
        {
            for (int i = 0; i < 40; i++) on[t, i] = dense[t, i] > 0;
        }

        Tensor cosines = nn.functional.cosine_similarity(autoencoder.Decoder.unsqueeze(1), autoencoder.Decoder.unsqueeze(0), dim: 2);
        double[] own = [.. nn.functional.cosine_similarity(autoencoder.Encoder, autoencoder.Decoder, dim: 1).to(ScalarType.Float64).data<double>()];
        int together = 0;
        for (int i = 0; i < 40; i++)
        {
            int[] alive = [.. Enumerable.Range(0, 40).Where(j => j != i && dashboard.Density.Active[j] > 0)];
            double[] row = [.. cosines[i].to(ScalarType.Float64).data<double>()];
            Assert.Equal(alive.OrderByDescending(j => row[j]).Take(4), dashboard[i].Nearest.Select(n => n.Latent));
            Assert.All(dashboard[i].Nearest, n => Assert.Equal(row[n.Latent], n.Cosine, 1e-5));
            Assert.Equal(own[i], dashboard[i].EncoderDecoder, 1e-5);

            int Count(Func<int, bool> of) => Enumerable.Range(0, 240).Count(of);
            var expected = Enumerable.Range(0, 40).Where(j => j != i).Select(j => (Latent: j, Both: Count(t => on[t, i] && on[t, j]), Either: Count(t => on[t, i] || on[t, j]), A: Count(t => on[t, i]), B: Count(t => on[t, j])))
                .Where(c => c.Both >= 2 && c.Both * 240.0 / ((double)c.A * c.B) > 1)
                .OrderByDescending(c => (double)c.Both / c.Either).ThenBy(c => c.Latent).Take(4)
                .Select(c => new LatentCompanion(c.Latent, c.Both, (double)c.Both / c.Either, c.Both * 240.0 / ((double)c.A * c.B)));
            Assert.Equal(expected, dashboard[i].Together);
            together += dashboard[i].Together.Count;
        }

        Assert.True(together > 40, $"{together} companions");
        Assert.Equal(240, dashboard.CoActivationTokens);
    }

    [Fact]
    public void Latents_of_a_text_encoder_show_the_tokens_of_its_texts()
    {
        string[] texts = ["a dog", "the big cat runs running.", "run", "the small dog runs a cat running the big dog.", "cat cat"];
        using BertEncoder encoder = TinyBert.New();
        var source = new EncoderActivations(encoder, new(0, Activation.ResidualAfter), texts, new() { TokensPerWindow = 4 });
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(width: source.Width);
        LatentDashboard dashboard = LatentDashboard.Of(encoder.Tokenizer, autoencoder, source, s_few);
        int[] ids = [.. texts.SelectMany(text => encoder.Tokenize(text))];
        using SparseCode code = autoencoder.Encode(source.Read([.. Enumerable.Range(0, source.Windows)], default).Activations);
        Assert.Equal(code.Support.CountsPerColumn().Select(n => (long)n), dashboard.Density.Active);
        LatentExample[] all = [.. Enumerable.Range(0, 40).SelectMany(i => dashboard[i].Top)];
        Assert.True(all.Length > 10);
        Assert.All(all, e => Assert.Equal(ids.Skip((e.Window * 4) + e.Place - e.Focus).Take(e.Tokens.Count), e.Tokens));
        Assert.Contains(all.SelectMany(e => e.Tokens).Select(t => string.Concat(dashboard.Spell(t).Select(p => p.Text))), word => word == " dog");
        Assert.False(dashboard.HasLogitWeights);
        Assert.Throws<ArgumentException>("options", () => LatentDashboard.Of(encoder.Tokenizer, autoencoder, source, s_few with { SkipFirst = 1 }));
        Assert.Throws<ArgumentException>("source", () => LatentDashboard.Of(encoder.Tokenizer, autoencoder, new EncoderActivations(encoder, source.Site, texts, new() { Pooled = true }), s_few));
    }

    [Fact]
    public void Bad_input_is_named_and_a_cancelled_call_stops()
    {
        using TinyLM model = DashboardBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(), wide = MetricsBed.Autoencoder(width: 17);
        Assert.Throws<ArgumentException>("autoencoder", () => DashboardBed.Dashboard(model, wide));
        foreach (LatentDashboardOptions bad in (LatentDashboardOptions[])
            [new() { Length = 13 }, new() { Windows = 21 }, new() { Windows = 0 }, new() { SkipFirst = 12 }, new() { Top = 0 }, new() { Sample = 0 }, new() { PerDecile = -1 }, new() { Before = -1 }, new() { LogitTokens = -1 }, new() { MinTogether = 0 }])
            Assert.Throws<ArgumentException>("options", () => DashboardBed.Dashboard(model, autoencoder, bad));
        Assert.Throws<ArgumentOutOfRangeException>("latent", () => DashboardBed.Dashboard(model, autoencoder)[40]);
        Assert.Throws<OperationCanceledException>(() => LatentDashboard.Of(model, DashboardBed.Tokenizer(), autoencoder, MetricsBed.Site, DashboardBed.Text(), cancel: new CancellationToken(true)));
        foreach (string stage in (string[])["reading activations", "weighing tokens", "comparing directions", "comparing supports"])
        {
            using var stop = new CancellationTokenSource();
            Assert.Throws<OperationCanceledException>(() => LatentDashboard.Of(
                model, DashboardBed.Tokenizer(), autoencoder, MetricsBed.Site, DashboardBed.Text(), progress: new Stop(stage, stop), cancel: stop.Token));
            Assert.True(stop.IsCancellationRequested, stage);
        }
    }

    private static int[] Around(TokenText text, int token, LatentDashboardOptions options)
    {
        int window = token / 12 * 12, first = Math.Max(window, token - options.Before), last = Math.Min(window + 11, token + options.After);
        return text.Ids[first..(last + 1)].ToArray();
    }

    private sealed class Stop(string stage, CancellationTokenSource source) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value)
        {
            if (value.Message == stage) source.Cancel();
        }
    }
}
