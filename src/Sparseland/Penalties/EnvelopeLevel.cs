using System.Buffers;
using Sparseland.Tensors;

namespace Sparseland.Penalties;

/// <summary>
/// The weighted group sparse envelope on the norms of the groups, n_j = ||x_j||: its value, its budget u and its proximal operator,
/// which multiplies each group by one number (Refael, Arbel and Huleihel, arXiv 2212.12921; Beck and Refael 2022 for single
/// coefficients). Everything hangs on one number, the level theta, at which the budgets u_j = clip(a_j/theta - c_j, 0, 1) add up to
/// k; here a_j = sqrt(d_j) n_j, and c_j = strength d_j for the prox or 0 for the value. (The paper's tau is 1/theta.)
/// </summary>
/// <remarks>
/// Read as thresholds: a group with a_j above theta (1 + c_j) is kept and pays only the ridge factor 1/(1 + c_j); one below theta c_j
/// is set to zero; between the two its norm is cut by theta c_j/sqrt(d_j), as the group lasso would. The data choose theta.
/// Arguments: norms, not negative; k from 1 to their number; d_j positive, all 1 where the span is empty. Expected time linear in the
/// number of groups, buffers from the shared pool.
/// </remarks>
public static class EnvelopeLevel
{
    /// <summary>The envelope GS_k = 1/2 min sum a_j^2/u_j over 0 &lt;= u_j &lt;= 1, sum u_j &lt;= k, without a strength.</summary>
    /// <param name="norms">n_j, one per group.</param>
    /// <param name="k">Groups that cost nothing but their square.</param>
    /// <param name="weights">d_j; empty, the default, for ones.</param>
    /// <exception cref="ArgumentException">k, a norm or a weight is out of its range.</exception>
    public static double Value(ReadOnlySpan<double> norms, int k, ReadOnlySpan<double> weights = default)
    {
        Check(norms, k, weights);
        return Value(norms, k, 1, weights);
    }

    /// <summary>strength GS_k, in units of the largest norm: a square would leave the range long before the norms do.</summary>
    internal static double Value(ReadOnlySpan<double> norms, int k, double strength, ReadOnlySpan<double> weights)
    {
        double unit = Unit(norms, weights), theta = Find(norms, k, 0, weights) / unit, squares = 0, rest = 0;
        for (int j = 0; j < norms.Length; j++)
        {
            double a = Magnitude(norms, weights, j) / unit;
            if (a >= theta) squares += a * a;
            else rest += a;
        }

        // a^2/u with u = a/theta.
        return Scaled.Product(strength * ((squares + (theta * rest)) / 2), unit, unit);
    }

    /// <summary>theta, at which the budgets add up to k; 0 where at most k groups are not zero, so that each of them gets 1.</summary>
    /// <param name="norms">n_j, one per group.</param>
    /// <param name="k">Sum of the budgets.</param>
    /// <param name="strength">Step times lambda for the prox, 0 for the value.</param>
    /// <param name="weights">d_j; empty, the default, for ones.</param>
    /// <exception cref="ArgumentException">k, the strength, a norm or a weight is out of its range.</exception>
    public static double Of(ReadOnlySpan<double> norms, int k, double strength, ReadOnlySpan<double> weights = default)
    {
        Check(norms, k, weights);
        CheckStrength(strength);
        return Find(norms, k, strength, weights);
    }

    /// <summary>The budgets u_j at a level.</summary>
    /// <param name="norms">n_j, one per group.</param>
    /// <param name="theta">The level, of the same strength and weights.</param>
    /// <param name="strength">Step times lambda for the prox, 0 for the value.</param>
    /// <param name="budgets">Receives u_j.</param>
    /// <param name="weights">d_j; empty, the default, for ones.</param>
    /// <exception cref="ArgumentException">An argument is out of its range.</exception>
    public static void Budgets(
        ReadOnlySpan<double> norms, double theta, double strength, Span<double> budgets, ReadOnlySpan<double> weights = default)
    {
        Check(norms, 1, weights);
        CheckLevel(theta);
        CheckStrength(strength);
        Guard.SameLength(norms.Length, budgets.Length, nameof(norms), nameof(budgets));
        for (int j = 0; j < norms.Length; j++)
        {
            double a = Magnitude(norms, weights, j), c = strength * Weight(weights, j);
            budgets[j] = a == 0 || theta >= a / c ? 0 : theta <= a / (1 + c) ? 1 : (a / theta) - c;
        }
    }

    /// <summary>
    /// The prox of strength GS_k: group j becomes scales[j] times itself, scales[j] = u_j/(u_j + c_j). It is exactly 0 where u_j is.
    /// </summary>
    /// <param name="norms">n_j, one per group; may be the same memory as <paramref name="scales"/>.</param>
    /// <param name="k">Groups that pay only the ridge.</param>
    /// <param name="strength">Step times lambda, positive.</param>
    /// <param name="scales">Receives the factors, from 0 to 1.</param>
    /// <param name="weights">d_j; empty, the default, for ones.</param>
    /// <exception cref="ArgumentException">k, the strength, a norm or a weight is out of its range.</exception>
    public static void Scales(
        ReadOnlySpan<double> norms, int k, double strength, Span<double> scales, ReadOnlySpan<double> weights = default)
    {
        Check(norms, k, weights);
        Finite.Positive(strength);
        Guard.SameLength(norms.Length, scales.Length, nameof(norms), nameof(scales));
        ScalesUnchecked(norms, k, strength, scales, weights);
    }

    internal static void ScalesUnchecked(ReadOnlySpan<double> norms, int k, double strength, Span<double> scales, ReadOnlySpan<double> weights)
    {
        double theta = Find(norms, k, strength, weights);
        for (int j = 0; j < norms.Length; j++)
        {
            // u/(u + c) with u = a/theta - c is 1 - theta c/a.
            double a = Magnitude(norms, weights, j), c = strength * Weight(weights, j);
            scales[j] = a == 0 || theta >= a / c ? 0 : theta <= a / (1 + c) ? 1 / (1 + c) : 1 - (theta / a * c);
        }
    }

    /// <summary>
    /// Selection instead of sorting: a pivot taken among the breakpoints a_j/(1 + c_j) and a_j/c_j inside the bracket halves them on
    /// average, and groups without a breakpoint left in the bracket are summed up once and for all.
    /// </summary>
    internal static double Find(ReadOnlySpan<double> norms, int k, double strength, ReadOnlySpan<double> weights)
    {
        double[] pool = ArrayPool<double>.Shared.Rent(2 * norms.Length);
        double unit = Unit(norms, weights);
        try
        {
            Span<double> a = pool.AsSpan(0, norms.Length), c = pool.AsSpan(norms.Length, norms.Length);
            int open = 0;
            for (int j = 0; j < norms.Length; j++)
            {
                double magnitude = Magnitude(norms, weights, j);
                if (magnitude == 0) continue;
                a[open] = magnitude / unit;
                c[open++] = strength * Weight(weights, j);
            }

            return open <= k ? 0 : Search(a[..open], c[..open], k) * unit;
        }
        finally
        {
            ArrayPool<double>.Shared.Return(pool);
        }
    }

    private static double Search(Span<double> a, Span<double> c, int k)
    {
        double low = 0, high = double.PositiveInfinity, sumA = 0, sumC = 0;
        int open = a.Length, full = 0;
        for (ulong round = 1; open > 0; round++)
        {
            double pivot = Pivot(a, c, (int)(SeededRandom.Mix(round) % (ulong)open), low, high);
            double total = full + (sumA / pivot) - sumC;
            for (int j = 0; j < open; j++) total += Math.Clamp((a[j] / pivot) - c[j], 0, 1);
            if (total == k) return pivot;
            if (total > k) low = pivot;
            else high = pivot;
            int kept = 0;
            for (int j = 0; j < open; j++)
            {
                double one = a[j] / (1 + c[j]), zero = a[j] / c[j];
                if (one >= high)
                {
                    full++;
                }
                else if (zero > low)
                {
                    if (one > low || zero < high)
                    {
                        (a[kept], c[kept]) = (a[j], c[j]);
                        kept++;
                    }
                    else
                    {
                        sumA += a[j];
                        sumC += c[j];
                    }
                }
            }

            open = kept;
        }

        // No breakpoint between low and high: k = full + sumA/theta - sumC, or all of the flat stretch where k groups are full.
        double rest = k - full + sumC;
        return sumA == 0 || rest <= 0 ? low + ((high - low) / 2) : Math.Clamp(sumA / rest, low, high);
    }

    private static double Pivot(ReadOnlySpan<double> a, ReadOnlySpan<double> c, int j, double low, double high)
    {
        double one = a[j] / (1 + c[j]);
        return one > low && one < high ? one : a[j] / c[j];
    }

    /// <summary>1 where no sum or square of the a_j can leave the range, else the largest of them.</summary>
    private static double Unit(ReadOnlySpan<double> norms, ReadOnlySpan<double> weights)
    {
        double max = 0;
        for (int j = 0; j < norms.Length; j++) max = Math.Max(max, Magnitude(norms, weights, j));
        return max is > 1e-100 and < 1e100 or 0 ? 1 : max;
    }

    private static double Weight(ReadOnlySpan<double> weights, int j) => weights.IsEmpty ? 1 : weights[j];

    private static double Magnitude(ReadOnlySpan<double> norms, ReadOnlySpan<double> weights, int j)
        => weights.IsEmpty ? norms[j] : Math.Sqrt(weights[j]) * norms[j];

    private static void Check(ReadOnlySpan<double> norms, int k, ReadOnlySpan<double> weights)
    {
        if (norms.IsEmpty) throw new ArgumentException("There are no norms; an envelope needs at least one group.", nameof(norms));
        CheckCount(k, norms.Length);
        for (int j = 0; j < norms.Length; j++)
        {
            if (!(norms[j] >= 0) || !double.IsFinite(norms[j]))
                throw new ArgumentException($"norms[{j}] is {norms[j]}; a norm must be finite and not negative.", nameof(norms));
        }

        if (!weights.IsEmpty) CheckWeights(weights, norms.Length);
    }

    internal static void CheckCount(int k, int groups)
    {
        if (k < 1 || k > groups) throw new ArgumentOutOfRangeException(nameof(k), k, $"k must be from 1 to {groups}, the number of groups.");
    }

    internal static void CheckWeights(ReadOnlySpan<double> weights, int groups)
    {
        if (weights.Length != groups) throw new ArgumentException($"There are {weights.Length} weights for {groups} groups.", nameof(weights));
        for (int j = 0; j < weights.Length; j++)
        {
            if (!(weights[j] > 0) || !double.IsFinite(weights[j]))
                throw new ArgumentOutOfRangeException(nameof(weights), weights[j], $"weights[{j}] must be positive and finite.");
        }
    }

    private static void CheckStrength(double strength)
    {
        Finite.NotNegative(strength);
    }

    private static void CheckLevel(double theta)
    {
        Finite.NotNegative(theta);
    }
}
