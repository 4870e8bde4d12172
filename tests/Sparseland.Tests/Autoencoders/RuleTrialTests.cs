using Sparseland.Autoencoders;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

/// <summary>The rules under hostile input, each beside plain loops in float64 that follow the table of the nine architectures.</summary>
public sealed class RuleTrialTests : IDisposable
{
    private const int Latents = 12, Width = 5;

    private readonly DisposeScope _scope = NewDisposeScope();

    public static TheoryData<string> Rules() =>
        ["relu", "topk", "groupmax", "batch-topk", "mutual-choice", "matryoshka", "feature-choice", "latents-choose", "jumprelu", "threshold", "gated", "gradient"];

    public void Dispose() => _scope.Dispose();

    [Theory]
    [MemberData(nameof(Rules))]
    public void Codes_are_those_of_plain_loops_in_both_types_and_any_layout(string name)
    {
        // Few different numbers, so that ties are everywhere, on both sides of zero.
        Tensor pre = (Gaussian(1, 9, Latents) * 2).round() / 2;
        CodeRule rule = Make(name);
        double[,] expected = Expected(name, pre);
        foreach (ScalarType type in (ScalarType[])[ScalarType.Float32, ScalarType.Float64])
        {
            Tensor z = pre.to(type), transposed = z.t().contiguous().t(), strided = cat([z, z], 1).view(9, 2, Latents).transpose(1, 2).contiguous().select(2, 0), turned = z.flip(0).flip(0);
            foreach (Tensor form in (Tensor[])[z, transposed, strided, turned])
            {
                using SparseCode code = rule.Select(form, Context(type));
                Assert.Equal(type, code.Values.dtype);
                Same(expected, code);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void Half_precision_is_refused_by_name(string name)
    {
        foreach (ScalarType type in (ScalarType[])[ScalarType.Float16, ScalarType.BFloat16, ScalarType.Int64])
        {
            Tensor pre = (Gaussian(1, 9, Latents) * 4).to(type);
            Assert.Contains($"{type}", Assert.Throws<ArgumentException>(() => Make(name).Select(pre, Context(ScalarType.Float32))).Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void What_is_no_matrix_of_the_rules_latents_is_refused(string name)
    {
        CodeRule rule = Make(name);
        Assert.Throws<ArgumentNullException>(() => rule.Select(null!, Context(ScalarType.Float32)));
        Assert.Contains($"[{Latents}]", Assert.Throws<ArgumentException>(() => rule.Select(Gaussian(1, Latents).to(ScalarType.Float32), Context(ScalarType.Float32))).Message, StringComparison.Ordinal);
        Assert.Contains($"[2, 9, {Latents}]", Assert.Throws<ArgumentException>(() => rule.Select(Gaussian(1, 2, 9, Latents).to(ScalarType.Float32), Context(ScalarType.Float32))).Message, StringComparison.Ordinal);
        if (name is "relu" or "topk" or "batch-topk" or "mutual-choice" or "gradient") return;
        Assert.ThrowsAny<ArgumentException>(() => rule.Select(Gaussian(1, 9, 1).to(ScalarType.Float32), Context(ScalarType.Float32)));
        Assert.ThrowsAny<ArgumentException>(() => rule.Select(Gaussian(1, 9, Latents + 1).to(ScalarType.Float32), Context(ScalarType.Float32)));
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void A_pre_activation_that_is_NaN_is_refused_wherever_it_stands(string name)
    {
        foreach ((int row, int column) in ((int, int)[])[(0, 0), (8, Latents - 1), (4, 3)])
        {
            Tensor pre = Gaussian(1, 9, Latents).to(ScalarType.Float32);
            pre[row, column] = float.NaN;
            Assert.Contains("NaN", Assert.ThrowsAny<ArgumentException>(() => Make(name).Select(pre, Context(ScalarType.Float32))).Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void Scores_of_any_size_are_chosen_alike(string name)
    {
        // Rules without a number on the scale of the activations know no unit.
        if (name is "jumprelu" or "threshold" or "gated") return;
        Tensor pre = Gaussian(3, 9, Latents);
        CodeRule rule = Make(name);
        double[,] expected = Expected(name, pre);
        foreach (double unit in (double[])[1e20, 1e-30])
        {
            using SparseCode code = rule.Select(pre * unit, Context(ScalarType.Float64)), single = rule.Select((pre * unit).to(ScalarType.Float32), Context(ScalarType.Float32));
            Assert.Equal(code.Support.ColumnIndices.ToArray(), single.Support.ColumnIndices.ToArray());
            using var back = new SparseCode(code.Support, code.Values / unit);
            Same(expected, back);
        }
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void No_token_and_one_token_have_codes(string name)
    {
        CodeRule rule = Make(name);
        CodeContext none = Context(ScalarType.Float32) with { Gradients = zeros(0, Width) }, one = Context(ScalarType.Float32) with { Gradients = ones(1, Width) };
        Assert.Equal(0, rule.Select(zeros(0, Latents), none).Tokens);
        if (name is "feature-choice" or "latents-choose")
        {
            Assert.Contains("would do", Assert.Throws<ArgumentException>(() => rule.Select(ones(1, Latents), one)).Message, StringComparison.Ordinal);
            return;
        }

        using SparseCode code = rule.Select(ones(1, Latents), one);
        Assert.InRange(code.Support.Count, name == "threshold" ? 0 : 1, Latents);
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void An_autoencoder_in_half_precision_is_refused_before_it_computes(ScalarType type)
    {
        using var autoencoder = new SparseAutoencoder(Width, Latents, new TopKRule(3));
        autoencoder.to(type);
        Tensor x = Gaussian(1, 7, Width).to(type);
        foreach (Action use in (Action[])[() => autoencoder.Encode(x), () => autoencoder.Reconstruct(x), () => autoencoder.PreActivations(x), () => autoencoder.EncodeBatch(x)])
            Assert.Contains($"{type}", Assert.Throws<ArgumentException>(use).Message, StringComparison.Ordinal);
        autoencoder.to(ScalarType.Float32);
        Assert.Equal(7, autoencoder.Encode(x.to(ScalarType.Float32)).Tokens);
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void An_autoencoder_that_is_moved_to_float64_and_back_codes_as_before(string name)
    {
        using var autoencoder = new SparseAutoencoder(Width, Latents, Make(name), seed: 4);
        Tensor x = Gaussian(5, 9, Width).to(ScalarType.Float32), g = Gaussian(6, 9, Width).to(ScalarType.Float32);
        using SparseCode before = autoencoder.EncodeBatch(x, g);
        autoencoder.to(ScalarType.Float64);
        using SparseCode wide = autoencoder.EncodeBatch(x.to(ScalarType.Float64), g.to(ScalarType.Float64));
        Assert.Equal(before.Support.ColumnIndices.ToArray(), wide.Support.ColumnIndices.ToArray());
        autoencoder.to(ScalarType.Float32);
        using SparseCode after = autoencoder.EncodeBatch(x, g);
        Assert.Equal(before.Support.ColumnIndices.ToArray(), after.Support.ColumnIndices.ToArray());
        Assert.True(before.Values.bytes.SequenceEqual(after.Values.bytes));
    }

    [Theory]
    [InlineData(1.0)]
    [InlineData(4.0)]
    [InlineData(1e3)]
    public void The_choice_by_influence_knows_no_unit_of_the_gradients(double beta)
    {
        Tensor pre = Gaussian(1, 9, Latents).to(ScalarType.Float32), gradients = Gaussian(2, 9, Width).to(ScalarType.Float32), decoder = Decoder(ScalarType.Float32);
        var rule = new GradientTopKRule(3, beta);
        using SparseCode plain = rule.Select(pre, new(true, gradients, decoder));
        foreach (double unit in (double[])[-1, 1e-33, 1e-20, 1e-10, 1e20, 1e35])
        {
            using SparseCode scaled = rule.Select(pre, new(true, gradients * unit, decoder));
            Assert.Equal(plain.Support.ColumnIndices.ToArray(), scaled.Support.ColumnIndices.ToArray());
            Assert.True(plain.Values.bytes.SequenceEqual(scaled.Values.bytes));
        }
    }

    [Fact]
    public void A_large_weight_of_the_influence_is_the_product_alone()
    {
        Tensor pre = Gaussian(1, 9, Latents), gradients = Gaussian(2, 9, Width), decoder = Decoder(ScalarType.Float64);
        using SparseCode code = new GradientTopKRule(3, 1e30).Select(pre, new(true, gradients, decoder));
        double[,] z = Matrix(pre), a = Influences(gradients, decoder);
        for (int t = 0; t < 9; t++)
        {
            int[] expected = [.. Enumerable.Range(0, Latents).Where(i => z[t, i] > 0).OrderByDescending(i => z[t, i] * a[t, i]).Take(3).Order()];
            Assert.Equal(expected, code.Support.Row(t).ToArray());
        }
    }

    [Fact]
    public void Gradients_that_do_not_belong_to_the_tokens_are_refused_by_every_path()
    {
        using var autoencoder = new SparseAutoencoder(Width, Latents, new GradientTopKRule(3));
        Tensor x = Gaussian(1, 7, Width).to(ScalarType.Float32);
        Tensor nan = ones(7, Width);
        nan[3, 1] = float.NaN;
        foreach ((Tensor bad, string said) in ((Tensor, string)[])[(ones(6, Width), "[6, 5]"), (ones(7, 4), "[7, 4]"), (ones(1, Width), "[1, 5]"), (ones(7), "[7]"), (ones(7, Width, dtype: ScalarType.Float64), "Float64"), (nan, "not finite"), (zeros(7, Width), "mean influence is 0")])
        {
            Assert.Contains(said, Assert.ThrowsAny<ArgumentException>(() => autoencoder.Encode(x, bad)).Message, StringComparison.Ordinal);
            Assert.Contains(said, Assert.ThrowsAny<ArgumentException>(() => autoencoder.EncodeBatch(x, bad)).Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(4, 3)]
    [InlineData(5, 1)]
    [InlineData(6, 12)]
    [InlineData(1, 5)]
    public void The_loss_of_dead_latents_is_its_formula(int width, int deadCount)
    {
        using var autoencoder = new SparseAutoencoder(width, Latents, new TopKRule(2), seed: 3, type: ScalarType.Float64);
        Tensor x = Gaussian(8, 15, width);
        int[] dead = [.. Enumerable.Range(0, deadCount).Select(i => Latents - 1 - i).Order()];
        using var pass = new AutoencoderPass(autoencoder, x, null, training: true);
        double loss = DeadLatentLoss.Rebuild(pass, dead, 0.25);
        double[,] z = Matrix(pass.Pre), w = Matrix(autoencoder.Decoder), e = Matrix(pass.Error);
        Assert.Equal(ReferenceLoss(z, w, e, dead, width, 0.25), loss, 1e-10 * (1 + loss));
        if (width < 2) Assert.Equal(0, loss);

        // Its gradient reaches the encoder rows of the dead: a central difference with e and its size held fixed.
        if (loss == 0) return;
        pass.Backward();
        Tensor with = autoencoder.Encoder.grad!.clone();
        autoencoder.zero_grad();
        using var bare = new AutoencoderPass(autoencoder, x, null, training: true);
        bare.Backward();
        double[,] gradient = Matrix(with - autoencoder.Encoder.grad!), centred = Matrix(pass.Centred);
        foreach (int i in dead)
        {
            double[,] up = (double[,])z.Clone(), down = (double[,])z.Clone();
            for (int t = 0; t < 15; t++) (up[t, i], down[t, i]) = (z[t, i] + (1e-6 * centred[t, 0]), z[t, i] - (1e-6 * centred[t, 0]));
            double difference = (ReferenceLoss(up, w, e, dead, width, 0.25) - ReferenceLoss(down, w, e, dead, width, 0.25)) / 2e-6;
            Assert.Equal(difference, gradient[i, 0], 1e-5 * (1 + Math.Abs(difference)));
        }
    }

    [Fact]
    public void Dying_latents_are_those_of_plain_loops()
    {
        var random = new Random(3);
        for (int trial = 0; trial < 30; trial++)
        {
            var statistics = new LatentStatistics(Latents, 1e9);
            for (int batch = 0; batch < 3; batch++)
            {
                Tensor mask = rand([20, Latents], generator: new Generator((ulong)((trial * 3) + batch))).lt(tensor(Enumerable.Range(0, Latents).Select(i => i % 4 == 3 && batch > 0 ? 0f : 0.9f / (1 + i)).ToArray()));
                Support support = Support.FromMask(mask);
                statistics.Update(new(support, ones(support.Count)));
            }

            double ratio = trial % 5 == 0 ? double.PositiveInfinity : 1 + random.NextDouble() * 3, exponent = 0.5 + random.NextDouble(), offset = random.NextDouble() * 8;
            int[] dying = new ZipfLoss(new(exponent, offset), ratio).Dying(statistics, 40);
            double[] density = statistics.Density, weights = [.. Enumerable.Range(1, Latents).Select(r => Math.Pow(r + offset, -exponent))];
            int[] order = [.. Enumerable.Range(0, Latents).OrderByDescending(i => density[i]).ThenBy(i => i)];
            int[] expected = [.. Enumerable.Range(0, Latents).Where(i => statistics.TokensSilent[i] >= 40 || density[i] < density.Sum() * weights[Array.IndexOf(order, i)] / weights.Sum() / ratio)];
            Assert.Equal(expected, dying);
            if (double.IsInfinity(ratio)) Assert.Equal(statistics.SilentFor(40), dying);
        }
    }

    [Fact]
    public void Settings_of_losses_out_of_range_are_refused_by_name()
    {
        var law = new ZipfLaw(1, 5);
        foreach ((Action make, string name) in ((Action, string)[])
        [
            (() => new ZipfLoss(null!), "law"), (() => new ZipfLoss(law, double.NaN), "dyingRatio"), (() => new ZipfLoss(law, 0.5), "dyingRatio"), (() => new ZipfLoss(law, weight: 0), "weight"),
            (() => new ZipfLoss(law, weight: double.NaN), "weight"), (() => new ZipfLoss(law, deadAfter: 0), "deadAfter"), (() => new DeadLatentLoss(-1), "deadAfter"), (() => new DeadLatentLoss(weight: double.PositiveInfinity), "weight"),
            (() => new ZipfLaw(0, 1), "exponent"), (() => new ZipfLaw(1, -1), "offset"), (() => new ZipfLaw(double.NaN, 1), "exponent"), (() => law.Densities(0, 1), "latents"), (() => law.Densities(3, double.NaN), "total"),
            (() => new GradientTopKRule(0), "k"), (() => new GradientTopKRule(2, -1), "beta"), (() => new GradientTopKRule(2, double.NaN), "beta"), (() => new GradientTopKRule(2, rampFrom: 0.5), "rampTo"), (() => new GradientTopKRule(2, rampTo: 2), "rampTo"),
        ])
            Assert.Equal(name, Assert.ThrowsAny<ArgumentException>(make).ParamName);
    }

    [Theory]
    [InlineData(60, 1.0, 5.0)]
    [InlineData(60, 8.0, 0.0)]
    [InlineData(300, 0.01, 1e6)]
    public void Counts_of_a_law_add_up_fall_with_the_rank_and_lie_in_their_bounds(int latents, double exponent, double offset)
    {
        var random = new Random(1);
        double[] density = [.. Enumerable.Range(0, latents).Select(_ => Math.Round(random.NextDouble(), 1))];
        foreach ((int total, int batch, int floor) in ((int, int, int)[])[(latents, 7, 1), (latents * 7, 7, 1), (latents * 3, 50, 0), (1, 4, 0), (latents * 2, 2, 2)])
        {
            int[] counts = FeatureCounts.Zipf(density, total, batch, exponent, offset, floor);
            Assert.Equal(total, counts.Sum());
            Assert.All(counts, count => Assert.InRange(count, floor, batch));
            int[] order = [.. Enumerable.Range(0, latents).OrderByDescending(i => density[i]).ThenBy(i => i)];
            for (int r = 1; r < latents; r++) Assert.True(counts[order[r]] <= counts[order[r - 1]], $"rank {r}");
        }
    }

    private static Tensor Gaussian(int seed, params long[] shape) => randn(shape, dtype: ScalarType.Float64, generator: new Generator((ulong)seed));

    private static Tensor Decoder(ScalarType type) => Gaussian(77, Latents, Width).to(type);

    private static CodeContext Context(ScalarType type) => new(true, Gaussian(78, 9, Width).to(type), Decoder(type), linspace(-0.3, 0.4, Latents, dtype: type));

    private static CodeRule Make(string name)
    {
        switch (name)
        {
            case "relu": return new ReluRule();
            case "topk": return new TopKRule(3);
            case "groupmax": return new GroupMaxRule(3);
            case "batch-topk": return new BatchTopKRule(2.5);
            case "mutual-choice": return new MutualChoiceRule(2.5);
            case "matryoshka": return new MatryoshkaRule(2.5, [3, Latents]);
            case "feature-choice": return new FeatureChoiceRule(Latents, 2.5, new(1, 5));
            case "jumprelu": return new JumpReluRule([.. Enumerable.Range(0, Latents).Select(i => i % 2 == 0 ? 0.25 : 0.75)]);
            case "threshold": return new ThresholdRule([.. Enumerable.Range(0, Latents).Select(i => i % 3 * 0.5)]);
            case "gradient": return new GradientTopKRule(3);
            case "latents-choose":
                var choosing = new FeatureChoiceRule(Latents, 2.5, new(1, 5), switchAt: 0);
                var statistics = new LatentStatistics(Latents, 100);
                Support seen = Support.FromMask(Gaussian(5, 40, Latents).gt(linspace(-1, 2, Latents)));
                statistics.Update(new(seen, ones(seen.Count)));
                choosing.Learn([], new(1, 10, statistics));
                Assert.True(choosing.LatentsChoose);
                return choosing;
            default:
                var gated = new GatedRule(Latents);
                using (no_grad())
                {
                    gated.LogScale.copy_(linspace(-0.5, 0.5, Latents));
                    gated.MagnitudeBias.copy_(linspace(-0.4, 0.6, Latents));
                }

                return gated;
        }
    }

    // The table of the nine architectures, entry by entry; ties go to the lower index.
    private static double[,] Expected(string name, Tensor pre)
    {
        double[,] z = Matrix(pre), code = new double[z.GetLength(0), Latents];
        int tokens = z.GetLength(0);
        IEnumerable<(int T, int I)> all = Enumerable.Range(0, tokens).SelectMany(t => Enumerable.Range(0, Latents).Select(i => (t, i)));
        IEnumerable<(int T, int I)> chosen = name switch
        {
            "relu" => all,
            "topk" => Rows((t, i) => z[t, i], 3),
            "groupmax" => Enumerable.Range(0, tokens).SelectMany(t => Enumerable.Range(0, 3).Select(g => (t, Enumerable.Range(g * 4, 4).OrderByDescending(i => z[t, i]).First()))),
            "batch-topk" or "mutual-choice" or "matryoshka" or "feature-choice" => all.OrderByDescending(p => z[p.T, p.I]).Take((int)Math.Round(2.5 * tokens)),
            "latents-choose" => Columns(),
            "jumprelu" => all.Where(p => z[p.T, p.I] > (p.I % 2 == 0 ? 0.25 : 0.75)),
            "threshold" => all.Where(p => z[p.T, p.I] > p.I % 3 * 0.5),
            "gated" => all.Where(p => z[p.T, p.I] > 0),
            _ => Rows((t, i) => Math.Max(0, z[t, i]) * (1 + s_influences.Value[t, i]), 3),
        };
        foreach ((int t, int i) in chosen)
        {
            double share = (double)i / (Latents - 1), value = name == "gated" ? (Math.Exp(-0.5 + share) * (z[t, i] - (-0.3 + (0.7 * share)))) + (-0.4 + share) : z[t, i];
            code[t, i] = Math.Max(0, value);
        }

        return code;

        IEnumerable<(int, int)> Rows(Func<int, int, double> score, int k) =>
            Enumerable.Range(0, tokens).SelectMany(t => Enumerable.Range(0, Latents).OrderByDescending(i => score(t, i)).Take(k).Select(i => (t, i)));

        IEnumerable<(int, int)> Columns()
        {
            int[] counts = ((FeatureChoiceRule)Make(name)).CountsFor(tokens);
            return Enumerable.Range(0, Latents).SelectMany(i => Enumerable.Range(0, tokens).OrderByDescending(t => z[t, i]).Take(counts[i]).Select(t => (t, i)));
        }
    }

    private static readonly Lazy<double[,]> s_influences = new(() => Influences(Gaussian(78, 9, Width), Decoder(ScalarType.Float64)));

    private static double[,] Influences(Tensor gradients, Tensor decoder)
    {
        double[,] g = Matrix(gradients), w = Matrix(decoder), a = new double[g.GetLength(0), w.GetLength(0)];
        double sum = 0;
        for (int t = 0; t < a.GetLength(0); t++)
        {
            for (int i = 0; i < a.GetLength(1); i++)
            {
                double dot = 0;
                for (int j = 0; j < w.GetLength(1); j++) dot += g[t, j] * w[i, j];
                sum += a[t, i] = Math.Abs(dot);
            }
        }

        double mean = sum / a.Length;
        for (int t = 0; t < a.GetLength(0); t++)
        {
            for (int i = 0; i < a.GetLength(1); i++) a[t, i] /= mean;
        }

        return a;
    }

    private static double ReferenceLoss(double[,] z, double[,] w, double[,] e, int[] dead, int width, double alpha)
    {
        int tokens = z.GetLength(0), half = width / 2, most = Math.Min(half, dead.Length);
        if (most == 0) return 0;
        double above = 0, below = 0, size = 0;
        double[] mean = [.. Enumerable.Range(0, width).Select(j => Enumerable.Range(0, tokens).Average(t => e[t, j]))];
        for (int t = 0; t < tokens; t++)
        {
            int[] chosen = [.. dead.OrderByDescending(i => z[t, i]).Take(most).Where(i => z[t, i] > 0)];
            for (int j = 0; j < width; j++)
            {
                double rebuilt = chosen.Sum(i => z[t, i] * w[i, j]);
                above += (rebuilt - e[t, j]) * (rebuilt - e[t, j]);
                below += (e[t, j] - mean[j]) * (e[t, j] - mean[j]);
                size += e[t, j] * e[t, j];
            }
        }

        return alpha * Math.Min(1, dead.Length / (double)half) * above / below * (size / tokens);
    }

    private static double[,] Matrix(Tensor matrix)
    {
        double[] flat = matrix.detach().to(ScalarType.Float64).contiguous().data<double>().ToArray();
        int columns = (int)matrix.shape[1];
        var all = new double[matrix.shape[0], columns];
        for (int n = 0; n < flat.Length; n++) all[n / columns, n % columns] = flat[n];
        return all;
    }

    private static void Same(double[,] expected, SparseCode code)
    {
        double[,] actual = Matrix(code.ToDense());
        Assert.Equal(expected.GetLength(0), actual.GetLength(0));
        Assert.True(code.Values.numel() == 0 || code.Values.min().to(ScalarType.Float64).item<double>() > 0);
        for (int t = 0; t < expected.GetLength(0); t++)
        {
            for (int i = 0; i < Latents; i++) Assert.True(Math.Abs(expected[t, i] - actual[t, i]) <= 2e-6 * (1 + Math.Abs(expected[t, i])), $"token {t}, latent {i}: {expected[t, i]} against {actual[t, i]}");
        }
    }
}
