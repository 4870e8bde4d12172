using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>What Kronecker OMP found.</summary>
/// <param name="Mean">The estimate [coefficients].</param>
/// <param name="Supports">Indices of each factor, ascending.</param>
/// <param name="ResidualSquared">||y - A x||^2.</param>
/// <param name="Iterations">Selections.</param>
/// <param name="StopReason">Converged where the residual met the tolerance or all factors were full; IterationLimit where no index was left that would help.</param>
public sealed record KroneckerOmpResult(Tensor Mean, int[][] Supports, double ResidualSquared, int Iterations, StopReason StopReason) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Mean);

    /// <inheritdoc/>
    public void Dispose()
    {
        Mean.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Kronecker (N-way) orthogonal matching pursuit (Caiafa and Cichocki 2013): the coefficient most correlated with the residual adds its
/// index to the support of every factor; then least squares on the Kronecker product of the selected columns.
/// </summary>
public static class KroneckerOmp
{
    /// <summary>Selects until every factor holds its number of indices or the residual is small.</summary>
    /// <param name="dictionary">Columns need not have unit norm; selection uses the normalized ones.</param>
    /// <param name="y">[measurements].</param>
    /// <param name="perFactor">Most indices of each factor, from 1 to min(M_i, N_i).</param>
    /// <param name="residualTolerance">Stop when ||y - A x||^2 is at most this share of ||y||^2; 0 by default.</param>
    /// <param name="cancel">Checked before each selection.</param>
    /// <exception cref="ArgumentException">Lengths, types or values do not fit.</exception>
    public static KroneckerOmpResult Recover(
        KroneckerDictionary dictionary, Tensor y, IReadOnlyList<int> perFactor, double residualTolerance = 0, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(dictionary);
        ArgumentNullException.ThrowIfNull(perFactor);
        dictionary.Check(y, nameof(y), dictionary.Measurements, "measurements");
        IReadOnlyList<Tensor> factors = dictionary.Factors;
        if (perFactor.Count != factors.Count)
            throw new ArgumentException($"perFactor has {perFactor.Count} values for {factors.Count} factors.", nameof(perFactor));
        for (int i = 0; i < perFactor.Count; i++)
        {
            long most = Math.Min(factors[i].shape[0], factors[i].shape[1]);
            if (perFactor[i] < 1 || perFactor[i] > most)
                throw new ArgumentOutOfRangeException(nameof(perFactor), perFactor[i], $"Factor {i} must have from 1 to min(M, N) = {most} indices.");
        }

        if (!(residualTolerance >= 0)) throw new ArgumentOutOfRangeException(nameof(residualTolerance), residualTolerance, "It must not be negative.");
        using var scope = NewDisposeScope();
        BayesUnits units = BayesUnits.Of(dictionary, y);
        KroneckerOmpResult own = Pursue(BayesUnits.OfPhi(dictionary), units.OfY(y), perFactor, residualTolerance, cancel);
        own.Mean.mul_(units.Coefficient).MoveToOuterDisposeScope();
        return own with { ResidualSquared = units.Noise(own.ResidualSquared) };
    }

    private static KroneckerOmpResult Pursue(
        KroneckerDictionary dictionary, Tensor y, IReadOnlyList<int> perFactor, double residualTolerance, CancellationToken cancel)
    {
        using var scope = NewDisposeScope();
        IReadOnlyList<Tensor> factors = dictionary.Factors;
        double[] norms = [.. dictionary.ColumnPowers().Select(Math.Sqrt)];
        var supports = factors.Select(_ => new SortedSet<int>()).ToArray();
        Tensor mean = zeros([dictionary.Coefficients], dtype: dictionary.Type);
        double power = y.abs().square().sum().item<double>(), residual = power;
        StopReason reason = StopReason.Converged;
        int selections = 0;
        while (residual > residualTolerance * power && supports.Zip(perFactor).Any(pair => pair.First.Count < pair.Second))
        {
            cancel.ThrowIfCancellationRequested();
            using var inner = NewDisposeScope();
            double[] correlation = dictionary.Adjoint(y.sub(dictionary.Apply(mean))).abs().Doubles();
            int[]? best = Largest(correlation, norms, supports, perFactor, [.. factors.Select(f => (int)f.shape[1])]);

            // The residual is orthogonal to all that is selected: what is left is rounding.
            if (best is null)
            {
                reason = StopReason.IterationLimit;
                break;
            }

            for (int i = 0; i < best.Length; i++) supports[i].Add(best[i]);
            selections++;
            mean = LeastSquares(dictionary, y, [.. supports.Select(s => s.ToArray())]).MoveToOuterDisposeScope();
            residual = y.sub(dictionary.Apply(mean)).abs().square().sum().item<double>();
        }

        return new(mean.MoveToOuterDisposeScope(), [.. supports.Select(s => s.ToArray())], residual, selections, reason);
    }

    /// <summary>
    /// Least squares on given supports, zero elsewhere; the pseudo-inverse of a Kronecker product is that of its factors. With the true
    /// supports it is the oracle that no method can know.
    /// </summary>
    /// <param name="dictionary">The factors.</param>
    /// <param name="y">[measurements].</param>
    /// <param name="supports">Indices of each factor, at least one each.</param>
    /// <exception cref="ArgumentException">Lengths, types, values or indices do not fit.</exception>
    public static Tensor LeastSquares(KroneckerDictionary dictionary, Tensor y, IReadOnlyList<int[]> supports)
    {
        ArgumentNullException.ThrowIfNull(dictionary);
        ArgumentNullException.ThrowIfNull(supports);
        dictionary.Check(y, nameof(y), dictionary.Measurements, "measurements");
        IReadOnlyList<Tensor> factors = dictionary.Factors;
        if (supports.Count != factors.Count) throw new ArgumentException($"There are {supports.Count} supports for {factors.Count} factors.", nameof(supports));
        using var scope = NewDisposeScope();
        Tensor[] solvers = new Tensor[factors.Count];
        for (int i = 0; i < solvers.Length; i++)
        {
            int size = (int)factors[i].shape[1];
            if (supports[i].Length == 0 || supports[i].Any(a => a < 0 || a >= size) || supports[i].Distinct().Count() != supports[i].Length)
                throw new ArgumentException($"Support {i} must hold distinct indices from 0 to {size - 1}.", nameof(supports));
            Tensor index = tensor(supports[i], dtype: ScalarType.Int64);
            solvers[i] = zeros([size, factors[i].shape[0]], dtype: dictionary.Type);
            solvers[i].index_copy_(0, index, linalg.pinv(factors[i].index_select(1, index)));
        }

        return ModeProduct.Apply(solvers, y).MoveToOuterDisposeScope();
    }

    /// <summary>The largest correlation whose indices the factors have room for, as one index per factor; null where it adds none.</summary>
    private static int[]? Largest(double[] correlation, double[] norms, SortedSet<int>[] supports, IReadOnlyList<int> room, int[] sizes)
    {
        int[] best = new int[sizes.Length], at = new int[sizes.Length];
        double largest = 0;
        for (int j = 0; j < correlation.Length; j++)
        {
            int rest = j;
            for (int i = sizes.Length - 1; i >= 0; i--) (rest, at[i]) = Math.DivRem(rest, sizes[i]);
            if (correlation[j] / norms[j] <= largest) continue;
            bool fits = true, adds = false;
            for (int i = 0; i < at.Length && fits; i++)
            {
                bool known = supports[i].Contains(at[i]);
                adds |= !known;
                fits = known || supports[i].Count < room[i];
            }

            if (!fits || !adds) continue;
            largest = correlation[j] / norms[j];
            at.CopyTo(best, 0);
        }

        return largest > 0 ? best : null;
    }
}
