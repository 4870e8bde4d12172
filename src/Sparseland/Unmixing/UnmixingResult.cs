using Sparseland.Solvers;
using Sparseland.Tensors;
using static TorchSharp.torch;

namespace Sparseland.Unmixing;

/// <summary>What <see cref="SpectralUnmixing"/> found. Owns its tensors.</summary>
/// <param name="Endmembers">M [channels, endmembers], in the scale of the data.</param>
/// <param name="Abundances">A [endmembers, pixels], columns of sum one.</param>
/// <param name="GuidanceMap">h_n [pixels]; the power of pixel n was 1 - h_n.</param>
/// <param name="ChannelWeights">u_l [channels] at the end, before A was normalised; all 1 for the squared loss. Bad channels have the smallest.</param>
/// <param name="ObjectiveTrace">The objective at the start and after every sweep, with the guidance map of that sweep.</param>
/// <param name="GuidanceSweeps">Sweeps, from 1, before which the guidance map was learned anew: only there may the trace rise.</param>
/// <param name="Sweeps">Sweeps done.</param>
/// <param name="StopReason">RelativeChange where the objective changed little in a sweep, IterationLimit where the sweeps ran out.</param>
/// <param name="ClippedValues">Negative data that were set to 0.</param>
public sealed record UnmixingResult(
    Tensor Endmembers, Tensor Abundances, IReadOnlyList<double> GuidanceMap, IReadOnlyList<double> ChannelWeights, IReadOnlyList<double> ObjectiveTrace,
    IReadOnlyList<int> GuidanceSweeps, int Sweeps, StopReason StopReason, long ClippedValues) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Endmembers, Abundances);

    /// <summary>Mean of the guidance map. Near the cap it says that the feedback ran away: lambda is too large.</summary>
    public double MeanGuidance => GuidanceMap.Average();

    /// <inheritdoc/>
    public void Dispose()
    {
        Endmembers.Dispose();
        Abundances.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
