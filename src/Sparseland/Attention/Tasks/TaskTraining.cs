using Sparseland.Models.Language;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Tasks;

/// <summary>One stage of a curriculum.</summary>
/// <param name="Sequences">Sizes of the sequences.</param>
/// <param name="Steps">Most steps.</param>
/// <param name="Batch">Sequences a step.</param>
/// <param name="Enough">The stage ends when retrieval on fresh sequences reaches this; above 1 it goes to its last step. Default 2.</param>
/// <param name="Falls">Whether the learning rate falls to a tenth over the stage. Default false.</param>
public sealed record TaskStage(TaskOptions Sequences, int Steps, int Batch, double Enough = 2, bool Falls = false);

/// <summary>How a model learns the questions of <see cref="TaskSequences"/>.</summary>
public sealed record TaskTrainingOptions
{
    /// <summary>The stages. By default: short sequences until retrieval comes, which is sudden (at most 1,500 steps), then 300 steps of 128 tokens and 100 of 256.</summary>
    public IReadOnlyList<TaskStage> Stages { get; init; } =
    [
        new(new() { Tokens = 64, Pairs = 6, Chains = 2 }, 1500, 32, Enough: 0.98),
        new(new() { Tokens = 128, Pairs = 12, Chains = 4 }, 300, 16),
        new(new() { Tokens = 256 }, 100, 8, Falls: true),
    ];

    /// <summary>Highest learning rate. Default 4e-3.</summary>
    public double LearningRate { get; init; } = 4e-3;

    /// <summary>Steps over which the rate climbs in each stage. Default 30.</summary>
    public int WarmUp { get; init; } = 30;

    /// <summary>Steps between looks at fresh sequences. Default 20.</summary>
    public int LookEvery { get; init; } = 20;

    /// <summary>Seed of the sequences. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentException">There is no stage, or a number is out of its range.</exception>
    public void Validate()
    {
        Finite.Positive(LearningRate);
        ArgumentOutOfRangeException.ThrowIfNegative(WarmUp);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(LookEvery);
        if (Stages is not { Count: > 0 }) throw new ArgumentException("There is no stage.", nameof(Stages));
        foreach (TaskStage stage in Stages)
        {
            ArgumentNullException.ThrowIfNull(stage);
            stage.Sequences.Validate();
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(stage.Steps);
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(stage.Batch);
            if (double.IsNaN(stage.Enough)) throw new ArgumentOutOfRangeException(nameof(TaskStage.Enough), stage.Enough, "Enough must be a number.");
        }
    }
}

/// <summary>What a look at fresh sequences showed.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Loss">Loss of the last step.</param>
/// <param name="Retrieval">Share of right answers.</param>
/// <param name="TwoHops">Share of right answers.</param>
/// <param name="Aggregation">Share of right answers.</param>
public sealed record TaskLook(long Step, double Loss, double Retrieval, double TwoHops, double Aggregation);

/// <summary>Trains a decoder on <see cref="TaskSequences"/>.</summary>
public static class TaskTraining
{
    /// <summary>Trains; the model is changed in place.</summary>
    /// <param name="model">Any decoder of that vocabulary and a context as long as the longest stage.</param>
    /// <param name="options">Stages and rates; null for their defaults.</param>
    /// <param name="attention">In the place of the model's attention, in training and in looks; null, the default, for its own.</param>
    /// <param name="progress">Steps done.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <returns>The looks on the way.</returns>
    /// <exception cref="ArgumentException">Another vocabulary, a stage longer than the context, or an option out of range.</exception>
    public static IReadOnlyList<TaskLook> Run(LanguageModel model, TaskTrainingOptions? options = null, IAttentionMethod? attention = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        options ??= new();
        if (model.Vocabulary != TaskSequences.Vocabulary) throw new ArgumentException($"The model has {model.Vocabulary} tokens, the sequences {TaskSequences.Vocabulary}.", nameof(model));
        options.Validate();
        foreach (TaskStage stage in options.Stages)
        {
            if (stage.Sequences.Tokens > model.Context) throw new ArgumentException($"A stage has sequences of {stage.Sequences.Tokens} tokens, the model a context of {model.Context}.", nameof(options));
        }

        List<TaskLook> looks = [];
        long done = 0, most = options.Stages.Sum(s => (long)s.Steps);
        for (int s = 0; s < options.Stages.Count; s++)
        {
            TaskStage stage = options.Stages[s];
            using TrainingLoop loop = new(model, new TaskBatches(stage.Sequences, stage.Batch, options.Seed + (1000 * s)), batch => Loss(model, batch, attention), new()
            {
                Steps = stage.Steps, LearningRate = options.LearningRate, WarmUp = Math.Min(options.WarmUp, stage.Steps - 1), FinalRate = stage.Falls ? 0.1 : 1, WeightDecay = 0.01, Beta2 = 0.98,
            });
            using TaskSequences fresh = TaskSequences.Generate(64, stage.Sequences, 900_000_000 + options.Seed);
            while (loop.Done < stage.Steps)
            {
                double loss = loop.Step(cancel).Loss;
                done++;
                if (loop.Done % options.LookEvery != 0 && loop.Done != stage.Steps) continue;
                looks.Add(Look(model, fresh, attention, done, loss));
                progress?.Report(new(done, most, FormattableString.Invariant($"retrieval {looks[^1].Retrieval:F2}")));
                if (looks[^1].Retrieval >= stage.Enough) break;
            }

            most -= stage.Steps - loop.Done;
        }

        return looks;
    }

    /// <summary>Share of right answers of each kind.</summary>
    /// <param name="model">A decoder.</param>
    /// <param name="sequences">Sequences.</param>
    /// <param name="attention">In the place of the model's attention; null, the default, for its own.</param>
    /// <param name="cancel">Checked between batches.</param>
    /// <returns>Of each sequence its share of right answers, by kind.</returns>
    public static IReadOnlyDictionary<TaskKind, double[]> Answers(LanguageModel model, TaskSequences sequences, IAttentionMethod? attention = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(sequences);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        List<Tensor> parts = [];
        const int Together = 32;
        for (int from = 0; from < sequences.Count; from += Together)
        {
            cancel.ThrowIfCancellationRequested();
            parts.Add(model.Logits(sequences.Ids.narrow(0, from, Math.Min(Together, sequences.Count - from)), attention: attention));
        }

        Tensor logits = cat(parts);
        return Enum.GetValues<TaskKind>().ToDictionary(kind => kind, kind => sequences.Right(logits, kind));
    }

    private static TaskLook Look(LanguageModel model, TaskSequences fresh, IAttentionMethod? attention, long step, double loss)
    {
        IReadOnlyDictionary<TaskKind, double[]> right = Answers(model, fresh, attention);
        double Mean(TaskKind kind) => right[kind].Length == 0 ? double.NaN : right[kind].Average();
        return new(step, loss, Mean(TaskKind.Retrieval), Mean(TaskKind.TwoHops), Mean(TaskKind.Aggregation));
    }

    private static Tensor Loss(LanguageModel model, Batch batch, IAttentionMethod? attention)
    {
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(nn.functional.cross_entropy(model.Logits(batch.Input, attention: attention).flatten(0, 1), batch.Target.flatten(), ignore_index: -100));
    }
}
