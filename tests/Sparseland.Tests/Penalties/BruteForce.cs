namespace Sparseland.Tests.Penalties;

/// <summary>Minimization by looking everywhere: a fine grid with 0, then golden section around the best point.</summary>
internal static class BruteForce
{
    public static double Minimize(Func<double, double> objective, double low, double high, int points = 4001)
    {
        double width = (high - low) / (points - 1), best = 0, value = objective(0);
        for (int i = 0; i < points; i++)
        {
            double x = low + i * width;
            if (objective(x) < value) (best, value) = (x, objective(x));
        }

        if (best == 0) return 0;
        double a = best - width, b = best + width, ratio = (Math.Sqrt(5) - 1) / 2;
        while (b - a > 1e-12)
        {
            double c = b - ratio * (b - a), d = a + ratio * (b - a);
            if (objective(c) < objective(d)) b = d;
            else a = c;
        }

        double refined = (a + b) / 2;
        return objective(0) <= objective(refined) ? 0 : refined;
    }
}
