using Sparseland.Tensors;

namespace Sparseland.Pruning.Unlearning;

/// <summary>
/// Support vector classifier of two classes on one feature with the kernel exp(-gamma (x - x')^2), trained by sequential minimal optimisation with second-order choice
/// of pairs (Fan, Chen and Lin 2005): the problem, stopping rule and offset of LIBSVM, so that predictions agree with scikit-learn's SVC.
/// </summary>
public sealed class RbfSvc
{
    private const double Tau = 1e-12;
    private readonly double[] _x;
    private readonly double[] _coefficients;

    private RbfSvc(double[] x, double[] coefficients, double offset, double gamma, int iterations, bool converged)
    {
        int[] support = [.. Enumerable.Range(0, x.Length).Where(i => coefficients[i] != 0)];
        (_x, _coefficients) = ([.. support.Select(i => x[i])], [.. support.Select(i => coefficients[i])]);
        (Offset, Gamma, Iterations, Converged) = (offset, gamma, iterations, converged);
    }

    /// <summary>b, what is added to the kernel sum.</summary>
    public double Offset { get; }

    /// <summary>gamma.</summary>
    public double Gamma { get; }

    /// <summary>Pairs that were optimised.</summary>
    public int Iterations { get; }

    /// <summary>Whether the largest violation of the optimality conditions is below the tolerance.</summary>
    public bool Converged { get; }

    /// <summary>Support vectors.</summary>
    public int SupportVectors => _x.Length;

    /// <summary>Trains.</summary>
    /// <param name="x">The feature of each sample, finite.</param>
    /// <param name="positive">Class of each sample.</param>
    /// <param name="c">C, bound of each coefficient, positive. Default 3.</param>
    /// <param name="gamma">gamma, positive. Default 1, scikit-learn's "auto" for one feature.</param>
    /// <param name="tolerance">Largest violation at the end, positive. Default 1e-3.</param>
    /// <param name="maxIterations">Most pairs. Default 1,000,000.</param>
    /// <param name="cancel">Checked every hundred pairs.</param>
    /// <exception cref="ArgumentException">No sample of a class, lengths that differ, or a number out of its range.</exception>
    public static RbfSvc Fit(
        IReadOnlyList<double> x, IReadOnlyList<bool> positive, double c = 3, double gamma = 1, double tolerance = 1e-3, int maxIterations = 1_000_000, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(positive);
        if (x.Count != positive.Count) throw new ArgumentException($"There are {x.Count} samples and {positive.Count} classes.", nameof(positive));
        if (!positive.Contains(true) || !positive.Contains(false)) throw new ArgumentException("Both classes need a sample.", nameof(positive));
        for (int i = 0; i < x.Count; i++)
        {
            if (!double.IsFinite(x[i])) throw new ArgumentException($"Sample {i} is {x[i]}; all must be finite.", nameof(x));
        }

        Finite.Positive(c);
        Finite.Positive(gamma);
        if (!(tolerance > 0)) throw new ArgumentOutOfRangeException(nameof(tolerance), tolerance, "The tolerance must be positive.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxIterations);

        int n = x.Count, iterations = 0;
        double[] points = [.. x], y = [.. positive.Select(p => p ? 1.0 : -1)], alpha = new double[n], gradient = new double[n], rowI = new double[n], rowJ = new double[n];
        Array.Fill(gradient, -1);
        bool converged = false;
        for (; iterations < maxIterations; iterations++)
        {
            if (iterations % 100 == 0) cancel.ThrowIfCancellationRequested();

            // i: the largest -y G among those that may go up; j: the largest fall of the objective among those that may go down.
            int i = -1, j = -1;
            double up = double.NegativeInfinity, down = double.NegativeInfinity, best = double.PositiveInfinity;
            for (int t = 0; t < n; t++)
            {
                if ((y[t] > 0 ? alpha[t] < c : alpha[t] > 0) && -y[t] * gradient[t] >= up) (up, i) = (-y[t] * gradient[t], t);
            }

            if (i >= 0) Row(points, i, gamma, rowI);
            for (int t = 0; t < n; t++)
            {
                if (!(y[t] > 0 ? alpha[t] > 0 : alpha[t] < c)) continue;
                double violation = y[t] * gradient[t], b = up + violation;
                down = Math.Max(down, violation);
                if (i < 0 || b <= 0) continue;
                double fall = -(b * b) / Math.Max(2 - (2 * rowI[t]), Tau);
                if (fall <= best) (best, j) = (fall, t);
            }

            if (up + down < tolerance || j < 0)
            {
                converged = true;
                break;
            }

            Row(points, j, gamma, rowJ);
            (double oldI, double oldJ) = (alpha[i], alpha[j]);
            Pair(alpha, gradient, y, i, j, Math.Max(2 - (2 * rowI[j]), Tau), c);
            double di = y[i] * (alpha[i] - oldI), dj = y[j] * (alpha[j] - oldJ);
            for (int t = 0; t < n; t++) gradient[t] += y[t] * ((rowI[t] * di) + (rowJ[t] * dj));
        }

        double[] coefficients = [.. alpha.Select((a, t) => a * y[t])];
        return new(points, coefficients, -Rho(alpha, gradient, y, c), gamma, iterations, converged);
    }

    /// <summary>sum_i y_i alpha_i K(x_i, x) + b; positive for the positive class.</summary>
    /// <param name="x">The feature.</param>
    public double Decision(double x)
    {
        double sum = Offset;
        for (int i = 0; i < _x.Length; i++) sum += _coefficients[i] * Math.Exp(-Gamma * (_x[i] - x) * (_x[i] - x));
        return sum;
    }

    /// <summary>Whether a sample is of the positive class.</summary>
    /// <param name="x">The feature.</param>
    public bool Predict(double x) => Decision(x) > 0;

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    /// <summary>LIBSVM's solution for two coefficients within the box, their sum (or difference) fixed.</summary>
    private static void Pair(double[] alpha, double[] gradient, double[] y, int i, int j, double curvature, double c)
    {
        if (y[i] != y[j])
        {
            double delta = (-gradient[i] - gradient[j]) / curvature, difference = alpha[i] - alpha[j];
            alpha[i] += delta;
            alpha[j] += delta;
            if (difference > 0 && alpha[j] < 0) (alpha[j], alpha[i]) = (0, difference);
            if (difference <= 0 && alpha[i] < 0) (alpha[i], alpha[j]) = (0, -difference);
            if (difference > 0 && alpha[i] > c) (alpha[i], alpha[j]) = (c, c - difference);
            if (difference <= 0 && alpha[j] > c) (alpha[j], alpha[i]) = (c, c + difference);
        }
        else
        {
            double delta = (gradient[i] - gradient[j]) / curvature, sum = alpha[i] + alpha[j];
            alpha[i] -= delta;
            alpha[j] += delta;
            if (sum > c && alpha[i] > c) (alpha[i], alpha[j]) = (c, sum - c);
            if (sum <= c && alpha[j] < 0) (alpha[j], alpha[i]) = (0, sum);
            if (sum > c && alpha[j] > c) (alpha[j], alpha[i]) = (c, sum - c);
            if (sum <= c && alpha[i] < 0) (alpha[i], alpha[j]) = (0, sum);
        }
    }

    /// <summary>LIBSVM's rho: the mean over free coefficients, or the middle between the bounds that the others give.</summary>
    private static double Rho(double[] alpha, double[] gradient, double[] y, double c)
    {
        double upper = double.PositiveInfinity, lower = double.NegativeInfinity, sum = 0;
        int free = 0;
        for (int t = 0; t < alpha.Length; t++)
        {
            double yg = y[t] * gradient[t];
            if (alpha[t] > 0 && alpha[t] < c)
            {
                free++;
                sum += yg;
            }
            else if ((alpha[t] >= c) == (y[t] < 0))
            {
                upper = Math.Min(upper, yg);
            }
            else
            {
                lower = Math.Max(lower, yg);
            }
        }

        return free > 0 ? sum / free : (upper + lower) / 2;
    }

    private static void Row(double[] x, int i, double gamma, double[] row)
    {
        double centre = x[i];
        for (int t = 0; t < x.Length; t++) row[t] = Math.Exp(-gamma * (x[t] - centre) * (x[t] - centre));
    }
}
