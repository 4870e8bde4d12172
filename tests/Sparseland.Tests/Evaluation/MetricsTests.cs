using Sparseland.Evaluation;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Evaluation;

public class MetricsTests
{
    [Fact]
    public void A_dictionary_matches_itself_whatever_order_sign_and_length()
    {
        using Generator generator = new(3);
        using Tensor atoms = randn([12, 7], dtype: ScalarType.Float64, generator: generator);
        int[] order = [5, 2, 11, 0, 7, 9, 1, 10, 3, 6, 4, 8];
        using Tensor index = tensor(order.Select(i => (long)i).ToArray());
        using Tensor scale = tensor(Enumerable.Range(1, 12).Select(i => (i % 2 == 0 ? -1e-200 : 1e200) * i).ToArray(), [12, 1]);
        using Tensor shuffled = atoms.index_select(0, index) * scale;
        DictionaryMatch match = DictionaryMatch.Of(atoms, shuffled);
        Assert.Equal(Enumerable.Range(0, 12).Select(i => Array.IndexOf(order, i)), match.Assignment);
        Assert.Equal(0, match.Distance, 12);
        Assert.Equal(1, match.Recovered());
        for (int i = 0; i < 12; i++)
            Assert.Equal(match.Assignment[i] % 2 == 0 ? 1 : -1, match.Cosine[i], 12);
    }

    [Fact]
    public void Matching_is_one_to_one_where_the_nearest_atom_is_not()
    {
        // Both reference atoms are nearest to the first learned one; together the crossed pairs are better.
        using Tensor reference = tensor(new double[] { 1, 0, 0.8, 0.6 }, [2, 2]);
        using Tensor learned = tensor(new double[] { 0.8, 0.6, 0.8, -0.6, 0, 1 }, [3, 2]);
        DictionaryMatch match = DictionaryMatch.Of(reference, learned);
        Assert.Equal([1, 0], match.Assignment);
        Assert.Equal(0.1, match.Distance, 12);
        Assert.Equal(0.5, match.Recovered());
        Assert.Equal(1, match.Recovered(0.75));

        using Tensor single = learned.narrow(0, 0, 1);
        DictionaryMatch fewer = DictionaryMatch.Of(reference, single);
        Assert.Equal([-1, 0], fewer.Assignment);
        Assert.Equal([0, 1], fewer.Cosine.Select(c => Math.Round(c, 12)));
        Assert.Equal(0.5, fewer.Distance, 12);
    }

    [Fact]
    public void Bad_dictionaries_are_refused()
    {
        using Tensor good = ones(2, 3), wide = ones(2, 4), flat = ones(3), whole = ones(2, 3, dtype: ScalarType.Int64);
        using Tensor zero = ones(2, 3);
        zero[1].zero_();
        using Tensor broken = ones(2, 3);
        broken[0, 1] = float.NaN;
        Assert.Throws<ArgumentException>(() => DictionaryMatch.Of(good, wide));
        Assert.Throws<ArgumentException>(() => DictionaryMatch.Of(flat, good));
        Assert.Throws<ArgumentException>(() => DictionaryMatch.Of(whole, good));
        Assert.Contains("Atom 1", Assert.Throws<ArgumentException>(() => DictionaryMatch.Of(good, zero)).Message);
        Assert.Contains("Atom 0", Assert.Throws<ArgumentException>(() => DictionaryMatch.Of(broken, good)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => DictionaryMatch.Of(good, good).Recovered(double.NaN));
    }

    [Fact]
    public void Reconstruction_errors_by_hand()
    {
        // numpy 1.24.2: ((Y - X)**2).sum() / (X**2).sum(), the same over ((X - X.mean(0))**2).sum().
        using Tensor X = tensor(new double[] { 1, 2, 3, 4, 5.5, 6, 7, 8, 10 }, [3, 3]);
        using Tensor Y = X + tensor(new double[] { .1, -.2, .3, 0, .5, -.1, .2, .2, .2 }, [3, 3]);
        Assert.Equal(0.001681487469684719, ReconstructionError.Nmse(X, Y), 14);
        Assert.Equal(10 * Math.Log10(0.001681487469684719), ReconstructionError.NmseDecibel(X, Y), 10);
        Assert.Equal(0.008547945205479442, ReconstructionError.FractionOfVarianceUnexplained(X, Y), 14);
        Assert.Equal(1 - 0.008547945205479442, ReconstructionError.ExplainedVariance(X, Y), 14);

        using Tensor mean = X.mean([0], keepdim: true).expand(3, 3), nothing = zeros_like(X);
        Assert.Equal(1, ReconstructionError.FractionOfVarianceUnexplained(X, mean), 14);
        Assert.Equal(1, ReconstructionError.Nmse(X, nothing));
        Assert.Equal(0, ReconstructionError.Nmse(X, X));
        Assert.Equal(double.NegativeInfinity, ReconstructionError.NmseDecibel(X, X));
        using Tensor diverged = X / 0;
        Assert.False(double.IsFinite(ReconstructionError.Nmse(X, diverged)));

        Assert.Throws<ArgumentException>(() => ReconstructionError.Nmse(nothing, X));
        Assert.Throws<ArgumentException>(() => ReconstructionError.FractionOfVarianceUnexplained(mean.contiguous(), X));
        using Tensor turned = X.reshape(1, 9), line = X.reshape(9);
        Assert.Throws<ArgumentException>(() => ReconstructionError.Nmse(X, turned));
        Assert.Throws<ArgumentException>(() => ReconstructionError.ExplainedVariance(line, line));
        Assert.Throws<ArgumentException>(() => ReconstructionError.Nmse(diverged, X));
    }

    [Fact]
    public void Support_recovery_is_that_of_scikit_learn()
    {
        // scikit-learn 1.2.1, precision_recall_fscore_support(..., average="binary"): 0.6, 0.75, 0.6666666666666665.
        using Tensor truth = tensor(new double[] { 2, -1, 0, 0, 1e-3, 0, 5, 0 });
        using Tensor estimate = tensor(new double[] { 1, 0, -3, 0, 1, 0, 1, 1 });
        SupportRecovery found = SupportRecovery.Of(truth, estimate);
        Assert.Equal(new SupportRecovery(3, 2, 1), found);
        Assert.Equal((0.6, 0.75, false), (found.Precision, found.Recall, found.Exact));
        Assert.Equal(2.0 / 3, found.F1, 14);
        // Above 0.5 the truth loses its 1e-3, which becomes a false positive.
        Assert.Equal(new SupportRecovery(2, 3, 1), SupportRecovery.Of(truth, estimate, 0.5));

        var planted = new Support(2, 4, [0, 2, 4], [0, 1, 0, 2]);
        var guessed = new Support(2, 4, [0, 2, 5], [0, 2, 0, 2, 3]);
        Assert.Equal(found, SupportRecovery.Of(planted, guessed));
        Assert.True(SupportRecovery.Of(planted, planted).Exact);
        Assert.Throws<ArgumentException>(() => SupportRecovery.Of(planted, new Support(1, 4, [0, 0], [])));
    }

    [Fact]
    public void Support_recovery_of_nothing_and_bad_input()
    {
        using Tensor none = zeros(4), some = tensor(new float[] { 0, 1, 0, 0 }), nan = tensor(new float[] { 0, float.NaN, 0, 0 }), five = zeros(5);
        SupportRecovery empty = SupportRecovery.Of(none, none);
        Assert.Equal((1, 1, 1, true), (empty.Precision, empty.Recall, empty.F1, empty.Exact));
        SupportRecovery missed = SupportRecovery.Of(some, none);
        Assert.Equal((1, 0, 0, false), (missed.Precision, missed.Recall, missed.F1, missed.Exact));
        Assert.Throws<ArgumentException>(() => SupportRecovery.Of(some, nan));
        Assert.Throws<ArgumentException>(() => SupportRecovery.Of(some, five));
        Assert.Throws<ArgumentOutOfRangeException>(() => SupportRecovery.Of(some, some, -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => SupportRecovery.Of(some, some, double.NaN));
    }

    [Fact]
    public void Rescaled_Gini_goes_from_zero_to_one()
    {
        foreach (int n in new[] { 2, 3, 6, 50 })
        {
            double[] one = new double[n], even = new double[n];
            one[n / 2] = -0.3;
            Array.Fill(even, 7.0);
            Assert.Equal(1, SparsityMeasures.RescaledGini(one), 14);
            Assert.Equal(0, SparsityMeasures.RescaledGini(even), 14);
        }

        Assert.Equal(0.7333, SparsityMeasures.RescaledGini([0.7, 0.2, 0.1, 0]), 4);
        Assert.Equal(11.0 / 15, SparsityMeasures.RescaledGini([0.1, 0.7, 0, 0.2]), 14);
        Assert.Throws<ArgumentException>(() => SparsityMeasures.RescaledGini([1]));
        Assert.Throws<ArgumentException>(() => SparsityMeasures.RescaledGini([0, 0]));
        Assert.Throws<ArgumentException>(() => SparsityMeasures.RescaledGini([1, double.NaN]));
    }

    [Fact]
    public void Spearman_sees_order_only()
    {
        double[] x = [3, 1, 2, 5, 4], y = [.. x.Select(Math.Exp)];
        Assert.Equal(1, RankCorrelation.Spearman(x, y), 14);
        Assert.Equal(-1, RankCorrelation.Spearman(x, [.. x.Select(v => -v)]), 14);

        // scipy.stats.spearmanr, with ties.
        Assert.Equal(0.6702887344438079, RankCorrelation.Spearman([1, 2, 2, 3, 5, 5, 5], [2, 1, 4, 4, 3, 6, 7]), 14);
        Assert.Equal(double.NaN, RankCorrelation.Spearman([1, 1, 1], [1, 2, 3]));
        Assert.Throws<ArgumentException>(() => RankCorrelation.Spearman([1], [1]));
        Assert.Throws<ArgumentException>(() => RankCorrelation.Spearman([1, 2], [1, 2, 3]));
        Assert.Contains("y[1]", Assert.Throws<ArgumentException>(() => RankCorrelation.Spearman([1, 2], [1, double.NaN])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Gini_and_Hoyer()
    {
        // numpy: the mean absolute difference form of Gini, sum |a_i - a_j| / (2 n^2 mean), and Hoyer's formula.
        double[] values = [3, -1, 0, 0.5, 2];
        Assert.Equal(0.46153846153846156, SparsityMeasures.Gini(values), 14);
        Assert.Equal(0.4159770519702831, SparsityMeasures.Hoyer(values), 14);
        foreach (double scale in new[] { 1e-300, -7, 1e300 })
        {
            double[] scaled = [.. values.Reverse().Select(v => v * scale)];
            Assert.Equal(0.46153846153846156, SparsityMeasures.Gini(scaled), 12);
            Assert.Equal(0.4159770519702831, SparsityMeasures.Hoyer(scaled), 12);
        }
        Assert.Equal(0, SparsityMeasures.Gini([2, -2, 2, 2]), 14);
        Assert.Equal(0, SparsityMeasures.Hoyer([2, -2, 2, 2]), 14);
        Assert.Equal(0.75, SparsityMeasures.Gini([0, 0, 5, 0]), 14);
        Assert.Equal(1, SparsityMeasures.Hoyer([0, 0, 5, 0]), 14);

        Assert.Throws<ArgumentException>(() => SparsityMeasures.Gini([]));
        Assert.Throws<ArgumentException>(() => SparsityMeasures.Gini([0, 0]));
        Assert.Throws<ArgumentException>(() => SparsityMeasures.Hoyer([1]));
        Assert.Throws<ArgumentException>(() => SparsityMeasures.Hoyer([1, double.NaN]));
        Assert.Throws<ArgumentException>(() => SparsityMeasures.Gini([1, double.PositiveInfinity]));
    }

    [Fact]
    public void Paired_bootstrap_agrees_with_scipy()
    {
        // scipy.stats.bootstrap((d,), np.mean, n_resamples=200000, method="percentile", random_state=0): 0.065 to 0.26;
        // p by the same resampling of the centred differences in numpy: 0.000585.
        double[] differences = [0.3, -0.1, 0.25, 0.4, 0.05, 0.2, -0.05, 0.35, 0.15, 0.1];
        double[] second = [.. Enumerable.Range(0, 10).Select(i => 10.0 * i)];
        double[] first = [.. second.Zip(differences, (s, d) => s + d)];
        PairedBootstrap result = PairedBootstrap.Compare(first, second, seed: 1, resamples: 50_000);
        Assert.Equal(0.165, result.Difference, 10);
        Assert.InRange(result.Low, 0.06, 0.07);
        Assert.InRange(result.High, 0.255, 0.265);
        Assert.InRange(result.PValue, 0.0002, 0.0012);
        Assert.Equal(result, PairedBootstrap.Compare(first, second, seed: 1, resamples: 50_000));

        PairedBootstrap same = PairedBootstrap.Compare(first, first, seed: 1, resamples: 200);
        Assert.Equal((0, 0, 0, 1), (same.Difference, same.Low, same.High, same.PValue));

        Assert.Throws<ArgumentException>(() => PairedBootstrap.Compare(first, [1], 1));
        Assert.Throws<ArgumentException>(() => PairedBootstrap.Compare([1], [1], 1));
        Assert.Throws<ArgumentException>(() => PairedBootstrap.Compare([1, double.NaN], [1, 2], 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => PairedBootstrap.Compare(first, second, 1, resamples: 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => PairedBootstrap.Compare(first, second, 1, confidence: 1));
    }
}
