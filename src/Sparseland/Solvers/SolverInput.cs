using Sparseland.Penalties;

namespace Sparseland.Solvers;

/// <summary>Checks that all solvers share.</summary>
internal static class SolverInput
{
    /// <summary>The checked starting point, a new array.</summary>
    public static double[] Start(IDataFit fit, IPenalty penalty, ReadOnlySpan<double> initial)
    {
        ArgumentNullException.ThrowIfNull(fit);
        ArgumentNullException.ThrowIfNull(penalty);
        int n = fit.Map.Inputs;
        if (penalty.Length is int length && length != n)
            throw new ArgumentException($"The {penalty.Name} is for {length} coefficients, but the data fit has {n}.", nameof(penalty));
        if (initial.IsEmpty) return new double[n];
        if (initial.Length != n) throw new ArgumentException($"initial holds {initial.Length} coefficients, but the data fit has {n}.", nameof(initial));
        for (int i = 0; i < n; i++)
        {
            if (!double.IsFinite(initial[i])) throw new ArgumentException($"initial[{i}] is {initial[i]}; it must be finite.", nameof(initial));
        }

        if (double.IsPositiveInfinity(penalty.Value(initial)))
            throw new ArgumentException($"initial breaks the constraint of the {penalty.Name}.", nameof(initial));
        return initial.ToArray();
    }
}
