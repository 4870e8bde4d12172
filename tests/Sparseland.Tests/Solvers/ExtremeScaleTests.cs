using Sparseland.Coding;
using Sparseland.Penalties;
using Sparseland.Solvers;
using Sparseland.Tests.Coding;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Solvers;

/// <summary>Far from one a result is that of the problem near one, or it is refused with the reason; never "converged" with nothing done.</summary>
public sealed class ExtremeScaleTests
{
    [Theory]
    [InlineData(1e-170)]
    [InlineData(1e-300)]
    [InlineData(1e170)]
    public void TargetsWhoseSquaresLeaveDoubleAreRefused(double scale)
    {
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Dictionary(12, 8, 1), x = CodingData.Random(1, 8, 2)[0];
        Assert.Contains("squares leave", Assert.Throws<ArgumentException>(() => LeastSquares.FromAtoms(D, x * scale)).Message);
        if (scale < 1) Assert.Contains("squares leave", Assert.Throws<ArgumentException>(() => DenseMap.FromAtoms(D * scale)).Message);
    }

    [Theory]
    [InlineData(1e-130, 1)]
    [InlineData(1e130, 1)]
    [InlineData(1e-100, 1e-100)]
    [InlineData(1e100, 1e100)]
    [InlineData(1e-130, 1e130)]
    [InlineData(1e130, 1e-130)]
    public void WithinTheRangeEverySolverKnowsNoScale(double target, double map)
    {
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Dictionary(12, 8, 1), x = CodingData.Planted(D, 1, 2, 3)[0];
        LeastSquares plain = LeastSquares.FromAtoms(D, x), scaled = LeastSquares.FromAtoms(D * map, x * target);
        var tight = new SolverOptions { Tolerance = 1e-10, MaxIterations = 100_000 };
        Same(fit => new CoordinateDescent(tight).Solve(fit, new L1(0.1 * (fit == plain ? 1 : map * target))));
        Same(fit => HardThresholding.Niht(fit, 2, tight));
        Same(fit => Cosamp.Solve(fit, 2, tight));

        void Same(Func<LeastSquares, SolveResult> solve)
        {
            SolveResult one = solve(plain), other = solve(scaled);
            Assert.NotEmpty(one.Support);
            Assert.Equal(one.Support, other.Support);
            Assert.Equal(one.StopReason, other.StopReason);
            foreach (int j in one.Support) Assert.Equal(1, other.Coefficients[j] / target * map / one.Coefficients[j], 1e-6);
        }
    }

    [Theory]
    [InlineData(1e-200, 20)]
    [InlineData(1e-310, 20)]
    [InlineData(1e-200, 300)]
    public void ABoundOfAMatrixThatIsNotZeroIsNotZero(double scale, int size)
    {
        using Tensor plain = CodingData.Random(size, size + 5, 1), small = plain * scale, dense = CodingData.Random(20, 30, 4);
        Assert.InRange(SpectralNorm.SquaredBound(small), double.Epsilon, 1e-300);
        Assert.Equal(0, SpectralNorm.SquaredBound(zeros_like(plain)));
        Assert.InRange(SpectralNorm.SquaredBound(new Scaled(DenseMap.FromPhi(dense), scale)), double.Epsilon, 1e-300);
        Assert.Equal(0, SpectralNorm.SquaredBound(new Scaled(DenseMap.FromPhi(dense), 0)));
    }

    [Fact]
    public void TheCoderNamesASampleItCannotCertify()
    {
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Dictionary(12, 8, 1), X = CodingData.Planted(D, 5, 2, 3);
        X[3] *= 1e-170;

        // Its code is zero beside this strength, and that is certain without squares.
        using CoordinateCodes codes = new CoordinateCoder(new L1(0.1)).Encode(X, D);
        Assert.True(codes.Converged);
        Assert.Equal(0, codes.Codes[3].abs().max().item<double>());
        string message = Assert.Throws<ArgumentException>(() => new CoordinateCoder(new L1(1e-171)).Encode(X, D)).Message;
        Assert.Contains("leaves the range of double", message);
        Assert.Contains("scale the dictionary", Assert.Throws<ArgumentException>(() => new ThresholdCoder(new L1(0.1)).Encode(X, D * 1e-150)).Message);
    }

    private sealed class Scaled(DenseMap inner, double scale) : ILinearMap
    {
        public int Outputs => inner.Outputs;

        public int Inputs => inner.Inputs;

        public void Apply(ReadOnlySpan<double> a, Span<double> z)
        {
            inner.Apply(a, z);
            foreach (ref double value in z) value *= scale;
        }

        public void Adjoint(ReadOnlySpan<double> r, Span<double> q)
        {
            inner.Adjoint(r, q);
            foreach (ref double value in q) value *= scale;
        }

        public Tensor ToDense() => inner.ToDense() * scale;
    }
}
