using Sparseland.Evaluation;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Scripting;

namespace Sparseland.Kernel.Running;

/// <summary>How the run of a notebook ended.</summary>
public enum RunStatus
{
    /// <summary>Every cell ran to its end, or was allowed to throw.</summary>
    Passed,

    /// <summary>A cell did not compile, or threw.</summary>
    Failed,

    /// <summary>A cell took longer than allowed and was stopped.</summary>
    TimedOut,

    /// <summary>The process that ran the cells ended by itself.</summary>
    Crashed,
}

/// <summary>What became of a notebook.</summary>
/// <param name="Path">The file.</param>
/// <param name="Notebook">The notebook with its new outputs.</param>
/// <param name="Status">How it ended.</param>
/// <param name="FailedCell">Number of the code cell (counted from 1, as front ends show it in brackets) that ended it, or null.</param>
/// <param name="Error">What went wrong, or null.</param>
/// <param name="Elapsed">Time from the start of the process to the end of the last cell.</param>
/// <param name="PeakMemory">The most memory that the process held, in bytes.</param>
/// <param name="Claims">What the notebook claims and what was measured.</param>
/// <param name="Regressed">Claims that held in the outputs stored before and do not hold now.</param>
public sealed record NotebookRun(
    string Path,
    Notebook Notebook,
    RunStatus Status,
    int? FailedCell,
    CellError? Error,
    TimeSpan Elapsed,
    long PeakMemory,
    IReadOnlyList<Claim> Claims,
    IReadOnlyList<Claim> Regressed)
{
    /// <summary>Cells that threw and were allowed to (the tag raises-exception, or <see cref="RunOptions.AllowErrors"/>).</summary>
    public int ToleratedErrors { get; init; }

    /// <summary>Whether every cell ran and no claim was lost.</summary>
    public bool IsGood => Status == RunStatus.Passed && Regressed.Count == 0;

    /// <summary>How many of its claims held, by origin.</summary>
    public ClaimCounts Counts => ClaimCounts.Of(Claims);

    /// <summary>Claims that count.</summary>
    public int Stated => Counts.Stated;

    /// <summary>Claims that count and held.</summary>
    public int Held => Counts.Held;
}

/// <summary>Where the run of a notebook stands.</summary>
/// <param name="Path">The file.</param>
/// <param name="Cell">Number of the code cell that starts now, counted from 1.</param>
/// <param name="Cells">How many code cells there are.</param>
/// <param name="Elapsed">Time since the start.</param>
public sealed record RunProgress(string Path, int Cell, int Cells, TimeSpan Elapsed);
