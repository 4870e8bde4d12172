using System.Diagnostics;
using Sparseland.Data;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>What the unlearners share that train: masks fixed, a fresh optimizer, batches that remember what they gave.</summary>
internal static class TrainingUnlearner
{
    /// <summary>Trains on one part of the data.</summary>
    /// <param name="name">Name of the method.</param>
    /// <param name="workbench">A network that already holds the weights it begins with; disposed by the caller.</param>
    /// <param name="masks">Its masks.</param>
    /// <param name="set">The part.</param>
    /// <param name="numbers">Numbers of its images in the whole set.</param>
    /// <param name="options">Length and rates.</param>
    /// <param name="seed">Seed of the order.</param>
    /// <param name="loss">Given the cross entropy of the network and the epoch from 0, the loss that is made smaller.</param>
    /// <param name="onEpoch">Called after each epoch with the network as it is; null for nobody.</param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    public static Unlearned Run(
        string name, nn.Module<Tensor, Tensor> workbench, MaskSet? masks, LabelledImages set, IReadOnlyList<int> numbers, MaskedSgdOptions options, long seed,
        Func<Tensor, int, Tensor> loss, Action<int, SparseSnapshot>? onEpoch, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        long perEpoch = (set.Count + options.BatchSize - 1) / options.BatchSize, done = 0, watching = 0;
        using RecordingBatches batches = new(set, numbers, options.BatchSize, seed);
        Func<Batch, Tensor> plain = Losses.CrossEntropy(workbench);
        TrainingHooks hooks = new()
        {
            OnStep = (_, report) =>
            {
                done = report.Step;
                if (onEpoch is null || done % perEpoch != 0) return;
                long looked = Stopwatch.GetTimestamp();
                using SparseSnapshot now = SparseSnapshot.Of(workbench, masks);
                onEpoch((int)(done / perEpoch), now);
                watching += Stopwatch.GetTimestamp() - looked;
            },
        };
        long started = Stopwatch.GetTimestamp();
        MaskedSgd.Run(workbench, masks, batches, set.Count, options, null, batch => loss(plain(batch), (int)(done / perEpoch)), hooks, progress, cancel);
        double seconds = Stopwatch.GetElapsedTime(started, Stopwatch.GetTimestamp() - watching).TotalSeconds;
        return new(name, SparseSnapshot.Of(workbench, masks), seconds, batches.Seen);
    }

    /// <summary>Trains the original on one part of the data, at one rate from the first step to the last.</summary>
    /// <param name="name">Name of the method.</param>
    /// <param name="create">Makes a network of the same make.</param>
    /// <param name="original">Where it begins.</param>
    /// <param name="set">The part.</param>
    /// <param name="numbers">Numbers of its images in the whole set.</param>
    /// <param name="options">Length and rates.</param>
    /// <param name="seed">Seed of the order.</param>
    /// <param name="loss">Given the network, makes what turns its cross entropy and the epoch from 0 into the loss that is made smaller.</param>
    /// <param name="onEpoch">Called after each epoch with the network as it is; null for nobody.</param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    public static Unlearned Continue(
        string name, Func<nn.Module<Tensor, Tensor>> create, SparseSnapshot original, LabelledImages set, IReadOnlyList<int> numbers, MaskedSgdOptions options, long seed,
        Func<nn.Module<Tensor, Tensor>, Func<Tensor, int, Tensor>> loss, Action<int, SparseSnapshot>? onEpoch, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        options.Validate();
        using nn.Module<Tensor, Tensor> workbench = create();
        using MaskSet? masks = original.CopyTo(workbench);
        return Run(name, workbench, masks, set, numbers, options, seed, loss(workbench), onEpoch, progress, cancel);
    }

    /// <summary>Refuses what no unlearner takes.</summary>
    public static void Check(Func<nn.Module<Tensor, Tensor>> create, SparseSnapshot original, UnlearnData data)
    {
        ArgumentNullException.ThrowIfNull(create);
        ArgumentNullException.ThrowIfNull(original);
        ArgumentNullException.ThrowIfNull(data);
    }

    /// <summary>Settings with one rate from the first step to the last.</summary>
    public static MaskedSgdOptions Constant(int epochs, double rate, double decay, int batch) =>
        new() { Epochs = epochs, BatchSize = batch, WeightDecay = decay, Schedule = new(RetrainRate.Constant, rate) };
}
