using Sparseland.Bayes;
using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Bayes;

/// <summary>A change of units of Phi or y changes the units of the answer, and nothing else.</summary>
public class BayesScaleTests
{
    [Theory]
    [InlineData(1e-150, 1e-150)]
    [InlineData(1e150, 1e150)]
    [InlineData(1e80, 1)]
    [InlineData(1, 1e100)]
    [InlineData(1, 1e-149)]
    [InlineData(3, 7)]
    public void Results_follow_the_units(double a, double b)
    {
        using var scope = NewDisposeScope();
        (Tensor phi, _, Tensor y) = BayesData.Planted(40, 80, 4, 0.03, 5);
        foreach (Func<Tensor, Tensor, SblResult> recover in new Func<Tensor, Tensor, SblResult>[] { (p, d) => FastSbl.Recover(p, d), (p, d) => EmSbl.Recover(p, d) })
        {
            using SblResult plain = recover(phi, y), scaled = recover(phi.mul(a), y.mul(b));
            Assert.NotEmpty(plain.Active);
            Assert.Equal(plain.StopReason, scaled.StopReason);
            Assert.Equal(plain.Active, scaled.Active);
            Assert.InRange(BayesData.MaxDifference(plain.Mean, scaled.Mean.mul(a / b)), 0, 1e-6);
            Assert.Equal(1, Math.Sqrt(scaled.NoiseVariance / plain.NoiseVariance) / b, 1e-6);
        }

        NoiseEstimate small = NoiseEstimate.Of(phi, y), large = NoiseEstimate.Of(phi.mul(a), y.mul(b));
        Assert.Equal((small.Coefficients, small.Identified), (large.Coefficients, large.Identified));
    }

    [Theory]
    [InlineData(1e200, 1, "Phi")]
    [InlineData(1e-200, 1, "Phi")]
    [InlineData(1, 1e200, "y")]
    [InlineData(1, 1e-200, "y")]
    public void What_no_float64_holds_is_refused(double a, double b, string name)
    {
        using var scope = NewDisposeScope();
        (Tensor phi, _, Tensor y) = BayesData.Planted(20, 30, 2, 0.03, 5);
        (Tensor p, Tensor d) = (phi.mul(a), y.mul(b));
        foreach (Action act in new Action[] { () => EmSbl.Recover(p, d), () => FastSbl.Recover(p, d), () => NoiseEstimate.Of(p, d) })
            Assert.Equal(name, Assert.Throws<ArgumentException>(act).ParamName);
    }
}
