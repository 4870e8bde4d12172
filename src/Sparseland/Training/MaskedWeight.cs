using System.Globalization;
using Sparseland.Selection;
using Sparseland.Training.NofM;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// V = (m + beta (1 - m)) W with m the mask of the largest |W| under a pattern, chosen from W as it is now; see <see cref="StraightThrough.Weight"/> for the gradient. With beta = 0 and
/// <see cref="GradientFlow.StraightThrough"/> it is straight-through training (STE), with a pull SR-STE (Zhou et al. 2021).
/// </summary>
/// <param name="Pattern">Which weights compete, and how many stay; N:M counts along the inputs, of a convolution at each kernel position (<see cref="NofMLayout"/>).</param>
/// <param name="PrunedFactor">beta, from 0 to 1. Default 0.</param>
/// <param name="Flow">What reaches pruned weights. Default <see cref="GradientFlow.StraightThrough"/>.</param>
/// <param name="Pull">lambda, not negative. Default 0.</param>
public sealed record MaskedWeight(PruningPattern Pattern, double PrunedFactor = 0, GradientFlow Flow = GradientFlow.StraightThrough, double Pull = 0) : IWeightRule
{
    /// <summary>lambda of SR-STE's paper, found for stochastic gradient descent with momentum at rate 0.1.</summary>
    public const double UsualPull = 2e-4;

    /// <inheritdoc/>
    public Tensor Mask(Tensor raw)
    {
        ArgumentNullException.ThrowIfNull(raw);
        ArgumentNullException.ThrowIfNull(Pattern);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor size = raw.detach().abs();
        if (Pattern is NofMPattern runs)
        {
            return (runs.N == runs.M ? ones_like(size, dtype: ScalarType.Bool) : NofMLayout.Mask(size, runs.N, runs.M)).MoveToOuterDisposeScope();
        }

        return MaskSet.Keep(nameof(raw), size, Pattern).to(raw.device).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor Effective(Tensor raw, Tensor mask) => StraightThrough.Weight(raw, mask, PrunedFactor, Flow, Pull);

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Pattern}, factor {PrunedFactor:0.####}, {Flow}{(Pull == 0 ? "" : $", pull {Pull:0.####}")}");
}
