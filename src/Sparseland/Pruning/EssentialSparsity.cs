using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// Essential sparsity (Jaiswal, Liu, Chen, Wang 2023): remove the smallest weights of a pre-trained network in one shot, and see up to which share nothing happens.
/// </summary>
public static class EssentialSparsity
{
    /// <summary>One-shot magnitude pruning: the masks that keep the largest weights of all prunable layers together.</summary>
    /// <param name="model">The network; it does not change.</param>
    /// <param name="sparsity">Share that goes, from 0 to below 1.</param>
    /// <param name="names">Parameters that compete; null, the default, for those of <see cref="PrunableWeights"/>.</param>
    /// <returns>Masks; the caller disposes them. A layer may be empty: that is what "global" means.</returns>
    public static MaskSet OneShot(nn.Module model, double sparsity, IReadOnlyList<string>? names = null)
    {
        using DisposeScope scope = NewDisposeScope();
        return MaskSet.FromScores(model, MagnitudeScore.Of(model, names), PruningPattern.Global(sparsity), allowEmpty: true);
    }

    /// <summary>Prunes a network to one sparsity after another, each time from its dense weights, and evaluates it. Afterwards it is dense again.</summary>
    /// <param name="model">The network.</param>
    /// <param name="sparsities">Shares that go, rising from 0.</param>
    /// <param name="evaluate">The figure of the network as it is.</param>
    /// <param name="lowerIsBetter">Whether a lower figure is better, as for a loss.</param>
    /// <param name="prune">Masks at a sparsity; null, the default, for <see cref="OneShot"/>. They are disposed here.</param>
    /// <param name="progress">Told after each evaluation.</param>
    /// <param name="cancel">Checked before each evaluation.</param>
    /// <exception cref="ArgumentException">The sparsities do not rise from 0, or a figure is not finite.</exception>
    public static SparsityCurve Sweep(
        nn.Module model, IReadOnlyList<double> sparsities, Func<double> evaluate, bool lowerIsBetter, Func<double, MaskSet>? prune = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(sparsities);
        ArgumentNullException.ThrowIfNull(evaluate);
        SparsityCurve.Check(sparsities, nameof(sparsities));
        prune ??= s => OneShot(model, s);
        var points = new List<SparsityPoint>();
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (Parameter Parameter, Tensor Dense)[] kept = [.. model.parameters().Select(p => (p, p.detach().clone()))];
        try
        {
            foreach (double sparsity in sparsities)
            {
                cancel.ThrowIfCancellationRequested();
                if (sparsity > 0)
                {
                    using MaskSet masks = prune(sparsity);
                    masks.Apply();
                }

                points.Add(new(sparsity, evaluate()));
                Restore(kept);
                progress?.Report(new(points.Count, sparsities.Count, FormattableString.Invariant($"{sparsity:0%}: {points[^1].Value:G4}")));
            }
        }
        finally
        {
            Restore(kept);
        }

        return new(points, lowerIsBetter);
    }

    private static void Restore((Parameter Parameter, Tensor Dense)[] kept)
    {
        foreach ((Parameter parameter, Tensor dense) in kept) parameter.copy_(dense);
    }
}
