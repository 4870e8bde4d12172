namespace Sparseland.Training.Continual;

/// <summary>Where the mask of a task may grow.</summary>
public enum GrowthCandidates
{
    /// <summary>Everywhere: weights of earlier tasks come in with their stored values.</summary>
    All,

    /// <summary>Only where no earlier task has a weight; what the task shares can then only shrink.</summary>
    FreeOnly,
}
