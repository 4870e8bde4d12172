using FsCheck;
using FsCheck.Fluent;
using Sparseland.LowRank;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

public class DecompositionTests
{
    // 6 x 4, rounded to thousandths; what follows recorded from numpy 1.24 (linalg.svd and linalg.eigh in float64).
    private static readonly double[] s_W =
        [1.691, -0.466, 0.033, 0.408, -0.789, 0.002, -0.001, -1.755, 1.018, 0.6, -0.625, -0.172, 0.505, -0.261, -0.243, -1.453, 0.555, 0.124, 0.274, -1.527, 1.651, 0.154, -0.387, 2.029];

    private static readonly double[] s_singular = [3.758070424297776, 2.3913983229035884, 0.9686808212794903, 0.4720055229735363];

    private static readonly double[] s_rankTwo =
    [
        1.6457963631921728, 0.0063937805898153085, -0.2608151256744954, 0.3946834286151659, -0.7664921300277321, -0.032927936156000315, 0.144399210323872, -1.7522072191271438,
        1.0886401098257716, -0.003692509238233977, -0.16645552712461348, -0.1537677272475797, 0.5333075763889873, -0.02815125992356863, -0.06137564476408763, -1.454791083533757,
        0.5037976349753109, -0.02954573465758092, -0.0557192340800023, -1.5288884998392642, 1.6662708753204412, 0.03765871549547893, -0.28793601317977513, 2.0326700191820315,
    ];

    private static readonly double[] s_gram =
        [16.05974, 38.56597, 40.183442, 40.432591, 38.56597, 99.248947, 87.631938, 91.813144, 40.183442, 87.631938, 175.77513, 116.77353, 40.432591, 91.813144, 116.77353, 107.991613];

    // P P^T W with P the two leading eigenvectors of W (C + 1e-6 mean diagonal) W^T: another way to the same matrix.
    private static readonly double[] s_aware =
    [
        0.10229853970808608, -0.04570287441410037, 0.05496612569538628, 0.6213124297380285, -0.6237450007592561, 0.003133425296071716, 0.02061561778493104, -1.841385784367811,
        1.1477316896445187, 0.48400378478965717, -0.6703161339319891, -0.07251680746667266, -0.26572708884634094, 0.11645604953899434, -0.1398598339305131, -1.5979288882305502,
        -0.37753078339626717, -0.040804083178488056, 0.0676122379623337, -0.8127963532070717, 1.3167125353447688, 0.25191461489758865, -0.37732765606665586, 2.0603189597232716,
    ];

    [Fact]
    public void The_truncation_is_that_of_NumPy()
    {
        using var scope = NewDisposeScope();
        using FactorPair pair = TruncatedSvd.Of(tensor(s_W, [6, 4]), 2);
        for (int i = 0; i < 4; i++) Assert.Equal(s_singular[i], pair.SingularValues[i], 1e-12);
        Assert.True(LowRankData.Distance(pair.Product(), tensor(s_rankTwo, [6, 4])) < 1e-13);
        Assert.Equal(20, pair.ParameterCount);
        Assert.True(pair.Saves);
    }

    [Fact]
    public void The_error_is_the_energy_of_what_was_dropped() =>
        Prop.ForAll<byte, byte, int>((rows, columns, seed) =>
        {
            using var scope = NewDisposeScope();
            (long m, long n) = (1 + (rows % 20), 1 + (columns % 20));
            int r = 1 + (int)((uint)seed % Math.Min(m, n));
            Tensor W = LowRankData.Gaussian(m, n, (ulong)(uint)seed);
            using FactorPair pair = TruncatedSvd.Of(W, r);
            double error = (W - pair.Product()).square().sum().item<double>(), dropped = pair.SingularValues.Skip(r).Sum(s => s * s);
            Assert.Equal(dropped, error, 1e-9 * (1 + W.square().sum().item<double>()));
            Assert.Equal(dropped, pair.SquaredError, 1e-12);

            // Balanced: both factors have the same norm, the best split there is for decay.
            Assert.Equal(pair.A.norm().item<double>(), pair.B.norm().item<double>(), 1e-9);
            return true;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void The_randomised_decomposition_is_within_a_hundredth_of_the_best_error()
    {
        using var scope = NewDisposeScope();
        Tensor W = LowRankData.Gaussian(300, 80, 3).mm(diag(pow(tensor(0.93), arange(80, dtype: ScalarType.Float64)))).mm(LowRankData.Gaussian(80, 200, 4));
        using FactorPair best = TruncatedSvd.Of(W, 20), random = RandomizedSvd.Of(W, 20, 5), again = RandomizedSvd.Of(W, 20, 5);
        double error = (W - random.Product()).square().sum().item<double>();
        Assert.InRange(error, best.SquaredError, 1.01 * best.SquaredError);
        Assert.Equal(error, random.SquaredError, 1e-9 * W.square().sum().item<double>());
        Assert.True(random.B.equal(again.B).all().item<bool>());

        // Without iterations the subspace is worse; with all columns the error is exact.
        using FactorPair crude = RandomizedSvd.Of(W, 20, 5, 0, 0), all = RandomizedSvd.Of(W, 80, 5);
        Assert.True(crude.SquaredError > 1.01 * best.SquaredError);
        Assert.True(all.SquaredError < 1e-12 * W.square().sum().item<double>());
    }

    [Fact]
    public void The_activation_aware_copy_is_the_projection_of_the_outputs()
    {
        using var scope = NewDisposeScope();
        Tensor W = tensor(s_W, [6, 4]), C = tensor(s_gram, [4, 4]);
        using FactorPair pair = ActivationAwareSvd.Of(W, C, 2), plain = TruncatedSvd.Of(W, 2);
        Assert.True(LowRankData.Distance(pair.Product(), tensor(s_aware, [6, 4])) < 1e-9);
        Assert.Equal(4.716466193672236, pair.SquaredError, 1e-9);
        Tensor damped = C + (eye(4, dtype: ScalarType.Float64) * (1e-6 * C.diagonal().mean()));
        double Error(FactorPair of)
        {
            Tensor rest = W - of.Product();
            return rest.mm(damped).mm(rest.t()).trace().item<double>();
        }

        Assert.Equal(pair.SquaredError, Error(pair), 1e-9);
        Assert.True(Error(plain) > 1.5 * Error(pair));
        Assert.Equal(pair.A.norm().item<double>(), pair.B.norm().item<double>(), 1e-9);
    }

    [Fact]
    public void With_equal_inputs_the_activation_aware_copies_are_the_plain_one()
    {
        using var scope = NewDisposeScope();
        Tensor W = LowRankData.Gaussian(7, 9, 6), C = eye(9, dtype: ScalarType.Float64) * 5;
        using FactorPair plain = TruncatedSvd.Of(W, 3), aware = ActivationAwareSvd.Of(W, C, 3), diagonal = ActivationAwareSvd.Diagonal(W, C, 3);
        Assert.True(LowRankData.Distance(aware.Product(), plain.Product()) < 1e-10);
        Assert.True(LowRankData.Distance(diagonal.Product(), plain.Product()) < 1e-10);
    }

    [Fact]
    public void Extreme_scales_and_half_precision_are_computed_in_float64()
    {
        using var scope = NewDisposeScope();
        Tensor W = LowRankData.Gaussian(5, 6, 8);
        foreach (double scale in new[] { 1e-200, 1e200 })
        {
            using FactorPair pair = TruncatedSvd.Of(W * scale, 5);
            Assert.True(LowRankData.Distance(pair.Product() / scale, W) < 1e-12);
        }

        using FactorPair half = TruncatedSvd.Of(W.to(ScalarType.BFloat16), 5);
        Assert.Equal(ScalarType.BFloat16, half.B.dtype);
        using FactorPair zero = TruncatedSvd.Of(zeros([3, 4], dtype: ScalarType.Float64), 2), view = TruncatedSvd.Of(W.t(), 2), other = TruncatedSvd.Of(W.t().contiguous(), 2);
        Assert.Equal(0, zero.SquaredError);
        Assert.True(LowRankData.Distance(view.Product(), other.Product()) < 1e-14);
    }

    [Fact]
    public void What_has_no_decomposition_is_refused_by_name()
    {
        using var scope = NewDisposeScope();
        Tensor W = LowRankData.Gaussian(4, 3, 1), broken = W.clone();
        broken[1, 2] = double.NaN;
        Assert.Contains("block 2", Assert.Throws<ArgumentException>(() => TruncatedSvd.Of(broken, 1, "block 2")).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => TruncatedSvd.Of(W, 0));
        Assert.Contains("from 1 to 3", Assert.Throws<ArgumentOutOfRangeException>(() => TruncatedSvd.Of(W, 4)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => TruncatedSvd.Of(W.view(-1), 1));
        Assert.Throws<ArgumentException>(() => TruncatedSvd.Of(W.to(ScalarType.Int32), 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => RandomizedSvd.Of(W, 2, 1, -1));
        Assert.Contains("3 inputs", Assert.Throws<ArgumentException>(() => ActivationAwareSvd.Of(W, eye(4, dtype: ScalarType.Float64), 1)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => ActivationAwareSvd.Of(W, eye(3, dtype: ScalarType.Float64) * double.NaN, 1));
        Assert.Contains("positive definite", Assert.Throws<ArgumentException>(() => ActivationAwareSvd.Of(W, LowRankData.Diagonal(5, 5, -1), 1)).Message, StringComparison.Ordinal);
        Tensor lopsided = eye(3, dtype: ScalarType.Float64);
        lopsided[0, 1] = 0.5;
        Assert.Contains("not symmetric", Assert.Throws<ArgumentException>(() => ActivationAwareSvd.Of(W, lopsided, 1)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => ActivationAwareSvd.Of(W, zeros([3, 3], dtype: ScalarType.Float64), 1));
    }
}
