using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>
/// The updates of the factors of gamma from the statistic T = diag(Sigma) + |mu|^2, a tensor [N_1, ..., N_I] with the last mode fastest.
/// The exact M-step minimises sum log gamma + T/gamma over gamma = gamma_1 (x) ... (x) gamma_I; it has no closed form.
/// </summary>
/// <remarks>The scale is shared freely among factors; here all but the last have unit l2 norm and the last holds the scale.</remarks>
public static class KroneckerMStep
{
    /// <summary>Smallest divisor: far below every variance that matters in the units of the solver, so that an unpruned zero gives no 0/0.</summary>
    private const double Least = 1e-150;

    /// <summary>
    /// Alternating minimisation (AM-KroSBL): gamma_i[a] = mean over the other modes of T / prod_{j != i} gamma_j, factor after factor,
    /// until the change of the whole gamma in one cycle is at most the tolerance.
    /// </summary>
    /// <param name="moments">T, prod N_i values, not negative.</param>
    /// <param name="gammas">The factors to start from; not changed.</param>
    /// <param name="tolerance">
    /// On the l2 norm of the change of gamma in one cycle, relative to gamma. The reference takes it as absolute, which would make results depend
    /// on the units of the data.
    /// </param>
    /// <param name="maxCycles">1 is the one-sweep method.</param>
    /// <returns>The new factors and the number of cycles.</returns>
    /// <exception cref="ArgumentException">T and the factors do not fit, or hold a negative or non-finite value.</exception>
    public static (double[][] Gammas, int Cycles) Alternate(double[] moments, IReadOnlyList<double[]> gammas, double tolerance, int maxCycles)
    {
        Check(moments, gammas);
        BayesInput.CheckLoop(tolerance, maxCycles);
        return Cycle(moments, gammas, tolerance, maxCycles, coupling: null);
    }

    /// <summary>
    /// The pattern-coupled version for blocks (PC-KroSBL): a factor with coupling beta is C g + 1e-5 max(C g), C tridiagonal with 1 on and beta off
    /// the diagonal, and g >= 0 the least squares fit of C g to the right-hand side of the alternating update. The reference adds 1e-5 itself,
    /// which would make results depend on the units of the data.
    /// </summary>
    /// <param name="moments">T.</param>
    /// <param name="gammas">The factors to start from; not changed.</param>
    /// <param name="coupling">beta of each factor in [0, 1]; 0 leaves a factor to the plain update.</param>
    /// <param name="kept">Absolute indices of each factor's entries: after pruning only entries that were neighbours are coupled.</param>
    /// <param name="tolerance">On the change of gamma in one cycle, relative to gamma.</param>
    /// <param name="maxCycles">Most cycles.</param>
    /// <returns>The new factors and the number of cycles.</returns>
    /// <exception cref="ArgumentException">T, the factors, beta or the indices do not fit.</exception>
    public static (double[][] Gammas, int Cycles) AlternateCoupled(
        double[] moments, IReadOnlyList<double[]> gammas, IReadOnlyList<double> coupling, IReadOnlyList<int[]> kept, double tolerance, int maxCycles)
    {
        Check(moments, gammas);
        BayesInput.CheckLoop(tolerance, maxCycles);
        CheckCoupling(coupling, gammas.Count);
        ArgumentNullException.ThrowIfNull(kept);
        if (kept.Count != gammas.Count || kept.Zip(gammas).Any(pair => pair.First.Length != pair.Second.Length))
            throw new ArgumentException("kept must have one index for each entry of each factor.", nameof(kept));
        double[,]?[] matrices = [.. coupling.Select((beta, i) => beta == 0 ? null : Coupling(beta, kept[i]))];
        return Cycle(moments, gammas, tolerance, maxCycles, matrices);
    }

    /// <summary>
    /// Rank-one projection (SVD-KroSBL): T unfolded as N_1 x (N_2 ... N_I) is replaced by its best rank-one matrix, gamma_1 is the left
    /// vector, and the right one is folded and treated likewise. T is not negative, so neither are its leading singular vectors.
    /// </summary>
    /// <param name="moments">T, prod of the sizes, not negative.</param>
    /// <param name="sizes">N_i.</param>
    /// <exception cref="ArgumentException">T and the sizes do not fit, or T holds a negative or non-finite value.</exception>
    public static double[][] Project(double[] moments, IReadOnlyList<int> sizes)
    {
        ArgumentNullException.ThrowIfNull(sizes);
        Check(moments, [.. sizes.Select(size => new double[size])]);
        using var scope = NewDisposeScope();
        double[][] gammas = new double[sizes.Count][];
        Tensor rest = tensor(moments);
        for (int i = 0; i < sizes.Count - 1; i++)
        {
            (Tensor u, Tensor s, Tensor v) = linalg.svd(rest.reshape(sizes[i], -1), fullMatrices: false);
            gammas[i] = u.select(1, 0).abs().Doubles();
            rest = v.select(0, 0).abs().mul(s[0]);
        }

        gammas[^1] = rest.Doubles();
        return gammas;
    }

    /// <summary>C [n, n] of one factor, on the absolute indices that are left.</summary>
    internal static double[,] Coupling(double beta, int[] kept)
    {
        double[,] c = new double[kept.Length, kept.Length];
        for (int i = 0; i < kept.Length; i++)
        {
            for (int j = 0; j < kept.Length; j++) c[i, j] = Math.Abs(kept[i] - kept[j]) switch { 0 => 1, 1 => beta, _ => 0 };
        }

        return c;
    }

    internal static void CheckCoupling(IReadOnlyList<double> coupling, int factors)
    {
        ArgumentNullException.ThrowIfNull(coupling);
        if (coupling.Count != factors) throw new ArgumentException($"There are {coupling.Count} couplings for {factors} factors.", nameof(coupling));
        foreach (double beta in coupling)
        {
            if (!(beta >= 0 && beta <= 1)) throw new ArgumentOutOfRangeException(nameof(coupling), beta, "A coupling beta must be in [0, 1].");
        }
    }

    internal static double Norm(double[] values) => Math.Sqrt(values.Sum(v => v * v));

    internal static double Distance(double[] a, double[] b) => Math.Sqrt(a.Zip(b, (x, y) => (x - y) * (x - y)).Sum());

    private static (double[][] Gammas, int Cycles) Cycle(
        double[] moments, IReadOnlyList<double[]> start, double tolerance, int maxCycles, double[,]?[]? coupling)
    {
        double[][] gammas = [.. start.Select(g => g.ToArray())];
        double[] before = ModeProduct.Kron(gammas);
        int cycle = 0;
        while (cycle < maxCycles)
        {
            double[][] reciprocal = [.. gammas.Select(Reciprocal)];
            for (int i = 0; i < gammas.Length; i++)
            {
                double[] next = ModeProduct.ContractAllBut(i, moments, reciprocal);
                double others = (double)moments.Length / next.Length;
                for (int a = 0; a < next.Length; a++) next[a] /= others;
                gammas[i] = coupling?[i] is { } matrix ? Couple(matrix, next) : next;
                reciprocal[i] = Reciprocal(gammas[i]);
            }

            Normalize(gammas);
            cycle++;
            double[] after = ModeProduct.Kron(gammas);
            double change = Distance(after, before), size = Norm(before);
            before = after;

            // The second bound: no cycle can change less than rounding.
            if (change <= Math.Max(tolerance, 1e-15) * size) break;
        }

        return (gammas, cycle);
    }

    private static double[] Reciprocal(double[] gamma) => [.. gamma.Select(g => 1 / Math.Max(g, Least))];

    private static double[] Couple(double[,] matrix, double[] target)
    {
        double[] g = NonNegativeLeastSquares.Solve(matrix, target), result = new double[g.Length];
        for (int i = 0; i < g.Length; i++)
        {
            for (int j = 0; j < g.Length; j++) result[i] += matrix[i, j] * g[j];
        }

        // No entry that a neighbour could still need is lost to an exact zero.
        double least = 1e-5 * result.Max();
        for (int i = 0; i < g.Length; i++) result[i] += least;
        return result;
    }

    private static void Normalize(double[][] gammas)
    {
        double scale = 1;
        foreach (double[] gamma in gammas[..^1])
        {
            double norm = Norm(gamma);
            if (norm == 0) continue;
            for (int a = 0; a < gamma.Length; a++) gamma[a] /= norm;
            scale *= norm;
        }

        for (int a = 0; a < gammas[^1].Length; a++) gammas[^1][a] *= scale;
    }

    private static void Check(double[] moments, IReadOnlyList<double[]> gammas)
    {
        ArgumentNullException.ThrowIfNull(moments);
        ArgumentNullException.ThrowIfNull(gammas);
        if (gammas.Count < 2 || gammas.Any(g => g is not { Length: > 0 }))
            throw new ArgumentException("There must be at least 2 factors, none empty.", nameof(gammas));
        long size = gammas.Aggregate(1L, (product, g) => product * g.Length);
        if (moments.Length != size) throw new ArgumentException($"T has {moments.Length} values, the factors {size}.", nameof(moments));
        if (moments.Any(t => !(t >= 0) || !double.IsFinite(t))) throw new ArgumentException("T holds a value that is negative or not finite.", nameof(moments));
        foreach (double[] gamma in gammas) BayesInput.CheckGamma(gamma, gamma.Length, nameof(gammas));
    }
}
