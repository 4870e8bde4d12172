using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>
/// The posterior in the space of the measurements: C = s2 I + Phi diag(gamma) Phi^H = L L^H, W = L^-1 Phi, u = L^-1 y. Everything
/// SBL needs is a column sum or a product of W and u; no [coefficients, coefficients] matrix is formed.
/// </summary>
internal sealed class WhitenedSystem : IDisposable
{
    private readonly Tensor _columns, _data;

    /// <param name="Phi">[m, a], the active columns.</param>
    /// <param name="y">[m, snapshots].</param>
    /// <param name="gamma">a prior variances.</param>
    /// <param name="noise">s2.</param>
    public WhitenedSystem(Tensor Phi, Tensor y, double[] gamma, double noise)
    {
        using var scope = NewDisposeScope();
        Gamma = gamma;
        Tensor covariance = Phi.mul(tensor(gamma)).mm(Phi.mH);
        Tensor factor = Cholesky(covariance, noise);
        Tensor columns = linalg.solve_triangular(factor, Phi, upper: false), data = linalg.solve_triangular(factor, y, upper: false);
        LogDeterminant = 2 * factor.diagonal().abs().log().sum().item<double>();
        Quadratic = data.abs().square().sum().item<double>();
        Leverage = columns.abs().square().sum([0]).Doubles();
        Snapshots = y.shape[1];
        Tensor correlation = columns.mH.mm(data);
        CorrelationSquared = correlation.abs().square().mean([1]).Doubles();
        Correlation = correlation.MoveToOuterDisposeScope();
        _columns = columns.MoveToOuterDisposeScope();
        _data = data.MoveToOuterDisposeScope();
    }

    /// <summary>gamma.</summary>
    public double[] Gamma { get; }

    /// <summary>Number of columns of y.</summary>
    public long Snapshots { get; }

    /// <summary>log det C.</summary>
    public double LogDeterminant { get; }

    /// <summary>tr(Y^H C^-1 Y).</summary>
    public double Quadratic { get; }

    /// <summary>S_i = phi_i^H C^-1 phi_i, so that Sigma_ii = gamma_i - gamma_i^2 S_i.</summary>
    public double[] Leverage { get; }

    /// <summary>phi_i^H C^-1 y [a, snapshots], so that mu_i = gamma_i times it.</summary>
    public Tensor Correlation { get; }

    /// <summary>Its squared magnitude, mean over snapshots.</summary>
    public double[] CorrelationSquared { get; }

    /// <summary>snapshots log det C + tr(Y^H C^-1 Y).</summary>
    public double Cost => (Snapshots * LogDeterminant) + Quadratic;

    /// <summary>mu [a, snapshots].</summary>
    public Tensor Mean()
    {
        using Tensor gamma = tensor(Gamma).unsqueeze_(1);
        return Correlation.mul(gamma);
    }

    /// <summary>Sigma_ii; at least 0, which rounding can miss where the measurements decide a coefficient entirely.</summary>
    public double[] Variance() => [.. Gamma.Zip(Leverage, (g, s) => Math.Max(0, g * (1 - (g * s))))];

    /// <summary>Sigma [a, a] = diag(gamma) - diag(gamma) Phi^H C^-1 Phi diag(gamma).</summary>
    public Tensor Covariance()
    {
        using var scope = NewDisposeScope();
        Tensor gamma = tensor(Gamma), scaled = _columns.mul(gamma);
        return diag(gamma).sub(scaled.mH.mm(scaled)).MoveToOuterDisposeScope();
    }

    /// <summary>One step of expectation maximisation for the noise variance.</summary>
    public double NextNoise(Tensor Phi, Tensor y, double noise)
    {
        using var scope = NewDisposeScope();
        double residual = y.sub(Phi.mm(Mean())).abs().square().sum().item<double>() / Snapshots;
        double explained = Gamma.Zip(Leverage, (g, s) => g * s).Sum();
        return (residual + (noise * explained)) / y.shape[0];
    }

    public void Dispose()
    {
        Correlation.Dispose();
        _columns.Dispose();
        _data.Dispose();
    }

    /// <summary>
    /// The lower factor. A noise variance below the rounding of C can leave it indefinite; then the diagonal is raised by 1e-15 of
    /// its mean, and ten times that, until the factor exists.
    /// </summary>
    private static Tensor Cholesky(Tensor covariance, double noise)
    {
        int m = (int)covariance.shape[0];
        Tensor unit = eye(m, dtype: covariance.dtype);
        double scale = covariance.diagonal().abs().mean().item<double>();
        for (double raise = 0; ; raise = raise == 0 ? 1e-15 * scale : 10 * raise)
        {
            (Tensor factor, Tensor info) = linalg.cholesky_ex(covariance.add(unit.mul(noise + raise)));
            if (info.item<int>() == 0) return factor;
            // Written so that a scale that is not finite ends the loop too.
            if (!(raise <= scale) || !double.IsFinite(scale)) throw new InvalidOperationException("The covariance of the measurements has no Cholesky factor.");
        }
    }
}
