using System.Diagnostics;
using Sparseland.Data;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// Iterative magnitude pruning (Han et al. 2015; Frankle and Carbin 2019): rounds that each remove the same share of the weights that are left, by size over all
/// layers together, and retrain with the masks fixed and a fresh optimizer.
/// </summary>
public static class IterativeMagnitudePruning
{
    /// <summary>p = 1 - (1 - s)^(1/R), the share of the remaining weights that each of R rounds removes.</summary>
    /// <param name="sparsity">s, from 0 to below 1.</param>
    /// <param name="rounds">R, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static double FractionPerRound(double sparsity, int rounds)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rounds);
        if (!(sparsity is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, "The sparsity must be from 0 to below 1.");
        return 1 - Math.Pow(1 - sparsity, 1.0 / rounds);
    }

    /// <summary>1 - (1 - p)^r, the sparsity after round r; exactly s after the last.</summary>
    /// <param name="sparsity">s, from 0 to below 1.</param>
    /// <param name="rounds">R, positive.</param>
    /// <param name="round">r, from 0 to R.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static double SparsityAfter(double sparsity, int rounds, int round)
    {
        double p = FractionPerRound(sparsity, rounds);
        if (round < 0 || round > rounds) throw new ArgumentOutOfRangeException(nameof(round), round, $"The round must be from 0 to {rounds}.");
        return round == rounds ? sparsity : 1 - Math.Pow(1 - p, round);
    }

    /// <summary>The pruning of one round: from a network to the same one with fewer weights.</summary>
    /// <param name="workbench">A network of the same make, in which it is done; it is left as the pruned one.</param>
    /// <param name="parent">The network before.</param>
    /// <param name="round">r, from 1.</param>
    /// <param name="options">Sparsity, rounds and prunable parameters.</param>
    /// <returns>What the pruning did, and the pruned network, the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">An option is out of its range, or a layer would be left without a weight.</exception>
    public static (PruningStep Step, SparseSnapshot Pruned) Prune(nn.Module workbench, SparseSnapshot parent, int round, ImpOptions options)
    {
        ArgumentNullException.ThrowIfNull(parent);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        using MaskSet masks = parent.CopyTo(workbench) ?? GlobalMagnitude.DenseMasks(workbench, options.Prunable);
        PruningStep step = GlobalMagnitude.Prune(workbench, masks, PruningPattern.Kept(masks.Size, SparsityAfter(options.Sparsity, options.Rounds, round)));
        return (step, SparseSnapshot.Of(workbench, masks));
    }

    /// <summary>The learning rate with which a retraining begins to fall (or stays, in fine-tuning).</summary>
    /// <param name="step">The pruning before it.</param>
    /// <param name="options">Form, rates and lengths.</param>
    public static double StartRate(PruningStep step, ImpOptions options)
    {
        ArgumentNullException.ThrowIfNull(step);
        ArgumentNullException.ThrowIfNull(options);
        RetrainSchedule schedule = options.Retrain.Schedule;
        double length = (double)options.Retrain.Epochs / options.DenseEpochs;
        return options.Rewind switch
        {
            Rewind.None => options.FineTuneRate,

            // A straight line to 0 that is joined late begins lower, in proportion to what is left of it.
            Rewind.LearningRate => schedule.Highest * Math.Min(1, length),
            Rewind.Weights => schedule.Highest,
            _ => schedule.StartOf(step.NormDrop, step.Removed, length),
        };
    }

    /// <summary>One retraining: masks fixed, fresh optimizer, batch norm recalibrated on all training images at the end.</summary>
    /// <param name="workbench">A network of the same make, in which it is done.</param>
    /// <param name="parent">The pruned network; it stays.</param>
    /// <param name="train">The images.</param>
    /// <param name="options">Length, batches, decay and form of the rate.</param>
    /// <param name="start">Learning rate, see <see cref="StartRate"/>.</param>
    /// <param name="seed">Seed of the order of the images.</param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <returns>The child, the caller's to dispose.</returns>
    public static SparseSnapshot Retrain(
        nn.Module<Tensor, Tensor> workbench, SparseSnapshot parent, LabelledImages train, MaskedSgdOptions options, double start, long seed,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(parent);
        ArgumentNullException.ThrowIfNull(train);
        using MaskSet? masks = parent.CopyTo(workbench);
        MaskedSgd.Run(workbench, masks, train, options, seed, start, null, progress, cancel);
        using Tensor X = train.Planes();
        RecalibrateBatchNorm.Run(workbench, X, cancel: cancel);
        return SparseSnapshot.Of(workbench, masks);
    }

    /// <summary>All rounds.</summary>
    /// <param name="create">Makes a network; its weights do not matter.</param>
    /// <param name="dense">The trained network that is pruned; it stays.</param>
    /// <param name="train">The images.</param>
    /// <param name="options">Sparsity, rounds, rewinding; null, the default, for the record's.</param>
    /// <param name="seed">Seed of the orders of the images. Default 1.</param>
    /// <param name="rewindTo">The early moment of the first training, for <see cref="Rewind.Weights"/>; null, the default, else.</param>
    /// <param name="progress">Reported after each round.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or weights are to be rewound and there is no moment to go to.</exception>
    public static ImpResult Run(
        Func<nn.Module<Tensor, Tensor>> create, SparseSnapshot dense, LabelledImages train, ImpOptions? options = null, long seed = 1, SparseSnapshot? rewindTo = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(create);
        ArgumentNullException.ThrowIfNull(dense);
        ArgumentNullException.ThrowIfNull(train);
        options ??= new();
        options.Validate();
        if (options.Rewind == Rewind.Weights && rewindTo is null) throw new ArgumentNullException(nameof(rewindTo), "Weights are to be rewound, but there is no moment to go back to.");
        if (rewindTo is not null) SparseSnapshot.CheckAlike([dense, rewindTo], nameof(rewindTo));
        MaskedSgdOptions retrain = Form(options);
        using nn.Module<Tensor, Tensor> workbench = create();
        var rounds = new List<ImpRound>();
        try
        {
            for (int round = 1; round <= options.Rounds; round++)
            {
                long started = Stopwatch.GetTimestamp();
                (PruningStep step, SparseSnapshot pruned) = Prune(workbench, rounds.Count == 0 ? dense : rounds[^1].Network, round, options);
                using SparseSnapshot parent = options.Rewind == Rewind.Weights ? Rewound(pruned, rewindTo!) : pruned;
                double rate = StartRate(step, options);

                // On one thread: a small network gains nothing by more, and the result does not depend on how many there are.
                int number = round;
                IndependentWork.For(1, _ =>
                {
                    SparseSnapshot child = Retrain(workbench, parent, train, retrain, rate, SeedOf(seed, number, 0), null, cancel);
                    rounds.Add(new(number, step, rate, child, Stopwatch.GetElapsedTime(started).TotalSeconds));
                }, cancel);
                progress?.Report(new(round, options.Rounds, FormattableString.Invariant($"sparsity {step.Sparsity:0.###}")));
            }
        }
        catch
        {
            foreach (ImpRound round in rounds) round.Dispose();
            throw;
        }

        return new(rounds);
    }

    /// <summary>Seed of a retraining, from that of the run: another one for each round and child.</summary>
    internal static long SeedOf(long seed, int round, int child) => (long)(SeededRandom.Mix(SeededRandom.Mix((ulong)seed ^ SeededRandom.Mix((ulong)round)) + (ulong)child) >> 1);

    /// <summary>The retraining in the form that the rewinding asks for.</summary>
    internal static MaskedSgdOptions Form(ImpOptions options) => options.Rewind switch
    {
        Rewind.None => options.Retrain with { Schedule = options.Retrain.Schedule with { Rate = RetrainRate.Constant } },
        Rewind.LearningRate => options.Retrain with { Schedule = options.Retrain.Schedule with { Rate = RetrainRate.Linear, WarmUp = 0 } },
        _ => options.Retrain,
    };

    private static SparseSnapshot Rewound(SparseSnapshot pruned, SparseSnapshot early)
    {
        using (pruned)
        using (no_grad())
        {
            Dictionary<string, Tensor> masks = pruned.Masks.ToDictionary(m => m.Key, m => m.Value.clone());
            return new(
                early.State.ToDictionary(s => s.Key, s => masks.TryGetValue(s.Key, out Tensor? mask) ? Masked(s.Value, mask) : s.Value.clone()), masks, pruned.Parameters);
        }

        static Tensor Masked(Tensor value, Tensor mask)
        {
            using Tensor gone = mask.logical_not();
            return value.masked_fill(gone, 0);
        }
    }
}
