using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders.Metrics;

public class SparseProbeTests
{
    [Fact]
    public void A_planted_concept_is_read_from_its_latent()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(latents: 40, k: 4, type: ScalarType.Float64);

        // The concept adds a latent's direction, which no single coordinate shows.
        (Tensor train, bool[] learned) = Planted(autoencoder, 1_500, seed: 1);
        (Tensor test, bool[] judged) = Planted(autoencoder, 800, seed: 2);
        SparseProbe found = SparseProbe.Of(autoencoder, train, learned, test, judged);
        Assert.Equal([1, 2, 5], found.Counts);
        Assert.Equal((1_500, 800, judged.Count(y => y)), (found.TrainTokens, found.TestTokens, found.TestPositives));
        Assert.Equal([11], found.Latents[0].Columns);
        Assert.Equal([1, 2, 5], found.Latents.Select(s => s.Columns.Length));
        Assert.InRange(found.Latents[0].BalancedAccuracy, 0.95, 1);
        Assert.InRange(found.Full.BalancedAccuracy, 0.97, 1);
        Assert.True(found.Coordinates[0].BalancedAccuracy < found.Latents[0].BalancedAccuracy - 0.05);
        Assert.Contains("Full = ", found.ToString(), StringComparison.Ordinal);

        // The columns are those of largest difference of class means, computed densely.
        using SparseCode code = autoencoder.Encode(train);
        Assert.Equal(Best(code.ToDense(), learned), found.Latents[2].Columns);
        Assert.Equal(Best(train, learned), found.Coordinates[2].Columns);
    }

    [Fact]
    public void The_test_part_enters_neither_choice_nor_fit_and_chance_is_a_half()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(type: ScalarType.Float64);
        var random = new Random(4);
        Tensor train = MetricsBed.Gaussian(400, 16), test = MetricsBed.Gaussian(3_000, 16, seed: 8);
        bool[] learned = [.. Enumerable.Range(0, 400).Select(_ => random.Next(10) == 0)], judged = [.. Enumerable.Range(0, 3_000).Select(_ => random.Next(10) == 0)];
        SparseProbe chance = SparseProbe.Of(autoencoder, train, learned, test, judged);
        SparseProbe turned = SparseProbe.Of(autoencoder, train, learned, test, [.. judged.Select(y => !y)]);
        foreach ((ProbeScore a, ProbeScore b) in chance.Latents.Append(chance.Full).Zip(turned.Latents.Append(turned.Full)))
        {
            Assert.InRange(Math.Abs(a.BalancedAccuracy - 0.5), 0, 4 * a.StandardError);
            Assert.Equal(a.Columns, b.Columns);
            Assert.Equal(1, a.BalancedAccuracy + b.BalancedAccuracy, 1e-12);
        }
    }

    [Fact]
    public void The_regression_is_at_its_optimum()
    {
        using var scope = NewDisposeScope();
        Tensor x = (MetricsBed.Gaussian(300, 4) * tensor(new[] { 1.0, 1e3, 1e-3, 1 })) + 5;
        bool[] labels = [.. (x.select(1, 0) + (2 * MetricsBed.Gaussian(300, 1, seed: 9).squeeze(1))).gt(5.5).data<bool>()];
        AtOptimum(x, labels);

        // Separable classes, and a constant column.
        x[TensorIndex.Colon, 3] = 2;
        AtOptimum(x, [.. x.select(1, 0).gt(5).data<bool>()]);
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(type: ScalarType.Float64);
        Tensor x = MetricsBed.Gaussian(6, 16);
        bool[] labels = [true, false, true, false, false, true];
        Assert.Throws<ArgumentException>("train", () => SparseProbe.Of(autoencoder, zeros(6, 15), labels, x, labels));
        Assert.Throws<ArgumentException>("test", () => SparseProbe.Of(autoencoder, x, labels, zeros(0, 16), labels));
        Assert.Throws<ArgumentException>("test", () => SparseProbe.Of(autoencoder, x, labels, x * double.NaN, labels));
        Assert.Throws<ArgumentException>("trainLabels", () => SparseProbe.Of(autoencoder, x, labels[1..], x, labels));
        Assert.Contains("both classes", Assert.Throws<ArgumentException>("testLabels", () => SparseProbe.Of(autoencoder, x, labels, x, new bool[6])).Message, StringComparison.Ordinal);
        foreach (int[] counts in (int[][])[[], [0], [2, 17]]) Assert.Throws<ArgumentException>("counts", () => SparseProbe.Of(autoencoder, x, labels, x, labels, counts));
        Assert.Throws<OperationCanceledException>(() => SparseProbe.Of(autoencoder, x, labels, x, labels, cancel: new CancellationToken(true)));
    }

    private static (Tensor X, bool[] Labels) Planted(SparseAutoencoder autoencoder, int tokens, int seed)
    {
        var random = new Random(seed);
        bool[] labels = [.. Enumerable.Range(0, tokens).Select(_ => random.Next(4) == 0)];
        Tensor x = 0.6 * MetricsBed.Gaussian(tokens, 16, seed: 20 + seed);
        return ((x + (3 * tensor(labels).to(ScalarType.Float64).unsqueeze(1) * autoencoder.Decoder[11])).detach(), labels);
    }

    private static int[] Best(Tensor matrix, bool[] labels)
    {
        Tensor has = tensor(labels);
        double[] gap = (matrix[has].mean([0L]) - matrix[has.logical_not()].mean([0L])).abs().data<double>().ToArray();
        return [.. Enumerable.Range(0, gap.Length).OrderByDescending(i => gap[i]).Take(5)];
    }

    private static void AtOptimum(Tensor x, bool[] labels)
    {
        BalancedLogistic fit = BalancedLogistic.Fit(x, labels, default);
        double n = labels.Length, positives = labels.Count(y => y);
        Tensor y = tensor([.. labels.Select(l => l ? 1.0 : -1.0)]), weight = tensor([.. labels.Select(l => n / 2 / (l ? positives : n - positives))]);
        Tensor deviation = x.std(0, unbiased: false);
        Tensor columns = (x - x.mean([0L])) / where(deviation.gt(0), deviation, ones_like(deviation));
        Tensor w = fit.Weights.detach().clone().requires_grad_();
        Tensor loss = (weight * (1 + (-y * (columns.mv(w.narrow(0, 0, 4)) + w[4])).exp()).log()).sum() + (w.narrow(0, 0, 4).square().sum() / 2);
        loss.backward();
        Assert.InRange(w.grad!.abs().max().item<double>(), 0, 1e-4);
        Assert.True(w.abs().max().item<double>() > 0.1);
    }
}
