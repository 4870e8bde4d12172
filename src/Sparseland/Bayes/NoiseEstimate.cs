using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>The noise variance of y = Phi x + n before anything else is known, and whether the data tell it at all.</summary>
/// <param name="Variance">Residual power per degree of freedom, ||y - Phi x||^2/((m - k) snapshots); squared units of y.</param>
/// <param name="Coefficients">k, the number of coefficients that the criterion takes for signal.</param>
/// <param name="Identified">
/// Whether noise and signal can be told apart: the best model leaves at least half of the measurements to the noise, and its criterion is lower
/// by 2 log n, the price of one choice, than that of every model that leaves between a half and a quarter.
/// </param>
/// <remarks>
/// With fewer measurements than coefficients the evidence of sparse Bayesian learning has its maximum at no noise at all: m coefficients
/// explain every y. So a learned variance needs a bound that does not come from that evidence. Here orthogonal matching pursuit adds
/// coefficients one by one, and the extended Bayesian information criterion (Chen and Chen 2008, with gamma = 1)
/// N log(RSS/N) + k snapshots log N + 2 k log n, N = m snapshots, says how many are signal: its second penalty pays for having chosen the
/// best of n columns, which is what makes the residual of too many coefficients look small.
/// </remarks>
public sealed record NoiseEstimate(double Variance, int Coefficients, bool Identified)
{
    private const int Most = 512;

    /// <summary>Estimates it in O(k m n) for the k that are tried, at most three quarters of m and 512.</summary>
    /// <param name="Phi">[measurements, coefficients], float64 or complex128, no zero column.</param>
    /// <param name="y">[measurements], or [measurements, snapshots]; the type of Phi.</param>
    /// <param name="cancel">Checked before each coefficient.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit.</exception>
    public static NoiseEstimate Of(Tensor Phi, Tensor y, CancellationToken cancel = default)
    {
        BayesInput.CheckSystem(Phi, y);
        using var scope = NewDisposeScope();
        BayesUnits units = BayesUnits.Of(Phi, y);
        return Pursue(units.OfPhi(Phi), units.OfY(y), cancel).InUnits(units);
    }

    /// <summary>This estimate in the units of the data.</summary>
    internal NoiseEstimate InUnits(BayesUnits units) => this with { Variance = units.Noise(Variance) };

    /// <summary>The bound of a learned variance: the model's own, or the estimate.</summary>
    internal static (NoiseEstimate? Estimate, double Floor) FloorOf(NoiseModel noise, Tensor y, Func<NoiseEstimate> estimate)
    {
        if (!noise.IsLearned) return (null, 0);
        double rounding = 1e-10 * BayesInput.MeanSquare(y);
        if (noise.Least is { } least) return (null, Math.Max(least, rounding));
        NoiseEstimate found = estimate();
        return (found, Math.Max(found.Variance, rounding));
    }

    /// <summary>The same without the checks.</summary>
    internal static NoiseEstimate Pursue(Tensor Phi, Tensor y, CancellationToken cancel)
    {
        using var scope = NewDisposeScope();
        return Pursue(y, Phi.abs().square().sum([0]).sqrt(), residual => Phi.mH.mm(residual), index => Phi.select(1, index), cancel);
    }

    /// <summary>The same for a Kronecker product, which is never formed.</summary>
    internal static NoiseEstimate Pursue(KroneckerDictionary dictionary, Tensor y, CancellationToken cancel)
    {
        using var scope = NewDisposeScope();
        double[] norms = [.. dictionary.ColumnPowers().Select(Math.Sqrt)];
        Tensor Column(long index)
        {
            Tensor column = ones([1], dtype: dictionary.Type);
            long below = dictionary.Coefficients;
            foreach (Tensor factor in dictionary.Factors)
            {
                below /= factor.shape[1];
                column = column.unsqueeze(1).mul(factor.select(1, index / below % factor.shape[1]).unsqueeze(0)).view(-1);
            }

            return column;
        }

        return Pursue(y, tensor(norms), residual => dictionary.Adjoint(residual.squeeze(1)).unsqueeze(1), Column, cancel);
    }

    private static NoiseEstimate Pursue(Tensor y, Tensor norms, Func<Tensor, Tensor> correlate, Func<long, Tensor> column, CancellationToken cancel)
    {
        int m = (int)y.shape[0], n = (int)norms.shape[0];
        Tensor residual = y.reshape(m, -1);
        int snapshots = (int)residual.shape[1], most = Math.Min(Math.Min(n, Most), m - Math.Max(1, m / 4));
        double numbers = (double)m * snapshots, rest = Power(residual), total = rest, best = Criterion(0, rest), variance = rest / numbers, overfull = double.PositiveInfinity;
        int chosen = 0;
        if (total == 0) return new(0, 0, false);
        Tensor basis = zeros([m, Math.Max(most, 1)], dtype: y.dtype), taken = zeros_like(norms);
        for (int k = 1; k <= most; k++)
        {
            cancel.ThrowIfCancellationRequested();
            using var step = NewDisposeScope();
            Tensor pulls = correlate(residual).abs().square().sum([1]).sqrt().div(norms).sub(taken);
            long index = pulls.argmax().item<long>();
            taken[index] = double.PositiveInfinity;
            Tensor direction = column(index).div(norms[index]).unsqueeze(1), before = basis.narrow(1, 0, k - 1);
            for (int pass = 0; pass < 2; pass++) direction = direction.sub(before.mm(before.mH.mm(direction)));
            double length = direction.abs().square().sum().sqrt().item<double>();

            // It depends on those before it: it explains nothing more.
            if (length <= 1e-7) continue;
            direction = direction.div(length);
            basis.narrow(1, k - 1, 1).copy_(direction);
            residual = residual.sub(direction.mm(direction.mH.mm(residual))).MoveToOuterDisposeScope();
            rest = Power(residual);
            double criterion = Criterion(k, rest);
            if (criterion < best) (best, chosen, variance) = (criterion, k, rest / ((m - k) * (double)snapshots));
            if (2 * k > m) overfull = Math.Min(overfull, criterion);
            if (rest <= 1e-20 * total) break;
        }

        // A wide dictionary explains half the measurements even of pure noise by choice: there the estimate falls without end.
        bool isIdentified = (m > 2 && chosen < most && 2 * chosen <= m && overfull - best >= 2 * Math.Log(n)) || (most == n && n < m);
        return new(variance, chosen, isIdentified);

        // Below 1e-20 of the power of y a residual is rounding.
        double Criterion(int k, double rss) =>
            (numbers * Math.Log(Math.Max(rss, 1e-20 * total) / numbers)) + (k * ((snapshots * Math.Log(numbers)) + (2 * Math.Log(n))));
    }

    private static double Power(Tensor values) => values.abs().square().sum().item<double>();
}
