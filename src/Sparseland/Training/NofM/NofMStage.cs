using System.Globalization;

namespace Sparseland.Training.NofM;

/// <summary>What all pruned layers do in one step of a training.</summary>
/// <param name="N">Kept of a run.</param>
/// <param name="M">Length of a run; with N = M the layer is dense.</param>
/// <param name="PrunedFactor">beta: what pruned weights are multiplied with in the forward pass, from 0 to 1.</param>
/// <param name="Flow">What of the gradient reaches pruned weights.</param>
/// <param name="Pull">lambda: what is added to their gradient, times the weight.</param>
public sealed record NofMStage(int N, int M, double PrunedFactor, GradientFlow Flow, double Pull)
{
    /// <summary>Share of the effective weight that is not zero.</summary>
    public double Density => PrunedFactor > 0 ? 1 : (double)N / M;

    /// <summary>The rule of a layer in this step.</summary>
    public MaskedWeight Rule => new(PruningPattern.NofM(N, M), PrunedFactor, Flow, Pull);

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{N}:{M}, factor {PrunedFactor:0.####}, {Flow}{(Pull == 0 ? "" : $", pull {Pull:0.####}")}");
}
