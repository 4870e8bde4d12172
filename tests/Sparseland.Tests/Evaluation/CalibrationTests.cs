using Sparseland.Evaluation;
using Sparseland.Models;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Evaluation;

public class CalibrationTests
{
    [Fact]
    public void Figures_are_those_of_pytorch()
    {
        using var scope = NewDisposeScope();

        // PyTorch 1.13: logits 3 sin(1.3 i) of 20 x 3, labels i mod 3; bins (lo, hi] over linspace(0, 1, 16), F.cross_entropy.
        Tensor logits = ((arange(60, dtype: ScalarType.Float64) * 1.3).sin() * 3).view(20, 3), labels = arange(20, dtype: ScalarType.Int64) % 3;
        Calibration figures = Calibration.Of(logits, labels);
        Assert.Equal(0.466140633122196, figures.Ece, 12);
        Assert.Equal(2.13836505384413, figures.Nll, 12);
        Assert.Equal(0.35, figures.Accuracy, 12);
        Assert.Equal((15, 20), (figures.Bins.Count, figures.Bins.Sum(bin => bin.Count)));
        Assert.Equal(figures.Ece, figures.Bins.Where(bin => bin.Count > 0).Sum(bin => bin.Count / 20.0 * Math.Abs(bin.Accuracy - bin.Confidence)), 12);
    }

    [Fact]
    public void Honest_probabilities_have_no_calibration_error_and_sure_wrong_ones_have_the_largest()
    {
        using var scope = NewDisposeScope();
        Tensor half = zeros(10, 2), labels = tensor(new long[] { 0, 1, 0, 1, 0, 1, 0, 1, 0, 1 });
        Assert.Equal(0, Calibration.Of(half, labels).Ece, 12);
        Assert.Equal(Math.Log(2), Calibration.Of(half, labels).Nll, 12);
        Tensor wrong = stack([labels, 1 - labels], 1).to(ScalarType.Float32) * 1000;
        Assert.Equal((1, 0), (Calibration.Of(wrong, labels).Ece, Calibration.Of(wrong, labels).Accuracy));
        Assert.Equal(1000, Calibration.Of(wrong, labels).Nll, 6);
    }

    [Fact]
    public void The_brier_score_is_that_of_plain_loops()
    {
        using var scope = NewDisposeScope();
        Tensor logits = ((arange(60, dtype: ScalarType.Float64) * 1.3).sin() * 3).view(20, 3), labels = arange(20, dtype: ScalarType.Int64) % 3;
        double[] values = logits.data<double>().ToArray();
        double sum = 0;
        for (int i = 0; i < 20; i++)
        {
            double[] e = [.. Enumerable.Range(0, 3).Select(c => Math.Exp(values[(3 * i) + c]))];
            for (int c = 0; c < 3; c++) sum += Math.Pow((e[c] / e.Sum()) - (c == i % 3 ? 1 : 0), 2);
        }

        Assert.Equal(sum / 20, Calibration.Of(logits, labels).Brier, 12);
        Assert.Equal(sum / 20, Calibration.Of(logits + 7, labels, 3).Brier, 12);

        // The ends of its range, and a coin: 2 (1/2)^2.
        Tensor two = tensor(new long[] { 0, 1, 1 }), right = stack([1 - two, two], 1).to(ScalarType.Float32) * 1000;
        Assert.Equal(0, Calibration.Of(right, two).Brier, 12);
        Assert.Equal(2, Calibration.Of(-right, two).Brier, 12);
        Assert.Equal(0.5, Calibration.Of(zeros(3, 2), two).Brier, 12);
        Assert.Equal(Calibration.Of(logits, labels).Brier, Calibration.Of(logits.to(ScalarType.Float32), labels).Brier, 1e-6);
    }

    [Fact]
    public void The_area_under_the_curve_counts_pairs_and_halves_ties()
    {
        Assert.Equal(1, OodAuroc.OfScores([3, 4], [1, 2]));
        Assert.Equal(0, OodAuroc.OfScores([1, 2], [3, 4]));
        Assert.Equal(0.5, OodAuroc.OfScores([1, 1], [1, 1]));
        double[] inside = [0.9, 0.5, 0.5, 0.3], outside = [0.5, 0.2, 0.6];
        double pairs = inside.Sum(a => outside.Sum(b => a > b ? 1 : a == b ? 0.5 : 0));
        Assert.Equal(pairs / 12, OodAuroc.OfScores(inside, outside), 12);
        Assert.Throws<ArgumentException>(() => OodAuroc.OfScores([], [1]));
        Assert.Throws<ArgumentException>(() => OodAuroc.OfScores([double.NaN], [1]));
        using var scope = NewDisposeScope();
        Assert.Equal(1, OodAuroc.Of(tensor(new[,] { { 5f, 0 } }), tensor(new[,] { { 0.1f, 0 } })));
    }

    [Fact]
    public void The_attack_moves_every_value_up_the_loss_and_stays_in_range()
    {
        using var scope = NewDisposeScope();
        using Sequential network = SmallClassifiers.Mlp([6, 12, 3], 1);
        Tensor X = rand(40, 6, generator: new Generator(3)), labels = arange(40, dtype: ScalarType.Int64) % 3;
        Tensor attacked = Fgsm.Attack(network, X, labels, 0.05, batch: 7);
        double Loss(Tensor samples) => nn.functional.cross_entropy(network.call(samples), labels).item<float>();
        Assert.True(Loss(attacked) > Loss(X));
        Assert.InRange((attacked - X).abs().max().item<float>(), 0.0499f, 0.0501f);
        Assert.InRange(attacked.min().item<float>(), 0, 1);
        Assert.InRange(attacked.max().item<float>(), 0, 1);
        Assert.Equal(0, (Fgsm.Attack(network, X, labels, 0) - X).abs().max().item<float>());
        Assert.All(network.parameters(), p => Assert.Null(p.grad));
        Assert.Throws<ArgumentOutOfRangeException>("epsilon", () => Fgsm.Attack(network, X, labels, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>("low", () => Fgsm.Attack(network, X, labels, 0.1, 1, 1));
        Assert.Equal(0, (Logits.Of(network, X, 9) - network.call(X)).abs().max().item<float>(), 1e-6);
    }

    [Fact]
    public void Paired_interval_and_equivalence_are_those_of_scipy()
    {
        // scipy.stats.t: interval of 90 %, and the larger of the two one-sided p-values for a margin of 0.015.
        double[] a = [0.91, 0.88, 0.9, 0.87, 0.93], b = [0.9, 0.885, 0.89, 0.875, 0.915];
        EquivalenceTest test = EquivalenceTest.Compare(a, b, 0.015);
        Assert.Equal(0.005, test.Interval.Difference, 12);
        Assert.Equal(0.004183300132670381, test.Interval.StandardError, 12);
        Assert.Equal(-0.003918154923197021, test.Interval.Low, 10);
        Assert.Equal(0.01391815492319703, test.Interval.High, 10);
        Assert.Equal(0.03756522731261498, test.PValue, 10);
        Assert.True(test.Equivalent);
        Assert.False(EquivalenceTest.Compare(a, b, 0.013).Equivalent);
        Assert.True(EquivalenceTest.Compare([1, 2, 3], [1, 2, 3], 0.1).Equivalent);
        Assert.False(EquivalenceTest.Compare([1, 2, 3], [0, 1, 2], 0.5).Equivalent);
    }

    [Fact]
    public void The_interval_covers_as_often_as_it_says()
    {
        using var generator = new Generator(5);
        using Tensor draws = randn([2000, 4], dtype: ScalarType.Float64, generator: generator);
        double[] values = draws.data<double>().ToArray();
        int covered = Enumerable.Range(0, 2000).Count(i =>
        {
            PairedInterval interval = PairedInterval.Of(values[(4 * i)..((4 * i) + 4)], new double[4], 0.9);
            return interval.Low <= 0 && interval.High >= 0;
        });
        Assert.InRange(covered, 1746, 1854);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using var scope = NewDisposeScope();
        Tensor labels = zeros(3, dtype: ScalarType.Int64);
        Assert.Throws<ArgumentException>("logits", () => Calibration.Of(zeros(3), labels));
        Assert.Throws<ArgumentException>("logits", () => Calibration.Of(zeros(3, 2) * double.NaN, labels));
        Assert.Throws<ArgumentException>("labels", () => Calibration.Of(zeros(3, 2), labels + 2));
        Assert.Throws<ArgumentException>("labels", () => Calibration.Of(zeros(3, 2), labels - 1));
        Assert.ThrowsAny<ArgumentException>(() => Calibration.Of(zeros(4, 2), labels));
        Assert.Throws<ArgumentException>("logits", () => Calibration.Of(zeros(3, 1), labels));
        Assert.Throws<ArgumentOutOfRangeException>("bins", () => Calibration.Of(zeros(3, 2), labels, 0));
        Assert.Throws<ArgumentOutOfRangeException>("margin", () => EquivalenceTest.Compare([1, 2], [1, 2], 0));
        Assert.Throws<ArgumentOutOfRangeException>("alpha", () => EquivalenceTest.Compare([1, 2], [1, 2], 1, 0.5));
        Assert.Throws<ArgumentOutOfRangeException>("confidence", () => PairedInterval.Of([1, 2], [1, 2], 1));
        Assert.Throws<ArgumentException>(() => PairedInterval.Of([1], [1]));
    }
}
