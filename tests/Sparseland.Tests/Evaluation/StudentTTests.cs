using Sparseland.Evaluation;

namespace Sparseland.Tests.Evaluation;

public class StudentTTests
{
    // scipy 1.10: scipy.stats.t.cdf, scipy.special.betainc, scipy.special.gammaln, scipy.stats.t.ppf, printed with repr.
    [Theory]
    [InlineData(0.5, 1, 0.6475836176504333)]
    [InlineData(-2.0, 3, 0.06966298427942155)]
    [InlineData(1e-5, 7, 0.5000038499145083)]
    [InlineData(3.3, 57, 0.9991645650130692)]
    [InlineData(-8, 57, 3.43627401624187e-11)]
    [InlineData(1.2, 1961, 0.8848578541602642)]
    [InlineData(-4.5, 3969, 3.4949954406775298e-06)]
    [InlineData(0.7, 0.3, 0.6271884556167513)]
    public void Its_distribution_function_is_scipys(double x, double degrees, double expected)
    {
        Assert.Equal(1, StudentT.Cdf(x, degrees) / expected, 2e-11);
        Assert.Equal(1 - expected, StudentT.Cdf(-x, degrees), 1e-12);
    }

    [Theory]
    [InlineData(0.5, 0.5, 0.2, 0.29516723530086664)]
    [InlineData(2, 3, 0.9, 0.9963)]
    [InlineData(980, 0.5, 0.999, 0.16146193820117372)]
    [InlineData(0.01, 5, 1e-4, 0.9311407597182451)]
    [InlineData(30, 40, 0.45, 0.6447480085585666)]
    public void The_incomplete_beta_function_is_scipys(double a, double b, double x, double expected)
    {
        Assert.Equal(1, StudentT.RegularizedIncompleteBeta(a, b, x) / expected, 2e-11);
        Assert.Equal(1 - expected, StudentT.RegularizedIncompleteBeta(b, a, 1 - x), 1e-11);
        Assert.Equal(0, StudentT.RegularizedIncompleteBeta(a, b, 0));
        Assert.Equal(1, StudentT.RegularizedIncompleteBeta(a, b, 1));
    }

    [Theory]
    [InlineData(0.001, 6.907178885383853)]
    [InlineData(0.5, 0.5723649429247)]
    [InlineData(1, 0)]
    [InlineData(2.5, 0.2846828704729192)]
    [InlineData(100, 359.1342053695754)]
    [InlineData(20000, 178065.71824964616)]
    public void The_logarithm_of_gamma_is_scipys(double x, double expected) =>
        Assert.Equal(expected, StudentT.LogGamma(x), 1e-13 * Math.Max(1, Math.Abs(expected)));

    [Theory]
    [InlineData(0.975, 57, 2.0024654580545986)]
    [InlineData(0.01, 3, -4.540702858698421)]
    [InlineData(0.9999, 1000, 3.7328516045751114)]
    [InlineData(1e-8, 5, -62.40450611124424)]
    public void Quantiles_are_scipys_and_undo_the_distribution_function(double share, double degrees, double expected)
    {
        // scipy's own quantiles give the share back to 1e-10 only (0.97499999993 for the first).
        double x = StudentT.Quantile(share, degrees);
        Assert.Equal(1, x / expected, 2e-9);
        Assert.Equal(1, StudentT.Cdf(x, degrees) / share, 1e-10);
    }

    [Fact]
    public void One_degree_is_the_cauchy_distribution_and_many_are_the_normal_one()
    {
        foreach (double x in new[] { -20, -1.5, -0.01, 0, 0.3, 4, 1e6 })
            Assert.Equal(0.5 + (Math.Atan(x) / Math.PI), StudentT.Cdf(x, 1), 1e-13);
        Assert.Equal(0.97500210485178, StudentT.Cdf(1.96, 1e7), 1e-7);
        Assert.Equal((0, 1, 0), (StudentT.Cdf(double.NegativeInfinity, 4), StudentT.Cdf(double.PositiveInfinity, 4), StudentT.Quantile(0.5, 4)));
    }

    [Fact]
    public void The_test_of_Kolmogorov_and_Smirnov_is_near_scipys_exact_one()
    {
        // scipy 1.10: kstest(((np.arange(n) + 0.5) / n) ** e, "uniform").
        foreach ((int n, double exponent, double statistic, double p) in new[]
        {
            (200, 1.06, 0.02393279679959237, 0.9997085217193215), (50, 1.5, 0.1581308230375284, 0.1471143594239397),
        })
        {
            double[] values = [.. Enumerable.Range(0, n).Select(i => Math.Pow((i + 0.5) / n, exponent)).Reverse()];
            KolmogorovSmirnov test = KolmogorovSmirnov.Test(values, x => x);
            Assert.Equal(statistic, test.Statistic, 1e-12);
            Assert.Equal(p, test.PValue, 2e-3);
            Assert.True(KolmogorovSmirnov.Test(values, x => x * x).PValue < test.PValue);
        }
    }

    [Fact]
    public void Bad_input_is_refused_by_name()
    {
        Assert.Equal("degrees", Assert.Throws<ArgumentOutOfRangeException>(() => StudentT.Cdf(1, 0)).ParamName);
        Assert.Equal("x", Assert.Throws<ArgumentException>(() => StudentT.Cdf(double.NaN, 2)).ParamName);
        Assert.Equal("share", Assert.Throws<ArgumentOutOfRangeException>(() => StudentT.Quantile(1, 2)).ParamName);
        Assert.Equal("a", Assert.Throws<ArgumentOutOfRangeException>(() => StudentT.RegularizedIncompleteBeta(-1, 2, 0.5)).ParamName);
        Assert.Equal("b", Assert.Throws<ArgumentOutOfRangeException>(() => StudentT.RegularizedIncompleteBeta(1, double.NaN, 0.5)).ParamName);
        Assert.Equal("x", Assert.Throws<ArgumentOutOfRangeException>(() => StudentT.RegularizedIncompleteBeta(1, 2, 1.5)).ParamName);
        Assert.Equal("x", Assert.Throws<ArgumentOutOfRangeException>(() => StudentT.LogGamma(0)).ParamName);
        Assert.Equal("values", Assert.Throws<ArgumentException>(() => KolmogorovSmirnov.Test([1, 2, 3, 4], x => 0.5)).ParamName);
        Assert.Equal("values", Assert.Throws<ArgumentException>(() => KolmogorovSmirnov.Test([1, 2, 3, 4, double.NaN], x => 0.5)).ParamName);
        Assert.Equal("cdf", Assert.Throws<ArgumentException>(() => KolmogorovSmirnov.Test([1, 2, 3, 4, 5], x => x)).ParamName);
    }
}
