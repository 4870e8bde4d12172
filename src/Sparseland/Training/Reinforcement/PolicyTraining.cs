using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training.Reinforcement;

/// <summary>What a policy's training left behind; dispose it.</summary>
public sealed class PolicyTrainingResult : IDisposable
{
    internal PolicyTrainingResult(TinyLM master, TrainingResult training, IReadOnlyList<long> skipped) => (Master, Training, Skipped) = (master, training, skipped);

    /// <summary>The trained network in float32, not rounded.</summary>
    public TinyLM Master { get; }

    /// <summary>Losses of the steps; 0 where a step was left out.</summary>
    public TrainingResult Training { get; }

    /// <summary>Numbers, from 0, of the steps that were left out, since no group of rewards said anything; those of this process, not of one that was resumed.</summary>
    public IReadOnlyList<long> Skipped { get; }

    /// <summary>Most steps left out in a row.</summary>
    public int LongestSkip { get; internal init; }

    /// <summary>What to look at: 20 or more steps left out in a row. Null for nothing.</summary>
    public string? Warning => LongestSkip >= PolicyTraining.SkipsToWarn
        ? $"{LongestSkip} steps in a row had groups of equal rewards only: the task is too hard or too easy for this policy." : null;

    /// <summary>The network as it is read in bfloat16: the master rounded, in float32. Dispose it.</summary>
    public TinyLM Rounded()
    {
        TinyLM copy = PolicyTraining.CopyOf(Master);
        Bfloat16Grid.Round(copy);
        copy.eval();
        return copy;
    }

    /// <summary>Frees the network.</summary>
    public void Dispose() => Master.Dispose();

    /// <inheritdoc/>
    public override string ToString() => $"{Training.History.Count} steps, {Skipped.Count} left out";
}

/// <summary>
/// Trains a policy in mixed precision as large models are: weights and moments in float32, and the network that computes and samples is their copy in bfloat16, rounded
/// anew before each step. Here the copy computes in float32 with rounded weights.
/// </summary>
public static class PolicyTraining
{
    /// <summary>Steps left out in a row from which on a result warns.</summary>
    public const int SkipsToWarn = 20;

    /// <summary>60 steps of Adam at a constant rate of 3e-5, betas 0.9 and 0.999, no decay and no clipping.</summary>
    public static TrainingOptions Defaults { get; } = new() { Steps = 60, LearningRate = 3e-5, FinalRate = 1, WeightDecay = 0, Beta2 = 0.999, ClipNorm = double.PositiveInfinity };

    /// <summary>Trains a copy of a network; the network stays as it is.</summary>
    /// <param name="start">The policy before, float32; for bfloat16 all its weights on the grid, see <see cref="Bfloat16Grid.Round(nn.Module)"/>.</param>
    /// <param name="objective">What it is trained on.</param>
    /// <param name="options">Steps and rates, with one mini-batch a step; null, the default, for <see cref="Defaults"/>.</param>
    /// <param name="precision">Type that the weights are rounded to for computing, BFloat16 or Float32. Default BFloat16.</param>
    /// <param name="mask">
    /// Weights that are trained, the others get no gradient: their moments stay zero and they stay what they are. Masks of this structure; null, the default, for all.
    /// </param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked on the way.</param>
    /// <exception cref="ArgumentException">An option out of its range, weights that are not on the grid, or masks of another structure.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; with a checkpoint the training can be taken up.</exception>
    public static PolicyTrainingResult Run(
        TinyLM start, IPolicyObjective objective, TrainingOptions? options = null, ScalarType precision = ScalarType.BFloat16, MaskSet? mask = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(start);
        ArgumentNullException.ThrowIfNull(objective);
        options ??= Defaults;
        options.Validate();
        if (options.Accumulate != 1) throw new ArgumentOutOfRangeException(nameof(options), options.Accumulate, "Accumulate must be 1: an objective makes a whole step.");
        if (precision is not (ScalarType.BFloat16 or ScalarType.Float32)) throw new ArgumentException($"precision is {precision}; it must be BFloat16 or Float32.", nameof(precision));
        if (precision == ScalarType.BFloat16 && start.named_parameters().FirstOrDefault(p => !Bfloat16Grid.Holds(p.parameter)).name is { } off)
            throw new ArgumentException($"{off} has weights that bfloat16 has not; round the start with Bfloat16Grid.Round first.", nameof(start));
        TinyLM master = CopyOf(start);
        try
        {
            using MaskSet? own = mask?.For(master);
            using Bfloat16Copy<TinyLM>? copy = precision == ScalarType.BFloat16 ? new(master, () => new TinyLM(start.Config), ScalarType.Float32) : null;
            using var optimizer = new SkippingOptimizer(new AdamWOptimizer(master, options.WeightDecay, options.Beta1, options.Beta2, options.Epsilon, options.DecayAll));
            var skips = new SkippedSteps();
            TrainingLoop? loop = null;
            double Gradients(Batch batch, double weight)
            {
                copy?.Follow();
                double? loss = objective.Gradients(copy?.Model ?? master, loop!.Done, cancel);
                skips.Note(loop.Done, loss is null);
                if (loss is null) return 0;
                copy?.HandOver();
                return loss.Value;
            }

            using (loop = new(
                master, new Steps(objective.Description), Gradients, options with { Variant = $"{options.Variant}{precision}" },
                new() { OnGradients = _ => own?.MaskGradients() }, optimizer))
            {
                if (options.Checkpoint is not null && File.Exists(options.Checkpoint)) loop.Load(options.Checkpoint);
                TrainingResult result = loop.Run(progress, cancel);
                master.eval();
                return new(master, result, skips.All) { LongestSkip = skips.Longest };
            }
        }
        catch
        {
            master.Dispose();
            throw;
        }
    }

    /// <summary>Another network with the same weights.</summary>
    internal static TinyLM CopyOf(TinyLM model)
    {
        var copy = new TinyLM(model.Config);
        using IDisposable off = no_grad();
        foreach ((string _, Parameter before, Parameter after) in ParameterPairs.Of(model, copy)) after.copy_(before);
        return copy;
    }

    private sealed class SkippedSteps
    {
        private readonly List<long> _all = [];
        private int _row;

        public IReadOnlyList<long> All => _all;

        public int Longest { get; private set; }

        public void Note(long step, bool skipped)
        {
            _row = skipped ? _row + 1 : 0;
            Longest = Math.Max(Longest, _row);
            if (skipped) _all.Add(step);
        }
    }

    /// <summary>An objective draws its own data; the loop only wants to know what it is.</summary>
    private sealed class Steps(string description) : IBatchSource
    {
        public string Description => description;

        public Batch At(long index) => new(tensor(index), tensor(index));
    }
}
