using Sparseland.Data;
using Sparseland.Evaluation;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>Figures of snapshots, each put into a workbench: a network of the same make whose own weights do not matter and are overwritten.</summary>
public static class SnapshotEvaluation
{
    /// <summary>Share of images that are classified right.</summary>
    /// <param name="network">The snapshot.</param>
    /// <param name="workbench">Where it is put.</param>
    /// <param name="set">The images.</param>
    /// <exception cref="ArgumentException">A workbench of another make.</exception>
    public static double Accuracy(this SparseSnapshot network, nn.Module<Tensor, Tensor> workbench, LabelledImages set)
    {
        Put(network, workbench, set);
        using Tensor X = set.Planes();
        return Evaluation.Accuracy.Of(workbench, X, set.Labels);
    }

    /// <summary>Soft-max outputs [samples, classes] in evaluation mode, float32; the caller disposes them.</summary>
    /// <param name="network">The snapshot.</param>
    /// <param name="workbench">Where it is put.</param>
    /// <param name="set">The images.</param>
    /// <exception cref="ArgumentException">A workbench of another make.</exception>
    public static Tensor Probabilities(this SparseSnapshot network, nn.Module<Tensor, Tensor> workbench, LabelledImages set)
    {
        Put(network, workbench, set);
        return Probabilities(workbench, set);
    }

    /// <summary>Soft-max outputs [samples, classes] of a network in evaluation mode; its mode is as before afterwards. The caller disposes them.</summary>
    /// <param name="model">The network.</param>
    /// <param name="set">The images.</param>
    public static Tensor Probabilities(nn.Module<Tensor, Tensor> model, LabelledImages set)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(set);
        using Tensor X = set.Planes(), logits = Logits.Of(model, X);
        return nn.functional.softmax(logits, 1);
    }

    /// <summary>Mean cross entropy in nats.</summary>
    /// <param name="network">The snapshot.</param>
    /// <param name="workbench">Where it is put.</param>
    /// <param name="set">The images.</param>
    /// <exception cref="ArgumentException">A workbench of another make.</exception>
    public static double Loss(this SparseSnapshot network, nn.Module<Tensor, Tensor> workbench, LabelledImages set)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor right = network.LogProbabilities(workbench, set).gather(1, set.Labels.unsqueeze(1));
        return -right.mean().item<double>();
    }

    /// <summary>Logarithms of the soft-max outputs, Float64: probabilities of float32 end at 1e-45, losses do not.</summary>
    internal static Tensor LogProbabilities(this SparseSnapshot network, nn.Module<Tensor, Tensor> workbench, LabelledImages set)
    {
        Put(network, workbench, set);
        using Tensor X = set.Planes(), logits = Logits.Of(workbench, X), wide = logits.to(ScalarType.Float64);
        return nn.functional.log_softmax(wide, 1);
    }

    /// <summary>Share of images that the mean of the networks' soft-max outputs gets right: as many times the work of one network as there are networks.</summary>
    /// <param name="networks">The networks, at least one.</param>
    /// <param name="workbench">Where they are put, one after another.</param>
    /// <param name="set">The images.</param>
    /// <exception cref="ArgumentException">No network, or a workbench of another make.</exception>
    public static double EnsembleAccuracy(IReadOnlyList<SparseSnapshot> networks, nn.Module<Tensor, Tensor> workbench, LabelledImages set)
    {
        ArgumentNullException.ThrowIfNull(networks);
        ArgumentNullException.ThrowIfNull(set);
        if (networks.Count == 0) throw new ArgumentException("There is no network.", nameof(networks));
        using DisposeScope scope = NewDisposeScope();
        Tensor mean = networks.Select(network => network.Probabilities(workbench, set)).Aggregate((a, b) => a + b);
        return mean.argmax(1).eq(set.Labels).to(ScalarType.Float64).mean().item<double>();
    }

    /// <summary>The same network with batch norm's statistics measured anew on training images.</summary>
    /// <param name="network">The snapshot; it stays.</param>
    /// <param name="workbench">Where it is put.</param>
    /// <param name="train">Training images.</param>
    /// <param name="cancel">Checked before each batch.</param>
    /// <returns>The caller's to dispose.</returns>
    /// <exception cref="ArgumentException">A workbench of another make.</exception>
    public static SparseSnapshot Recalibrated(this SparseSnapshot network, nn.Module<Tensor, Tensor> workbench, LabelledImages train, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(train);
        using MaskSet? masks = network.CopyTo(workbench);
        using Tensor X = train.Planes();
        RecalibrateBatchNorm.Run(workbench, X, cancel: cancel);
        return SparseSnapshot.Of(workbench, masks);
    }

    private static void Put(SparseSnapshot network, nn.Module<Tensor, Tensor> workbench, LabelledImages set)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(workbench);
        ArgumentNullException.ThrowIfNull(set);
        network.CopyTo(workbench)?.Dispose();
    }
}
