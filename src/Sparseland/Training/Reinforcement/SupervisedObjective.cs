using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.Reinforcement;

/// <summary>Supervised learning of completions: the mean of - log pi over their tokens, all completions of a step together.</summary>
public sealed class SupervisedObjective : IPolicyObjective
{
    private readonly Func<long, CancellationToken, IReadOnlyList<(IReadOnlyList<int> Prompt, IReadOnlyList<int> Completion)>> _source;

    /// <summary>Any completions.</summary>
    /// <param name="description">What they are, in one line.</param>
    /// <param name="source">Prompts and completions of a step, by its number alone.</param>
    public SupervisedObjective(string description, Func<long, CancellationToken, IReadOnlyList<(IReadOnlyList<int> Prompt, IReadOnlyList<int> Completion)>> source)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(description);
        ArgumentNullException.ThrowIfNull(source);
        (Description, _source) = (description, source);
    }

    /// <inheritdoc/>
    public string Description { get; }

    /// <summary>The true documentation.</summary>
    /// <param name="task">Prompts.</param>
    /// <param name="count">Completions of a step. Default 16.</param>
    /// <param name="most">Tokens of a completion at most. Default 20.</param>
    /// <param name="seed">Seed of the prompts. Default 1.</param>
    public static SupervisedObjective Corpus(MentionTask task, int count = 16, int most = 20, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(task);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(most);
        return new($"documentation of {task}, {count} of {most} tokens, seed {seed}", (step, _) =>
            [.. task.Draw(count, seed, step).Select(p => (p.Tokens, (IReadOnlyList<int>)[.. p.Documentation.Take(most)]))]);
    }

    /// <summary>Fixed sentences that name the type: far from what the policy would say.</summary>
    /// <param name="task">Prompts.</param>
    /// <param name="sentences">Sentences with {} for the type; one of them is drawn for each prompt.</param>
    /// <param name="count">Completions of a step. Default 16.</param>
    /// <param name="most">Tokens of a completion at most. Default 20.</param>
    /// <param name="seed">Seed of the prompts. Default 1.</param>
    /// <exception cref="ArgumentException">No sentence, or one without a place for the type.</exception>
    public static SupervisedObjective Template(MentionTask task, IReadOnlyList<string> sentences, int count = 16, int most = 20, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(task);
        ArgumentNullException.ThrowIfNull(sentences);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(most);
        if (sentences.Count == 0) throw new ArgumentException("sentences is empty.", nameof(sentences));
        if (sentences.FirstOrDefault(s => !s.Contains("{}", StringComparison.Ordinal)) is { } plain) throw new ArgumentException($"\"{plain}\" has no {{}} for the type.", nameof(sentences));
        return new($"{sentences.Count} sentences for {task}, {count} of {most} tokens, seed {seed}", (step, _) =>
        {
            var random = new SeededRandom(seed, 43_000_000 + step);
            var items = new List<(IReadOnlyList<int> Prompt, IReadOnlyList<int> Completion)>();
            foreach (MentionPrompt prompt in task.Draw(count, seed, step))
                items.Add((prompt.Tokens, task.Encode(sentences[random.NextInt(sentences.Count)].Replace("{}", prompt.Types[0], StringComparison.Ordinal), most)));
            return items;
        });
    }

    /// <summary>Rejection sampling: fresh samples of a model that earn the reward, as many as wanted for each step.</summary>
    /// <param name="task">Prompts and rewards.</param>
    /// <param name="model">The model that is sampled; it stays the caller's.</param>
    /// <param name="count">Completions of a step. Default 16.</param>
    /// <param name="options">How completions are sampled; null for 20 tokens at temperature 1.</param>
    /// <param name="seed">Seed. Default 1.</param>
    public static SupervisedObjective Rejection(MentionTask task, LanguageModel model, int count = 16, RolloutOptions? options = null, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(task);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        RolloutOptions how = (options ?? new()) with { End = task.End };
        how.Validate();
        return new($"successful samples for {task}, {count} of {how.NewTokens} tokens, seed {seed}", (step, cancel) =>
        {
            var items = new List<(IReadOnlyList<int> Prompt, IReadOnlyList<int> Completion)>();
            for (long attempt = 0; items.Count < count; attempt++)
            {
                if (attempt == 1_000) throw new InvalidOperationException($"1,000 batches of samples gave {items.Count} successes; the model does not do the task.");
                IReadOnlyList<MentionPrompt> prompts = task.Draw(64, seed, (step * 1_000) + attempt);
                using Rollout rollout = Rollout.Sample(model, [.. prompts.Select(p => p.Tokens)], how, (seed * 1_000_003) + (step * 1_000) + attempt, cancel);
                for (int row = 0; row < prompts.Count && items.Count < count; row++)
                {
                    IReadOnlyList<int> said = rollout.Completion(row);
                    if (task.Reward(prompts[row], said) == 1) items.Add((prompts[row].Tokens, said));
                }
            }

            return items;
        });
    }

    /// <inheritdoc/>
    public double? Gradients(LanguageModel policy, long step, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        using DisposeScope scope = NewDisposeScope();
        using var completions = new Completions(_source(step, cancel));
        Tensor loss = completions.NegativeLogLikelihood(policy);
        GradientPass.Run(loss);
        return loss.to(ScalarType.Float64).item<double>();
    }
}
