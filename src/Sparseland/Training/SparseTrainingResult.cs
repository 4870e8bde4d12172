using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>How much of the network had been active after a step.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Rate">R_s, places that have ever been active over all.</param>
public sealed record ExplorationPoint(long Step, double Rate);

/// <summary>What a sparse training leaves behind beside the network.</summary>
/// <param name="Method">Name of the method.</param>
/// <param name="Training">Losses, rates, seconds.</param>
/// <param name="Masks">The masks at the end, bound to the network; the caller's to dispose. Null for a dense training.</param>
/// <param name="PeakDensity">The highest share of active weights of any step; what the training must hold.</param>
/// <param name="AverageDensity">Mean share of active weights over the steps.</param>
/// <param name="RelativeCost">Multiplications of the whole training over those of a dense one of as many steps, dense gradients of updates included (<see cref="TrainingCost"/>).</param>
/// <param name="Exploration">R_s at the start and after each update; one point for masks that stay.</param>
/// <param name="Updates">Updates of the masks; none for masks that stay and for pruning.</param>
public sealed record SparseTrainingResult(
    string Method, TrainingResult Training, MaskSet? Masks, double PeakDensity, double AverageDensity, double RelativeCost, IReadOnlyList<ExplorationPoint> Exploration,
    IReadOnlyList<TopologyReport> Updates) : IDisposable
{
    /// <summary>Share of active weights at the end; 1 for a dense training.</summary>
    public double Density => Masks?.Density ?? 1;

    /// <summary>R_s at the end.</summary>
    public double ExplorationRate => Exploration[^1].Rate;

    /// <summary>Frees the masks; the network stays.</summary>
    public void Dispose() => Masks?.Dispose();

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
