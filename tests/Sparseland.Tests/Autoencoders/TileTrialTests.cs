using Sparseland.Autoencoders;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

/// <summary>TopK steps some tokens at a time, and the decoder's gradient row by row, against the formulas on whole matrices.</summary>
public sealed class TileTrialTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(19)]
    [InlineData(20)]
    public void Codes_do_not_depend_on_how_many_tokens_are_held(int some)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(4);
        using SparseAutoencoder autoencoder = new(8, 40, new TopKRule(5), type: ScalarType.Float64);
        Tensor x = randn([19, 8], ScalarType.Float64, generator: generator);
        x[4] = 0;
        SparseCode whole = autoencoder.OfTiles(x, long.MaxValue), tiles = autoencoder.OfTiles(x, (some * 40) + 39);
        Assert.Equal(whole.Support, tiles.Support);
        Assert.Equal(19, tiles.Tokens);
        Assert.Empty(tiles.Support.Row(4).ToArray());
        Assert.True(tiles.Values.allclose(whole.Values, 1e-13, 1e-13));
        Assert.Equal(0, autoencoder.OfTiles(x.narrow(0, 0, 0), some).Tokens);
    }

    // Products of small whole numbers are exact, whatever the order of sums: ties are ties in every tile.
    [Fact]
    public void Ties_keep_the_lower_latent_in_every_tile()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = new(3, 12, new TopKRule(4));
        using (no_grad()) autoencoder.Encoder.copy_(ones(12, 3));
        SparseCode code = autoencoder.OfTiles(ones(9, 3), 25);
        for (int t = 0; t < 9; t++) Assert.Equal([0, 1, 2, 3], code.Support.Row(t).ToArray());
        using (no_grad()) autoencoder.Encoder.copy_(-ones(12, 3));
        Assert.Equal(0, autoencoder.OfTiles(ones(9, 3), 25).Support.Count);
    }

    // 2^21 pre-activations are eight tokens here: two tiles and a rest of three; one token; a whole tile; one more.
    [Theory]
    [InlineData(19, 3)]
    [InlineData(1, 3)]
    [InlineData(8, 1)]
    [InlineData(9, 5)]
    public void A_step_of_several_tiles_has_the_gradients_of_the_formulas(int tokens, int k)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(4);
        (int width, int latents) = (4, 1 << 18);
        using SparseAutoencoder autoencoder = new(width, latents, new TopKRule(k));
        using (no_grad())
        {
            autoencoder.EncoderBias.copy_(randn(latents, generator: generator) * 0.1f);
            autoencoder.DecoderBias.copy_(randn(width, generator: generator));
        }

        Tensor x = randn([tokens, width], generator: generator);
        using AutoencoderPass pass = new(autoencoder, x, null, training: true);
        pass.Backward();

        // In Float64 at the latents that were chosen; that these are the largest of each token is asked of the whole matrix.
        Tensor z = addmm(autoencoder.EncoderBias, x - autoencoder.DecoderBias, autoencoder.Encoder.t(), 1, 1).detach();
        float[] lowest = z.topk(k, 1).values.min(1).values.data<float>().ToArray();
        Support chosen = pass.Code.Support;
        double loss = 0;
        double[] bias = new double[width];
        var encoderBias = new Dictionary<int, double>();
        var encoderRows = new Dictionary<int, double[]>();
        var decoderRows = new Dictionary<int, double[]>();
        double[] bd = Numbers(autoencoder.DecoderBias);
        for (int t = 0; t < tokens; t++)
        {
            int[] own = chosen.Row(t).ToArray();
            Assert.Equal(k, own.Length);
            double[] centred = [.. Numbers(x[t]).Zip(bd, (a, b) => a - b)], residual = [.. centred];
            double[][] We = [.. own.Select(i => Numbers(autoencoder.Encoder[i]))], Wd = [.. own.Select(i => Numbers(autoencoder.Decoder[i]))];
            double[] f = [.. own.Select((i, n) => Dot(We[n], centred) + autoencoder.EncoderBias[i].item<float>())];
            for (int n = 0; n < k; n++)
            {
                Assert.True(f[n] >= lowest[t] - 1e-5);
                for (int j = 0; j < width; j++) residual[j] -= f[n] * Wd[n][j];
            }

            loss += Dot(residual, residual) / tokens;
            double[] G = [.. residual.Select(r => -2 * r / tokens)];
            for (int j = 0; j < width; j++) bias[j] += G[j];
            for (int n = 0; n < k; n++)
            {
                double dz = Dot(Wd[n], G);
                encoderBias[own[n]] = encoderBias.GetValueOrDefault(own[n]) + dz;
                double[] e = encoderRows.TryGetValue(own[n], out double[]? before) ? before : encoderRows[own[n]] = new double[width];
                double[] d = decoderRows.TryGetValue(own[n], out before) ? before : decoderRows[own[n]] = new double[width];
                for (int j = 0; j < width; j++)
                {
                    e[j] += dz * centred[j];
                    d[j] += f[n] * G[j];
                    bias[j] -= dz * We[n][j];
                }
            }
        }

        Assert.Equal(loss, pass.Loss, 1e-4 * (1 + loss));
        foreach ((Tensor gradient, Dictionary<int, double[]> rows) in ((Tensor, Dictionary<int, double[]>)[])[(autoencoder.Encoder.grad!, encoderRows), (autoencoder.Decoder.grad!, decoderRows)])
        {
            double total = 0;
            foreach ((int i, double[] row) in rows)
            {
                Near(row, gradient[i]);
                total += row.Sum(Math.Abs);
            }

            Assert.Equal(total, gradient.abs().sum(ScalarType.Float64).item<double>(), 1e-3 * (1 + total));
        }

        Near(bias, autoencoder.DecoderBias.grad!);
        foreach ((int i, double g) in encoderBias) Assert.Equal(g, autoencoder.EncoderBias.grad![i].item<float>(), 1e-4);
    }

    [Fact]
    public void Dead_latents_rebuild_the_error_of_a_step_of_several_tiles()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(4);
        (int width, int latents, int tokens) = (4, 1 << 19, 9);
        using SparseAutoencoder autoencoder = new(width, latents, new TopKRule(2));
        Tensor x = randn([tokens, width], generator: generator);
        using AutoencoderPass pass = new(autoencoder, x, null, training: true);
        int[] dead = [3, 77, 5000, latents - 1];
        double got = DeadLatentLoss.Rebuild(pass, dead, 1.0 / 32);
        double[][] e = [.. Enumerable.Range(0, tokens).Select(t => Numbers(pass.Error[t]))];
        double[] mean = [.. Enumerable.Range(0, width).Select(j => e.Average(row => row[j]))];
        double variance = e.Sum(row => row.Zip(mean, (a, b) => (a - b) * (a - b)).Sum()), gap = 0;
        for (int t = 0; t < tokens; t++)
        {
            double[] own = Numbers(x[t]), rebuilt = new double[width];
            foreach ((int i, double z) in dead.Select(i => (i, Dot(Numbers(autoencoder.Encoder[i]), own))).OrderByDescending(p => p.Item2).Take(2))
            {
                double[] row = Numbers(autoencoder.Decoder[i]);
                if (z > 0) for (int j = 0; j < width; j++) rebuilt[j] += z * row[j];
            }

            gap += rebuilt.Zip(e[t], (a, b) => (a - b) * (a - b)).Sum();
        }

        // |D| = 4 is more than d/2 = 2: the factor is 1.
        double expected = 1.0 / 32 * gap / variance * (e.Sum(row => Dot(row, row)) / tokens);
        Assert.Equal(expected, got, 1e-5 * (1 + expected));
        pass.Backward();
        Assert.True(autoencoder.Encoder.grad!.index_select(0, tensor(dead, ScalarType.Int64)).abs().sum().item<float>() > 0);
    }

    [Fact]
    public void A_training_of_several_tiles_a_step_repeats_bit_for_bit_keeps_unit_rows_and_nothing_alive()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(4);
        Tensor x = randn([80, 2], generator: generator);
        byte[] Trained()
        {
            using SparseAutoencoder autoencoder = new(2, 1 << 16, new TopKRule(2));
            using var buffer = new ActivationBuffer(new TensorActivations(x), 40, new() { Capacity = 80, Repeat = true });
            using AutoencoderTrainer trainer = new(autoencoder, buffer, new() { Steps = 4, Losses = [new DeadLatentLoss(deadAfter: 40)] });
            for (int i = 0; i < 2; i++) trainer.Step();
            long alive = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
            trainer.Step();
            Assert.Equal(alive, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
            trainer.Step();
            Assert.InRange((autoencoder.Decoder.detach().norm(1) - 1).abs().max().item<float>(), 0, 1e-5);
            return autoencoder.Encoder.detach().bytes.ToArray();
        }

        Assert.Equal(Trained(), Trained());
    }

    [Fact]
    public void A_pre_activation_that_is_NaN_is_named_by_its_token()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = new(3, 12, new TopKRule(4));
        Tensor x = ones(9, 3);
        x[7, 1] = float.NaN;
        ArgumentException refusal = Assert.ThrowsAny<ArgumentException>(() => autoencoder.OfTiles(x, 24));
        Assert.Contains("from 6 on", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, 1, ScalarType.Float32)]
    [InlineData(0, 5, ScalarType.Float32)]
    [InlineData(300, 257, ScalarType.Float32)]
    [InlineData(300, 257, ScalarType.Float64)]
    [InlineData(3, 65_537, ScalarType.Float32)]
    [InlineData(70_000, 1, ScalarType.Float64)]
    public void A_row_s_gradient_loses_its_part_along_the_row_and_nothing_else(int rows, int width, ScalarType type)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(4);
        Tensor w = randn([rows, width], type, generator: generator), g = randn([rows, width], type, generator: generator);
        w = w / w.norm(1, keepdim: true);
        if (rows > 2) g[1] = double.NaN;
        Tensor expected = g.to(ScalarType.Float64) - ((g.to(ScalarType.Float64) * w.to(ScalarType.Float64)).sum([1L], keepdim: true) * w.to(ScalarType.Float64)), kept = w.clone();
        DecoderRows.Project(g, w);
        Assert.True(g.to(ScalarType.Float64).allclose(expected, 1e-5, type == ScalarType.Float64 ? 1e-13 : 1e-5, equal_nan: true));
        Assert.True(w.equal(kept).all().item<bool>());
    }

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private static void Near(double[] expected, Tensor actual) => Assert.All(expected.Zip(Numbers(actual)), p => Assert.Equal(p.First, p.Second, 1e-4 * (1 + Math.Abs(p.First))));

    private static double[] Numbers(Tensor x) => x.detach().to(ScalarType.Float64).contiguous().data<double>().ToArray();
}
