using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>
/// The posterior of x in y = Phi x + n for a Gaussian prior x_i ~ N(0, gamma_i) and noise n ~ N(0, s2 I) (Tipping 2001, eqs. 12 and 13):
/// mean and covariance, the evidence, and intervals. A coefficient with gamma_i = 0 is zero for certain.
/// </summary>
/// <param name="Mean">mu, [coefficients] or [coefficients, snapshots] as y; of the type of Phi.</param>
/// <param name="Variance">Sigma_ii of each coefficient, the same for all snapshots; 0 where gamma is 0.</param>
/// <param name="Active">Indices i with gamma_i &gt; 0, ascending.</param>
/// <param name="Covariance">Sigma [active, active], or null where it was not asked for.</param>
/// <param name="Cost">snapshots log det C + tr(Y^H C^-1 Y), C = s2 I + Phi diag(gamma) Phi^H: SBL's cost, without constants.</param>
/// <param name="LogEvidence">log p(y): -(Cost + m snapshots log 2 pi)/2, for complex data -(Cost + m snapshots log pi).</param>
public sealed record GaussianPosterior(Tensor Mean, double[] Variance, int[] Active, Tensor? Covariance, double Cost, double LogEvidence) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Mean, Covariance);

    /// <summary>Computes it by a Cholesky factor of C, O(m^2 coefficients) time.</summary>
    /// <param name="Phi">[measurements, coefficients], float64 or complex128, no zero column. Equal columns share their coefficient.</param>
    /// <param name="y">[measurements] or [measurements, snapshots], the same type.</param>
    /// <param name="gamma">Prior variance of each coefficient, not negative.</param>
    /// <param name="noise">s2, positive.</param>
    /// <param name="covariance">Whether Sigma of the active coefficients is kept as a matrix. Default true.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit.</exception>
    public static GaussianPosterior Compute(Tensor Phi, Tensor y, IReadOnlyList<double> gamma, double noise, bool covariance = true)
    {
        BayesInput.CheckSystem(Phi, y);
        BayesInput.CheckGamma(gamma, Phi.shape[1], nameof(gamma));
        Finite.Positive(noise);
        using var scope = NewDisposeScope();
        BayesUnits units = BayesUnits.Of(Phi, y);
        double[] own = [.. gamma.Select(g => units.OfVariance(g, nameof(gamma)))];
        return Solve(units.OfPhi(Phi), units.OfY(y), own, units.OfNoise(noise, nameof(noise)), covariance).InUnits(units).ToOuterScope();
    }

    /// <summary>The same without the checks.</summary>
    internal static GaussianPosterior Solve(Tensor Phi, Tensor y, IReadOnlyList<double> gamma, double noise, bool covariance)
    {
        using var scope = NewDisposeScope();
        int n = (int)Phi.shape[1];
        int[] active = [.. Enumerable.Range(0, n).Where(i => gamma[i] > 0)];
        Tensor data = y.reshape(y.shape[0], -1), mean = zeros([n, data.shape[1]], dtype: y.dtype);
        double[] variance = new double[n];
        if (active.Length == 0)
        {
            double empty = (data.numel() * Math.Log(noise)) + (data.abs().square().sum().item<double>() / noise);
            Tensor? none = covariance ? zeros([0, 0], dtype: Phi.dtype) : null;
            return new(mean.view(Shape(y, n)).MoveToOuterDisposeScope(), variance, active, none?.MoveToOuterDisposeScope(), empty, Evidence(empty, y)) { Numbers = y.numel() };
        }

        Tensor index = tensor(active, dtype: ScalarType.Int64), columns = active.Length == n ? Phi : Phi.index_select(1, index);
        using var system = new WhitenedSystem(columns, data, [.. active.Select(i => gamma[i])], noise);
        mean.index_copy_(0, index, system.Mean());
        double[] own = system.Variance();
        for (int k = 0; k < active.Length; k++) variance[active[k]] = own[k];
        Tensor? sigma = covariance ? system.Covariance() : null;
        return new(
            mean.view(Shape(y, n)).MoveToOuterDisposeScope(), variance, active, sigma?.MoveToOuterDisposeScope(), system.Cost, Evidence(system.Cost, y)) { Numbers = y.numel() };
    }

    /// <summary>Numbers in y, m snapshots.</summary>
    internal long Numbers { get; init; }

    /// <summary>What the units add to the cost, and take from the log evidence.</summary>
    internal (double Cost, double Evidence) LogShift(BayesUnits units)
    {
        double shift = Numbers * units.LogUnit;
        return (shift, Mean.dtype == ScalarType.ComplexFloat64 ? shift : shift / 2);
    }

    /// <summary>This posterior, computed in the units of the computation, in those of the data; the tensors are changed in place.</summary>
    internal GaussianPosterior InUnits(BayesUnits units)
    {
        double root = units.Coefficient;
        (double cost, double evidence) = LogShift(units);
        Mean.mul_(root);
        Covariance?.mul_(root).mul_(root);
        return this with { Variance = [.. Variance.Select(units.Variance)], Cost = Cost + cost, LogEvidence = LogEvidence - evidence };
    }

    /// <summary>The log evidence that belongs to a cost.</summary>
    internal static double Evidence(double cost, Tensor y) => y.dtype == ScalarType.ComplexFloat64
        ? -(cost + (y.numel() * Math.Log(Math.PI)))
        : -(cost + (y.numel() * Math.Log(2 * Math.PI))) / 2;

    /// <summary>Keeps its tensors alive when the current scope ends.</summary>
    internal GaussianPosterior ToOuterScope()
    {
        Mean.MoveToOuterDisposeScope();
        Covariance?.MoveToOuterDisposeScope();
        return this;
    }

    private static long[] Shape(Tensor y, int n) => y.dim() == 1 ? [n] : [n, y.shape[1]];

    /// <summary>
    /// Credible interval of every coefficient: the (1 - level)/2 and (1 + level)/2 quantiles of its Gaussian posterior,
    /// mu_i -/+ z sqrt(Sigma_ii). It takes gamma and s2 as known, so with learned ones it is too narrow (see
    /// <see cref="IntervalCalibration"/>).
    /// </summary>
    /// <param name="level">Probability inside, in (0, 1).</param>
    /// <returns>Lower and upper end, each shaped like the mean.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The level is outside (0, 1).</exception>
    /// <exception cref="InvalidOperationException">The data are complex: an interval needs an order.</exception>
    public (Tensor Lower, Tensor Upper) CredibleInterval(double level)
    {
        double z = Quantile(level);
        if (Mean.dtype == ScalarType.ComplexFloat64)
            throw new InvalidOperationException("Complex coefficients have no intervals; use the variance.");
        using var scope = NewDisposeScope();
        Tensor half = tensor(Variance).sqrt().mul(z);
        if (Mean.dim() == 2) half = half.unsqueeze(1);
        return (Mean.sub(half).MoveToOuterDisposeScope(), Mean.add(half).MoveToOuterDisposeScope());
    }

    /// <summary>z with P(|N(0, 1)| &lt; z) = level.</summary>
    internal static double Quantile(double level)
    {
        if (!(level > 0 && level < 1)) throw new ArgumentOutOfRangeException(nameof(level), level, "A level must be in (0, 1).");
        using var scope = NewDisposeScope();
        return Math.Sqrt(2) * special.erfinv(tensor(level)).item<double>();
    }

    /// <summary>Indices whose mean (norm over snapshots) exceeds a share of the largest. SBL's means are never exactly zero before pruning.</summary>
    /// <param name="relativeThreshold">In [0, 1). Default 1e-3.</param>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is outside [0, 1).</exception>
    public int[] Support(double relativeThreshold = 1e-3)
    {
        BayesInput.CheckRatio(relativeThreshold, nameof(relativeThreshold));
        using var scope = NewDisposeScope();
        double[] size = Mean.view(Mean.shape[0], -1).abs().square().sum([1]).sqrt().Doubles();
        double cut = relativeThreshold * size.Max();
        return [.. Enumerable.Range(0, size.Length).Where(i => size[i] > cut)];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Mean.Dispose();
        Covariance?.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
