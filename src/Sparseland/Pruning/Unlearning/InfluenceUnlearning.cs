using System.Diagnostics;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>
/// IU, influence unlearning: one Newton-like step from the weights 1/N on all samples to 1/|D_r| on what stays, theta = theta_o + alpha H^-1 v with
/// v = (1/N) sum_f g_i - |D_f|/(N |D_r|) sum_r g_i. The weights of the samples in v have the sum 0; the sum form of earlier work has not.
/// </summary>
public sealed record InfluenceUnlearning : IUnlearner
{
    /// <summary>alpha, not negative; 0 changes nothing. Default 1.</summary>
    public double Alpha { get; init; } = 1;

    /// <summary>n, single samples of D_r for the inverse, drawn by the seed; at least 2, at most all of D_r are taken. Default 1000.</summary>
    public int Samples { get; init; } = 1_000;

    /// <summary>lambda of the exact inverse of the damped Fisher matrix, positive; null, the default, for the published recursion.</summary>
    public double? Damping { get; init; }

    /// <inheritdoc/>
    public string Name => "IU";

    /// <summary>Weight of each sample in v: 1/N on D_f, -|D_f|/(N |D_r|) on D_r.</summary>
    /// <param name="split">The partition.</param>
    /// <returns>[N]; the sum is 0.</returns>
    public static double[] SampleWeights(ForgetSplit split)
    {
        ArgumentNullException.ThrowIfNull(split);
        double[] weights = new double[split.Size];
        foreach (int i in split.Forget) weights[i] = 1.0 / split.Size;
        foreach (int i in split.Retain) weights[i] = -(double)split.Forget.Count / ((double)split.Size * split.Retain.Count);
        return weights;
    }

    /// <summary>v [parameters]; the caller disposes it.</summary>
    /// <param name="gradients">Gradients of the network.</param>
    /// <param name="data">The data.</param>
    /// <param name="cancel">Checked between batches.</param>
    public static Tensor Direction(SampleGradients gradients, UnlearnData data, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        ArgumentNullException.ThrowIfNull(data);

        // |D_f|/N times the difference of the two mean gradients.
        using Tensor forget = gradients.Mean(data.Forget, cancel: cancel), retain = gradients.Mean(data.Retain, cancel: cancel);
        return forget.sub_(retain).mul((double)data.Split.Forget.Count / data.Split.Size);
    }

    /// <inheritdoc/>
    public Unlearned Run(
        Func<nn.Module<Tensor, Tensor>> create, SparseSnapshot original, UnlearnData data, long seed = 1, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        TrainingUnlearner.Check(create, original, data);
        Finite.NotNegative(Alpha);
        ArgumentOutOfRangeException.ThrowIfLessThan(Samples, 2);
        Finite.Positive(Damping);
        long started = Stopwatch.GetTimestamp();
        using nn.Module<Tensor, Tensor> workbench = create();
        using MaskSet? masks = original.CopyTo(workbench);
        SampleGradients gradients = new(workbench, masks);
        using DisposeScope scope = NewDisposeScope();
        Tensor v = Direction(gradients, data, cancel), planes = data.Retain.Planes();
        int[] drawn = Draw(data, Samples, seed);
        IEnumerable<Tensor> singles = drawn.Select((place, i) =>
        {
            cancel.ThrowIfCancellationRequested();
            progress?.Report(new(i + 1, drawn.Length, "gradients of single samples"));
            using Tensor x = planes.narrow(0, place, 1), label = data.Retain.Labels.narrow(0, place, 1);
            return gradients.Of(x, label);
        });
        Tensor step = Damping is { } damping ? WoodFisher.Solve(v, stack([.. singles]), damping) : WoodFisher.AsPublished(v, singles, drawn.Length);
        if (Alpha > 0) gradients.Move(step, Alpha);
        return new(Name, SparseSnapshot.Of(workbench, masks), Stopwatch.GetElapsedTime(started).TotalSeconds, Enumerable.Range(0, data.Split.Size).ToHashSet());
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    /// <summary>Places in D_r, drawn without replacement.</summary>
    internal static int[] Draw(UnlearnData data, int samples, long seed)
    {
        var random = new SeededRandom(seed, 5_200);
        int[] order = random.Permutation<int>(data.Retain.Count);
        return order[..Math.Min(samples, order.Length)];
    }
}
