using Sparseland.Penalties;

namespace Sparseland.Solvers;

/// <summary>Minimizes f(a) + pen(a) for a data fit f and a penalty.</summary>
public interface ISolver
{
    /// <summary>Name as the field knows it.</summary>
    string Name { get; }

    /// <summary>Minimizes, or for non-convex penalties finds a stationary point.</summary>
    /// <param name="fit">f.</param>
    /// <param name="penalty">pen.</param>
    /// <param name="initial">Where to start [inputs]; zero if empty, the default.</param>
    /// <param name="progress">Iterations done, of the limit.</param>
    /// <param name="cancel">Checked at every look.</param>
    /// <exception cref="ArgumentException">Lengths differ, a value is not finite, or the solver cannot take this pair.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    SolveResult Solve(
        IDataFit fit,
        IPenalty penalty,
        ReadOnlySpan<double> initial = default,
        IProgress<ProgressReport>? progress = null,
        CancellationToken cancel = default);
}
