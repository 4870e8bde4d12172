using System.Globalization;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>
/// SaRA (Hu et al. 2025): AdamW on the selected entries with the loss L(P) + lambda norm_*(P * M), and on the way a second selection that leaves only the entries trained that are still below theta, with new
/// moments.
/// </summary>
public static class SaraTraining
{
    /// <summary>Trains the entries of a delta.</summary>
    /// <param name="model">The network that the delta is attached to.</param>
    /// <param name="delta">The entries; it is neither merged nor disposed.</param>
    /// <param name="batches">The data.</param>
    /// <param name="loss">From a mini-batch to its mean loss; see <see cref="Losses"/>.</param>
    /// <param name="options">Steps, rates, penalty; null for the defaults of the record.</param>
    /// <param name="hooks">Callbacks; null, the default, for none. Steps are counted through both phases.</param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or a second selection is asked for where the delta has no threshold.</exception>
    /// <exception cref="Solvers.DivergenceException">The loss or a gradient is not finite; the message counts the steps of its phase.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; the network is that of the last whole step.</exception>
    public static SaraResult Run(
        nn.Module model, SparseDelta delta, IBatchSource batches, Func<Batch, Tensor> loss, SaraOptions? options = null, TrainingHooks? hooks = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(delta);
        ArgumentNullException.ThrowIfNull(batches);
        ArgumentNullException.ThrowIfNull(loss);
        options ??= new();
        options.Validate();
        delta.CheckAttached(model);
        if (options.ProgressiveStep > 0 && delta.Threshold is null) throw new ArgumentException("The delta was made of given masks and has no threshold; a second selection needs one.", nameof(options));
        bool finite = delta.Threshold is { } theta && double.IsFinite(theta);
        double rate = options.LearningRate ?? (finite ? 1e-3 * Math.Exp(-350 * delta.Threshold!.Value) : options.Training.LearningRate);
        TrainingOptions whole = options.Training with { LearningRate = rate };
        whole.Validate();
        long steps = whole.Steps, change = options.ProgressiveStep ?? (finite ? steps / 2 : 0), selected = delta.Count;
        var penalty = new Penalty(delta, options);
        var history = new List<StepReport>();
        double seconds = 0;
        void Phase(long first, long last)
        {
            using var optimizer = new PhaseOptimizer(new AdamWOptimizer(model, whole.WeightDecay, whole.Beta1, whole.Beta2, whole.Epsilon, decayAll: true), step => whole.RateOf(first + step));
            using var loop = new TrainingLoop(
                model, new LaterBatches(batches, first * whole.Accumulate), loss, whole with { Steps = last - first, WarmUp = 0, DropAt = [], Seed = whole.Seed + first },
                new()
                {
                    OnBeforeStep = hooks?.OnBeforeStep,
                    OnGradients = l =>
                    {
                        penalty.Add(first + l.Done);
                        hooks?.OnGradients?.Invoke(l);
                    },
                    OnStep = (l, report) =>
                    {
                        history.Add(report with { Step = first + report.Step, LearningRate = optimizer.Rate });
                        hooks?.OnStep?.Invoke(l, history[^1]);
                        progress?.Report(new(history.Count, steps, FormattableString.Invariant($"loss {report.Loss:F3}, {delta.Count} entries")));
                    },
                },
                optimizer);
            seconds += loop.Run(cancel: cancel).Seconds;
        }

        Phase(0, change > 0 ? change : steps);
        if (change > 0 && delta.Narrow(delta.Threshold!.Value) > 0) Phase(change, steps);

        // The rule was made for thresholds of some thousandths.
        string? slow = options.LearningRate is null && finite && rate < 1e-6
            ? string.Create(CultureInfo.InvariantCulture, $"At theta = {delta.Threshold:G3} the rule 1e-3 exp(-350 theta) gives a rate of {rate:G3}, at which hardly anything moves: give a LearningRate.") : null;
        return new(new(history, seconds), selected, delta.Count, rate, penalty.Empty) { Warning = delta.Warning is null ? slow : slow is null ? delta.Warning : $"{delta.Warning} {slow}" };
    }

    /// <summary>Adds lambda (U V^T) * M of one matrix to the gradient of its p.</summary>
    private sealed class Penalty(SparseDelta delta, SaraOptions options)
    {
        public int Empty { get; private set; }

        public void Add(long step)
        {
            if (options.RankPenalty == 0 || step % options.RankPenaltyEvery != 0) return;
            string[] names = [.. delta.Names.Where(n => delta.PlacesOf(n).Count > 0)];
            string name = names[new SeededRandom(options.Seed, step).NextInt(names.Length)];
            using DisposeScope scope = NewDisposeScope();
            using IDisposable off = no_grad();
            Tensor part = delta.TrainedPartOf(name);
            if (part.dim() != 2 || part.shape.Min() < options.MinimumSide || part.ne(0).sum().item<long>() == 0)
            {
                Empty++;
                return;
            }

            Tensor slope = delta.GatherFrom(name, NuclearNorm.Subgradient(part));
            Parameter values = delta.ValuesOf(name);
            Tensor? gradient = values.grad;
            if (gradient is null) values.grad = slope.mul(options.RankPenalty).DetachFromDisposeScope();
            else gradient.add_(slope, alpha: options.RankPenalty);
        }
    }

    /// <summary>AdamW along the rate of the whole training, while the loop counts the steps of one phase.</summary>
    private sealed class PhaseOptimizer(AdamWOptimizer inner, Func<long, double> rateOf) : IOptimizer
    {
        public double Rate { get; private set; }

        public string Name => inner.Name;

        public IReadOnlyDictionary<string, string> Settings => inner.Settings;

        public long Count => inner.Count;

        public IEnumerable<(string Name, Parameter Parameter)> Parameters => inner.Parameters;

        public IReadOnlyDictionary<string, Tensor> State => inner.State;

        public IReadOnlyList<Tensor> MomentsOf(string parameter) => inner.MomentsOf(parameter);

        public void Step(double rate) => inner.Step(Rate = rateOf(inner.Count));

        public void Reset(string parameter) => inner.Reset(parameter);

        public void Load(IReadOnlyDictionary<string, Tensor> state, long count) => inner.Load(state, count);

        public void CheckState(IReadOnlyDictionary<string, Tensor> state, long count) => inner.CheckState(state, count);

        public void Dispose() => inner.Dispose();
    }

    /// <summary>The batches from a number on.</summary>
    private sealed class LaterBatches(IBatchSource batches, long first) : IBatchSource
    {
        public string Description => batches.Description;

        public Batch At(long index) => batches.At(first + index);
    }
}
