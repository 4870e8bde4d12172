namespace Sparseland.Solvers;

/// <summary>min ||C g - b|| over g >= 0 by the active-set method of Lawson and Hanson (1974, ch. 23), for few unknowns.</summary>
internal static class NonNegativeLeastSquares
{
    /// <summary>The solution for C [rows, unknowns] and b [rows].</summary>
    public static double[] Solve(double[,] c, ReadOnlySpan<double> b)
    {
        int rows = b.Length, n = c.GetLength(1);
        double[,] gram = new double[n, n];
        double[] target = new double[n];
        for (int i = 0; i < n; i++)
        {
            for (int r = 0; r < rows; r++) target[i] += c[r, i] * b[r];
            for (int j = 0; j < n; j++)
            {
                for (int r = 0; r < rows; r++) gram[i, j] += c[r, i] * c[r, j];
            }
        }

        return SolveGram(gram, target);
    }

    /// <summary>The same from C^T C and C^T b, which is all the method needs.</summary>
    public static double[] SolveGram(double[,] gram, double[] target)
    {
        int n = target.Length;
        double scale = 0;
        for (int i = 0; i < n; i++) scale = Math.Max(scale, Math.Abs(target[i]));
        double[] g = new double[n];
        bool[] passive = new bool[n], banned = new bool[n];
        for (int step = 0; step < 3 * n; step++)
        {
            int enter = -1;
            double steepest = 1e-12 * scale;
            for (int i = 0; i < n; i++)
            {
                if (passive[i] || banned[i]) continue;
                double slope = target[i];
                for (int j = 0; j < n; j++) slope -= gram[i, j] * g[j];
                if (slope > steepest) (enter, steepest) = (i, slope);
            }

            if (enter < 0) break;
            passive[enter] = true;
            while (true)
            {
                double[]? free = Restricted(gram, target, passive);

                // A column that depends on those in the set, or that would enter with a negative value by rounding, stays out.
                if (free is null || (passive[enter] && g[enter] == 0 && free[enter] <= 0))
                {
                    passive[enter] = false;
                    banned[enter] = true;
                    break;
                }

                double length = 1;
                int blocking = -1;
                for (int i = 0; i < n; i++)
                {
                    if (!passive[i] || free[i] > 0) continue;
                    double reach = g[i] > 0 ? g[i] / (g[i] - free[i]) : 0;
                    if (reach < length) (length, blocking) = (reach, i);
                }

                for (int i = 0; i < n; i++)
                {
                    if (!passive[i]) continue;
                    g[i] += length * (free[i] - g[i]);

                    // The blocking one leaves whatever rounding left of it: every round makes the set smaller, so this ends.
                    if (i == blocking || (length < 1 && free[i] <= 0 && g[i] <= 1e-15 * Math.Abs(free[i]))) (g[i], passive[i]) = (0, false);
                }

                if (blocking < 0)
                {
                    Array.Clear(banned);
                    break;
                }
            }
        }

        return g;
    }

    /// <summary>The unconstrained solution on the passive set, zero elsewhere; null where its Gram matrix is singular.</summary>
    private static double[]? Restricted(double[,] gram, double[] target, bool[] passive)
    {
        int[] set = [.. Enumerable.Range(0, target.Length).Where(i => passive[i])];
        int k = set.Length;
        double[,] factor = new double[k, k];
        double[] z = new double[k], result = new double[target.Length];
        for (int i = 0; i < k; i++)
        {
            for (int j = 0; j <= i; j++)
            {
                double sum = gram[set[i], set[j]];
                for (int r = 0; r < j; r++) sum -= factor[i, r] * factor[j, r];
                if (i != j)
                {
                    factor[i, j] = sum / factor[j, j];
                    continue;
                }

                if (sum <= 1e-14 * gram[set[i], set[i]]) return null;
                factor[i, i] = Math.Sqrt(sum);
            }

            z[i] = target[set[i]];
            for (int r = 0; r < i; r++) z[i] -= factor[i, r] * z[r];
            z[i] /= factor[i, i];
        }

        for (int i = k - 1; i >= 0; i--)
        {
            for (int r = i + 1; r < k; r++) z[i] -= factor[r, i] * z[r];
            z[i] /= factor[i, i];
            result[set[i]] = z[i];
        }

        return result;
    }
}
