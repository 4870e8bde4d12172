namespace Sparseland.Solvers;

/// <summary>Why an iteration ended. Shared by every iterative method of the library.</summary>
public enum StopReason
{
    /// <summary>The optimality that the method's documentation names holds to its tolerance.</summary>
    Converged,

    /// <summary>The iteration limit came first; nothing is promised.</summary>
    IterationLimit,

    /// <summary>
    /// The last step changed little, relative to the whole. That is a rule for saving time, not a measure of optimality: where steps are
    /// short it is met far from the optimum.
    /// </summary>
    RelativeChange,

    /// <summary>The iteration came to rest, but the data do not determine what was asked: the result says what is missing.</summary>
    NotIdentified,
}
