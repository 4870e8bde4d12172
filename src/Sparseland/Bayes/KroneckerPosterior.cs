using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>
/// The posterior of y = (A_1 (x) ... (x) A_I) x + n with the prior variances gamma_1 (x) ... (x) gamma_I (He and Joseph 2024, section III).
/// </summary>
/// <remarks>
/// With A_i diag(gamma_i) A_i^H = U_i P_i U_i^H the covariance of y is C = (x)U_i diag(s2 + p) (x)U_i^H, p the Kronecker product of the
/// eigenvalues. With D = 1/(s2 + p) and R_i = diag(gamma_i) A_i^H U_i, mu = (x)R_i (D . (x)U_i^H y) and diag(Sigma) = gamma - (x)|R_i|^2 D.
/// The cost is exact to about 1e-16 of the condition number (s2 + p)/s2, p the largest, as is any computation that forms C; eigenvalues that must be zero are.
/// Time sum_i (M_i^3 + N_i M_i^2) and the mode products; memory prod M_i + prod N_i.
/// </remarks>
/// <param name="Mean">mu [coefficients].</param>
/// <param name="VarianceDiagonal">diag(Sigma) [coefficients], not negative.</param>
/// <param name="Cost">log det C + y^H C^-1 y.</param>
/// <param name="ResidualSquared">||y - A mu||^2, which is ||s2 C^-1 y||^2.</param>
/// <param name="Explained">sum_j (1 - Sigma_jj / gamma_j) = sum p/(s2 + p), the number of well-determined coefficients.</param>
public sealed record KroneckerPosterior(Tensor Mean, double[] VarianceDiagonal, double Cost, double ResidualSquared, double Explained) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Mean);

    /// <summary>Computes it.</summary>
    /// <param name="dictionary">The factors.</param>
    /// <param name="gammas">gamma_i [N_i] for each factor, not negative.</param>
    /// <param name="y">[measurements] of the dictionary's type.</param>
    /// <param name="noise">s2, positive.</param>
    /// <exception cref="ArgumentException">Lengths, types or values do not fit.</exception>
    public static KroneckerPosterior Compute(KroneckerDictionary dictionary, IReadOnlyList<double[]> gammas, Tensor y, double noise)
    {
        ArgumentNullException.ThrowIfNull(dictionary);
        dictionary.CheckGammas(gammas, nameof(gammas));
        dictionary.Check(y, nameof(y), dictionary.Measurements, "measurements");
        Finite.Positive(noise);
        using var scope = NewDisposeScope();
        BayesUnits units = BayesUnits.Of(dictionary, y);
        return Solve(
            BayesUnits.OfPhi(dictionary).Factors, units.OfVariances(gammas, nameof(gammas)), units.OfY(y), units.OfNoise(noise, nameof(noise)))
            .InUnits(units, y.numel());
    }

    /// <summary>This posterior, computed in the units of the computation, in those of the data; the mean is changed in place.</summary>
    private KroneckerPosterior InUnits(BayesUnits units, long measurements)
    {
        Mean.mul_(units.Coefficient).MoveToOuterDisposeScope();
        return this with
        {
            VarianceDiagonal = [.. VarianceDiagonal.Select(units.Variance)], Cost = Cost + (measurements * units.LogUnit),
            ResidualSquared = units.Noise(ResidualSquared),
        };
    }

    internal static KroneckerPosterior Solve(IReadOnlyList<Tensor> factors, IReadOnlyList<double[]> gammas, Tensor y, double noise)
    {
        using var scope = NewDisposeScope();
        int count = factors.Count;
        Tensor[] basis = new Tensor[count], mixing = new Tensor[count];
        double[][] eigenvalues = new double[count][];
        for (int i = 0; i < count; i++)
        {
            Tensor scaled = factors[i].mul(tensor(gammas[i]));
            (Tensor values, basis[i]) = linalg.eigh(scaled.mm(factors[i].mH));

            // They ascend; as many as measurements outnumber active columns are zero exactly, where rounding leaves 1e-16 of the largest, of either sign.
            // Beside a noise far below the signal that would be seen: the smallest of them weigh like the noise in the cost.
            eigenvalues[i] = values.Doubles();
            long silent = factors[i].shape[0] - Math.Min(factors[i].shape[0], gammas[i].Count(g => g > 0));
            for (int a = 0; a < eigenvalues[i].Length; a++) eigenvalues[i][a] = a < silent ? 0 : Math.Max(0, eigenvalues[i][a]);
            mixing[i] = scaled.mH.mm(basis[i]);
        }

        double[] p = ModeProduct.Kron(eigenvalues), inverse = new double[p.Length];
        double logDeterminant = 0, explained = 0;
        for (int j = 0; j < p.Length; j++)
        {
            inverse[j] = 1 / (noise + p[j]);
            logDeterminant += Math.Log(noise + p[j]);
            explained += p[j] * inverse[j];
        }

        Tensor rotated = ModeProduct.Apply(basis.Select(u => u.mH), y), d = tensor(inverse), weighted = rotated.mul(d);
        double[] power = rotated.abs().square().Doubles();
        double quadratic = 0, residual = 0;
        for (int j = 0; j < power.Length; j++)
        {
            quadratic += inverse[j] * power[j];
            residual += inverse[j] * inverse[j] * power[j];
        }

        Tensor mean = ModeProduct.Apply(mixing, weighted);
        double[] reduction = ModeProduct.Apply(mixing.Select(r => r.abs().square()), d).Doubles(), variance = ModeProduct.Kron(gammas);
        for (int j = 0; j < variance.Length; j++) variance[j] = Math.Max(0, variance[j] - reduction[j]);
        return new(mean.MoveToOuterDisposeScope(), variance, logDeterminant + quadratic, residual * noise * noise, explained);
    }

    /// <summary>The statistic of expectation maximisation, d = diag(Sigma) + |mu|^2.</summary>
    public double[] SecondMoments()
    {
        using var scope = NewDisposeScope();
        double[] moments = Mean.abs().square().Doubles();
        for (int j = 0; j < moments.Length; j++) moments[j] += VarianceDiagonal[j];
        return moments;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Mean.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
