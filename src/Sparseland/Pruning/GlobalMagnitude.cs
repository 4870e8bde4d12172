using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>What one pruning did.</summary>
/// <param name="Kept">Weights kept now.</param>
/// <param name="Size">All prunable weights.</param>
/// <param name="Removed">Share of the weights kept before that went.</param>
/// <param name="NormDrop">sqrt(|w|^2 - |w pruned|^2) / |w|, over the prunable weights; 0 where all were zero.</param>
public sealed record PruningStep(long Kept, long Size, double Removed, double NormDrop)
{
    /// <summary>Share of weights that are gone.</summary>
    public double Sparsity => 1 - ((double)Kept / Size);

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>Global magnitude pruning: of the weights that are still there, in all layers together, the largest in size stay.</summary>
public static class GlobalMagnitude
{
    /// <summary>Masks that keep every prunable weight.</summary>
    /// <param name="model">The network.</param>
    /// <param name="names">Prunable parameters; null, the default, for those of <see cref="PrunableWeights"/>.</param>
    /// <exception cref="ArgumentException">An unknown or tied parameter.</exception>
    public static MaskSet DenseMasks(nn.Module model, IReadOnlyList<string>? names = null) => MaskSet.Random(model, 1, 0, names ?? PrunableWeights.Names(model));

    /// <summary>Prunes in place: masks shrink to the largest weights among those they kept, and are applied. Equal sizes: the earlier weight stays.</summary>
    /// <param name="model">The network.</param>
    /// <param name="masks">Its masks.</param>
    /// <param name="kept">Weights to keep in all, from one per layer to as many as there are now.</param>
    /// <exception cref="ArgumentException">
    /// A number out of its range, a weight that is not finite, or a layer that would be left without any weight, which is named; nothing has changed then.
    /// </exception>
    public static PruningStep Prune(nn.Module model, MaskSet masks, long kept)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(masks);
        long before = masks.Active;
        if (kept > before || kept < masks.Names.Count)
            throw new ArgumentOutOfRangeException(nameof(kept), kept, $"From {masks.Names.Count}, one weight per layer, to {before} weights can be kept, as many as there are now.");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        double norm = SquaredNorm(masks);
        using MaskSet chosen = MaskSet.FromScores(model, MagnitudeScore.Of(model, masks.Names), PruningPattern.Global((double)(before - kept) / before), masks);
        foreach (string name in masks.Names) masks.Set(name, chosen[name]);
        double left = SquaredNorm(masks);
        masks.Apply();
        return new(masks.Active, masks.Size, (double)(before - kept) / before, norm == 0 ? 0 : Math.Sqrt(Math.Max(0, 1 - (left / norm))));
    }

    /// <summary>Of the kept weights, in float64.</summary>
    private static double SquaredNorm(MaskSet masks) =>
        masks.Names.Sum(name => masks.ParameterOf(name).to(ScalarType.Float64).masked_fill(masks[name].logical_not(), 0).square().sum().item<double>());
}
