using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.Reinforcement;

/// <summary>A better and a worse completion of one prompt.</summary>
/// <param name="Prompt">Tokens of the prompt.</param>
/// <param name="Chosen">Tokens of the better completion.</param>
/// <param name="Rejected">Tokens of the worse one.</param>
/// <param name="ReferenceChosen">Summed log-probability of the better one under the model that was sampled.</param>
/// <param name="ReferenceRejected">Summed log-probability of the worse one.</param>
public sealed record PreferencePair(IReadOnlyList<int> Prompt, IReadOnlyList<int> Chosen, IReadOnlyList<int> Rejected, double ReferenceChosen, double ReferenceRejected)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>Pairs of a successful and a failed sample of a model for one prompt: fixed data for trainings that do not sample on their way.</summary>
public sealed class PreferencePool
{
    private const int PromptsAtOnce = 8, MostBatches = 10_000;

    /// <summary>Given pairs.</summary>
    /// <param name="pairs">At least one.</param>
    /// <exception cref="ArgumentException">No pair.</exception>
    public PreferencePool(IReadOnlyList<PreferencePair> pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        if (pairs.Count == 0) throw new ArgumentException("pairs is empty.", nameof(pairs));
        Pairs = [.. pairs];
    }

    /// <summary>The pairs.</summary>
    public IReadOnlyList<PreferencePair> Pairs { get; }

    /// <summary>Samples until there are enough prompts with a success and a failure; the first of each is taken.</summary>
    /// <param name="task">Prompts and rewards.</param>
    /// <param name="model">The model that is sampled, the reference.</param>
    /// <param name="pairs">Number of pairs. Default 240.</param>
    /// <param name="samples">Samples of each prompt, at least 2. Default 8.</param>
    /// <param name="options">How completions are sampled; null for 20 tokens at temperature 1.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <param name="progress">Pairs found.</param>
    /// <param name="cancel">Checked before each token.</param>
    /// <exception cref="InvalidOperationException">The model never, or always, succeeds.</exception>
    public static PreferencePool Sample(
        MentionTask task, LanguageModel model, int pairs = 240, int samples = 8, RolloutOptions? options = null, long seed = 1,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(task);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(pairs);
        ArgumentOutOfRangeException.ThrowIfLessThan(samples, 2);
        RolloutOptions how = (options ?? new()) with { End = task.End };
        how.Validate();
        if (how.Temperature != 1) throw new ArgumentException("A pool for DPO is sampled at temperature 1: the reference's log-probabilities are those of the samples.", nameof(options));
        var found = new List<PreferencePair>();
        for (int batch = 0; found.Count < pairs; batch++)
        {
            if (batch == MostBatches) throw new InvalidOperationException($"{MostBatches} batches of samples gave {found.Count} pairs; the model never, or always, succeeds.");
            MentionPrompt[] rows = [.. task.Draw(PromptsAtOnce, seed, 1_000_000 + batch).SelectMany(p => Enumerable.Repeat(p, samples))];
            using Rollout rollout = Rollout.Sample(model, [.. rows.Select(p => p.Tokens)], how, (seed * 7_919) + batch, cancel);
            using DisposeScope scope = NewDisposeScope();
            float[] log = rollout.LogProbabilities.sum(1L).data<float>().ToArray();
            IReadOnlyList<int>[] said = [.. Enumerable.Range(0, rows.Length).Select(rollout.Completion)];
            for (int p = 0; p < PromptsAtOnce && found.Count < pairs; p++)
            {
                int[] own = [.. Enumerable.Range(p * samples, samples)];
                int good = Array.FindIndex(own, row => task.Reward(rows[row], said[row]) == 1), bad = Array.FindIndex(own, row => task.Reward(rows[row], said[row]) == 0);
                if (good < 0 || bad < 0) continue;
                found.Add(new(rows[own[0]].Tokens, said[own[good]], said[own[bad]], log[own[good]], log[own[bad]]));
            }

            progress?.Report(new(found.Count, pairs));
        }

        return new(found);
    }

    /// <summary>DPO on the pairs, each once an epoch in random order.</summary>
    /// <param name="count">Pairs of a step, at most all. Default 8.</param>
    /// <param name="beta">Strength of the tie to the reference. Default 0.1.</param>
    /// <param name="seed">Seed of the order. Default 1.</param>
    public IPolicyObjective Dpo(int count = 8, double beta = 0.1, long seed = 1)
    {
        CheckCount(count);
        Finite.Positive(beta);
        return new DpoObjective(this, count, beta, seed);
    }

    /// <summary>Supervised learning of the better completions, each once an epoch in random order.</summary>
    /// <param name="count">Completions of a step, at most all. Default 16.</param>
    /// <param name="seed">Seed of the order. Default 1.</param>
    public IPolicyObjective Chosen(int count = 16, long seed = 1)
    {
        CheckCount(count);
        return new SupervisedObjective($"the better of {Pairs.Count} pairs, {count} a step, seed {seed}", (step, _) => [.. At(step, count, seed).Select(p => (p.Prompt, p.Chosen))]);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Pairs.Count} pairs";

    /// <summary>Pairs of a step.</summary>
    internal PreferencePair[] At(long step, int count, long seed)
    {
        return [.. new EpochOrder(Pairs.Count, count, seed, 44_000_000, whole: true).At(step).Select(i => Pairs[(int)i])];
    }

    private void CheckCount(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        if (count > Pairs.Count) throw new ArgumentOutOfRangeException(nameof(count), count, $"There are only {Pairs.Count} pairs.");
    }

    private sealed class DpoObjective(PreferencePool pool, int count, double beta, long seed) : IPolicyObjective
    {
        public string Description => FormattableString.Invariant($"DPO on {pool.Pairs.Count} pairs, {count} a step, beta {beta}, seed {seed}");

        public double? Gradients(LanguageModel policy, long step, CancellationToken cancel)
        {
            ArgumentNullException.ThrowIfNull(policy);
            cancel.ThrowIfCancellationRequested();
            PreferencePair[] pairs = pool.At(step, count, seed);
            using DisposeScope scope = NewDisposeScope();
            using var both = new Completions([.. pairs.Select(p => (p.Prompt, p.Chosen)), .. pairs.Select(p => (p.Prompt, p.Rejected))]);
            Tensor log = both.LogProbabilities(policy).sum(1L);
            Tensor Row(Func<PreferencePair, double> of) => tensor([.. pairs.Select(p => (float)of(p))]);
            Tensor loss = PreferenceLoss.Dpo(log.narrow(0, 0, count), log.narrow(0, count, count), Row(p => p.ReferenceChosen), Row(p => p.ReferenceRejected), beta);
            GradientPass.Run(loss);
            return loss.to(ScalarType.Float64).item<double>();
        }
    }
}
