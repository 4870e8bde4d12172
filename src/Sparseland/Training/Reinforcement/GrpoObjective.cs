using System.Globalization;
using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.Reinforcement;

/// <summary>Settings of <see cref="GrpoObjective"/>.</summary>
public sealed record GrpoOptions
{
    /// <summary>P, prompts of a step. Default 4.</summary>
    public int Prompts { get; init; } = 4;

    /// <summary>G, samples of each prompt, at least 2. Default 8.</summary>
    public int Samples { get; init; } = 8;

    /// <summary>How completions are sampled; the end token is the task's. Default 20 tokens at temperature 1.</summary>
    public RolloutOptions Rollout { get; init; } = new();

    /// <summary>Weight of the divergence from the reference, not negative. Default 0.</summary>
    public double KlWeight { get; init; }

    /// <summary>Rewards are 1 with this probability and 0 else, whatever was said: a control without information. Null, the default, for true rewards.</summary>
    public double? RandomRewards { get; init; }

    /// <summary>Seed of prompts and samples. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Prompts);
        if (Samples < 2) throw new ArgumentOutOfRangeException(nameof(Samples), Samples, "Samples must be at least 2: within a group of one nothing can be compared.");
        ArgumentNullException.ThrowIfNull(Rollout);
        Rollout.Validate();
        Finite.NotNegative(KlWeight);
        if (RandomRewards is { } share && !(share > 0 && share < 1)) throw new ArgumentOutOfRangeException(nameof(RandomRewards), share, "RandomRewards must lie between 0 and 1.");
    }
}

/// <summary>
/// GRPO on the policy's own samples (Shao et al. 2024), one update for each batch; see <see cref="PolicyGradient.Grpo"/>. Groups of equal rewards are left out, and a step
/// that has no other is left out as a whole.
/// </summary>
public sealed class GrpoObjective : IPolicyObjective
{
    private readonly MentionTask _task;
    private readonly LanguageModel? _reference;
    private readonly SortedDictionary<long, double> _rewards = [];

    /// <summary>Prepares it.</summary>
    /// <param name="task">Prompts and rewards.</param>
    /// <param name="options">Sizes, sampling and seed; null for the defaults of the record.</param>
    /// <param name="reference">The model that the divergence is from; it stays the caller's. Null, the default, for none.</param>
    /// <exception cref="ArgumentException">An option out of its range, or a weight without a reference.</exception>
    public GrpoObjective(MentionTask task, GrpoOptions? options = null, LanguageModel? reference = null)
    {
        ArgumentNullException.ThrowIfNull(task);
        Options = options ?? new();
        Options.Validate();
        if (Options.KlWeight > 0 && reference is null) throw new ArgumentException($"KlWeight is {Options.KlWeight}, but there is no reference.", nameof(reference));
        (_task, _reference) = (task, reference);
    }

    /// <summary>Settings.</summary>
    public GrpoOptions Options { get; }

    /// <summary>Mean reward of the samples of each step that was made, by its number from 0.</summary>
    public IReadOnlyDictionary<long, double> Rewards => _rewards;

    /// <inheritdoc/>
    public string Description => string.Create(
        CultureInfo.InvariantCulture,
        $"GRPO on {_task}, {Options.Prompts} prompts, {Options.Samples} samples of {Options.Rollout.NewTokens} at {Options.Rollout.Temperature}, KL {Options.KlWeight}, rewards {(Options.RandomRewards is { } share ? $"random {share}" : "true")}, seed {Options.Seed}");

    /// <inheritdoc/>
    public double? Gradients(LanguageModel policy, long step, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(policy);
        (int samples, int limit, double temperature) = (Options.Samples, Options.Rollout.NewTokens, Options.Rollout.Temperature);
        IReadOnlyList<MentionPrompt> prompts = _task.Draw(Options.Prompts, Options.Seed, step);
        MentionPrompt[] rows = [.. prompts.SelectMany(p => Enumerable.Repeat(p, samples))];
        using Rollout rollout = Rollout.Sample(policy, [.. rows.Select(p => p.Tokens)], Options.Rollout with { End = _task.End }, SeedOf(step), cancel);
        double[,] rewards = RewardsOf(rollout, rows, step);
        _rewards[step] = rewards.Cast<double>().Average();
        IReadOnlyList<int> telling = PolicyGradient.Informative(rewards);
        if (telling.Count == 0) return null;
        using DisposeScope scope = NewDisposeScope();

        // Only what counts is passed again. The loss is a sum over these groups with the fixed number of all.
        (Tensor ids, Tensor mask) = rollout.Select([.. telling.SelectMany(p => Enumerable.Range(p * samples, samples))]);
        double[,] left = new double[telling.Count, samples];
        for (int p = 0; p < telling.Count; p++)
        {
            for (int g = 0; g < samples; g++) left[p, g] = rewards[telling[p], g];
        }

        Tensor Completion(Tensor all) => all.narrow(1, rollout.PromptLength, all.shape[1] - rollout.PromptLength);
        Tensor? reference = null;
        if (Options.KlWeight > 0)
        {
            using IDisposable off = no_grad();
            reference = Completion(Completions.LogProbabilities(_reference!, ids, mask, temperature));
        }

        Tensor own = Completion(Completions.LogProbabilities(policy, ids, mask, temperature));
        Tensor loss = PolicyGradient.Grpo(own, Completion(mask), left, limit, reference, Options.KlWeight).mul((double)telling.Count / Options.Prompts);
        GradientPass.Run(loss);
        return loss.to(ScalarType.Float64).item<double>();
    }

    private long SeedOf(long step) => (long)(SeededRandom.Mix((ulong)Options.Seed ^ SeededRandom.Mix((ulong)step + 77)) >> 1);

    private double[,] RewardsOf(Rollout rollout, MentionPrompt[] rows, long step)
    {
        double[,] rewards = new double[Options.Prompts, Options.Samples];
        var random = new SeededRandom(Options.Seed, 42_000_000 + step);
        for (int row = 0; row < rows.Length; row++)
        {
            rewards[row / Options.Samples, row % Options.Samples] = Options.RandomRewards is { } share
                ? random.NextDouble() < share ? 1 : 0
                : _task.Reward(rows[row], rollout.Completion(row));
        }

        return rewards;
    }
}
