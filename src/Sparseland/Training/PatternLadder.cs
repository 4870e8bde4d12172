using Sparseland.Evaluation;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>One way to prune a trained network.</summary>
/// <param name="Name">Name of the pattern.</param>
/// <param name="Density">Share of the masked weights that stayed.</param>
/// <param name="Before">Test accuracy right after pruning, from 0 to 1.</param>
/// <param name="After">Test accuracy after fine-tuning.</param>
public sealed record PatternRung(string Name, double Density, double Before, double After)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>What structure costs: one trained network, pruned in several patterns and fine-tuned alike.</summary>
public static class PatternLadder
{
    /// <summary>Prunes and fine-tunes once for each pattern, always from the same network.</summary>
    /// <param name="workbench">A network of the same make, in which it is done; it is left as the last one.</param>
    /// <param name="dense">The trained network; it stays.</param>
    /// <param name="patterns">Names, and from the network as it was trained to the masks that a pattern gives it (disposed here).</param>
    /// <param name="train">Training samples and their class numbers.</param>
    /// <param name="test">Test samples and their class numbers.</param>
    /// <param name="fineTune">Length and rate of the fine-tuning, whose optimizer is fresh.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <exception cref="ArgumentException">There is no pattern, or network, masks or samples do not fit.</exception>
    public static IReadOnlyList<PatternRung> Run(
        nn.Module<Tensor, Tensor> workbench, SparseSnapshot dense, IReadOnlyList<(string Name, Func<nn.Module<Tensor, Tensor>, MaskSet> Prune)> patterns, (Tensor X, Tensor Labels) train,
        (Tensor X, Tensor Labels) test, SparseTrainingOptions fineTune, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(workbench);
        ArgumentNullException.ThrowIfNull(dense);
        ArgumentNullException.ThrowIfNull(patterns);
        ArgumentNullException.ThrowIfNull(fineTune);
        if (patterns.Count == 0) throw new ArgumentException("There is no pattern to prune by.", nameof(patterns));
        var rungs = new List<PatternRung>();
        foreach ((string name, Func<nn.Module<Tensor, Tensor>, MaskSet> prune) in patterns)
        {
            dense.CopyTo(workbench)?.Dispose();
            using MaskSet masks = prune(workbench);
            masks.Apply();
            double before = Accuracy.Of(workbench, test.X, test.Labels);
            SparseTraining.Run(workbench, SparseTraining.Static, train.X, train.Labels, masks, fineTune, cancel: cancel).Dispose();
            rungs.Add(new(name, masks.Density, before, Accuracy.Of(workbench, test.X, test.Labels)));
        }

        return rungs;
    }
}
