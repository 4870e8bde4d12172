using Sparseland.Data.Documentation;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using Sparseland.Tests.Models.Language;
using Sparseland.Training;
using Sparseland.Training.Reinforcement;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training.Reinforcement;

public class PolicyTrainingTests
{
    private static readonly TrainingOptions s_short = PolicyTraining.Defaults with { Steps = 6, LearningRate = 1e-3 };

    [Fact]
    public void Prompts_have_a_type_that_counts_and_rewards_look_for_whole_words()
    {
        MentionTask task = Task();
        Assert.All(task.Prompts, p => Assert.Equal(p.Tokens.Count, TinyModels.Tokenizer.Encode(p.Heading + "\n").Length));
        MentionPrompt prompt = task.Prompts[0];
        Assert.Equal(["Stream"], prompt.Types);
        Assert.Equal("Reader0.Read(Stream, Int32)", prompt.Heading);
        Assert.Equal(1, prompt.Reward("Reads a Stream."));
        Assert.Equal(1, prompt.Reward("MyStream or Stream"));
        Assert.Equal(0, prompt.Reward("Reads a MemoryStream, StreamReader or stream_Stream_"));
        Assert.Equal(0, prompt.Reward(""));
        Assert.Equal(task.End, prompt.Documentation[^1]);
        Assert.DoesNotContain(task.Prompts, p => p.Heading.Contains("Count", StringComparison.Ordinal));
        Assert.DoesNotContain(task.Prompts, p => p.Types.Contains("List"));
    }

    [Fact]
    public void Draws_have_one_length_and_depend_on_seed_and_step()
    {
        MentionTask task = Task();
        Assert.True(task.Lengths.Count > 1);
        var lengths = new HashSet<int>();
        for (int step = 0; step < 40; step++)
        {
            IReadOnlyList<MentionPrompt> drawn = task.Draw(5, 1, step);
            lengths.Add(Assert.Single(drawn.Select(p => p.Tokens.Count).Distinct()));
            Assert.Equal(drawn, task.Draw(5, 1, step));
        }

        Assert.Equal(task.Lengths, lengths.Order());
        Assert.NotEqual(task.Draw(5, 1, 0), task.Draw(5, 2, 0));
        Assert.Throws<ArgumentException>("members", () => MentionTask.Of([], TinyModels.Tokenizer));
        Assert.Throws<ArgumentOutOfRangeException>("MostTokens", () => MentionTask.Of(Members(), TinyModels.Tokenizer, new() { FewestTokens = 5, MostTokens = 4 }));
    }

    [Fact]
    public void What_is_read_in_bfloat16_is_the_rounded_master_and_the_start_stays()
    {
        using TinyLM start = Start();
        double[] before = TrainingData.Parameters(start);
        using PolicyTrainingResult result = PolicyTraining.Run(start, SupervisedObjective.Corpus(Task(), 4, 8), s_short);
        Assert.Equal(before, TrainingData.Parameters(start));
        using TinyLM rounded = result.Rounded();
        using UpdateSparsity exact = UpdateSparsity.Of(start, result.Master), read = UpdateSparsity.Of(start, rounded), stated = UpdateSparsity.Of(start, result.Master, ScalarType.BFloat16);
        Assert.Equal(0, read.Changed.Overlap(stated.Changed).Different);
        Assert.True(exact.Whole.Changed > read.Whole.Changed);
        using MaskSet left = Bfloat16Grid.LeavesCell(start, result.Master);
        Assert.True(left.Overlap(read.Changed).Different <= 0.02 * read.Whole.Size);
        Assert.True(result.Training.History[^1].Loss < result.Training.History[0].Loss);
    }

    [Fact]
    public void The_copy_computes_with_rounded_weights()
    {
        // One plain step by hand: gradient at the rounded weights, step on the master, twice.
        using TinyLM start = Start(), master = Start(), rounded = Start();
        IPolicyObjective objective = SupervisedObjective.Corpus(Task(), 4, 8);
        using var adam = new AdamWOptimizer(master, 0, 0.9, 0.999);
        for (int step = 0; step < 2; step++)
        {
            using (no_grad()) foreach ((Parameter a, Parameter b) in master.parameters().Zip(rounded.parameters())) b.copy_(Bfloat16Grid.Round((Tensor)a));
            rounded.zero_grad();
            objective.Gradients(rounded, step);
            foreach ((Parameter a, Parameter b) in master.parameters().Zip(rounded.parameters())) a.grad = b.grad!.clone();
            adam.Step(1e-3);
        }

        using PolicyTrainingResult result = PolicyTraining.Run(start, objective, s_short with { Steps = 2 });
        Assert.Equal(TrainingData.Parameters(master), TrainingData.Parameters(result.Master));
    }

    [Fact]
    public void Weights_outside_a_mask_and_their_moments_stay()
    {
        using TinyLM start = Start();
        using MaskSet mask = MaskSet.Of(start, start.named_parameters().ToDictionary(p => p.name, p => rand_like(p.parameter).lt(0.3)));
        using PolicyTrainingResult result = PolicyTraining.Run(start, SupervisedObjective.Corpus(Task(), 4, 8), s_short, mask: mask);
        using UpdateSparsity update = UpdateSparsity.Of(start, result.Master);
        Assert.Equal(update.Whole.Changed, update.Changed.Overlap(mask.For(result.Master)).Both);
        Assert.True(update.Whole.Changed > 0.8 * mask.Active);
    }

    [Fact]
    public void A_batch_of_equal_rewards_changes_nothing_and_is_counted()
    {
        using TinyLM start = Start();
        var random = new GrpoObjective(Task(), new() { Prompts = 1, Samples = 2, Rollout = new() { NewTokens = 4 }, RandomRewards = 0.5 });
        using PolicyTrainingResult some = PolicyTraining.Run(start, random, s_short with { Steps = 12 });
        Assert.InRange(some.Skipped.Count, 1, 11);
        Assert.All(some.Skipped, step => Assert.True(random.Rewards[step] is 0 or 1));
        Assert.Equal(12, some.Training.History.Count);
        Assert.Equal(random.Rewards.Count(r => r.Value == 0.5), 12 - some.Skipped.Count);
        Assert.Null(some.Warning);

        // An untrained model never says the word: nothing happens, and 20 such steps are worth a warning.
        using PolicyTrainingResult none = PolicyTraining.Run(start, new GrpoObjective(Task(), new() { Prompts = 2, Samples = 2, Rollout = new() { NewTokens = 3 } }), s_short with { Steps = 20 });
        Assert.Equal((20, 20), (none.Skipped.Count, none.LongestSkip));
        Assert.NotNull(none.Warning);
        Assert.Equal(TrainingData.Parameters(start), TrainingData.Parameters(none.Master));
    }

    [Fact]
    public void The_step_of_the_objective_is_the_loss_over_all_groups()
    {
        using TinyLM start = Start(), other = Start();
        MentionTask task = Task();
        GrpoOptions options = new() { Prompts = 4, Samples = 3, Rollout = new() { NewTokens = 4 }, RandomRewards = 0.3, KlWeight = 0.2, Seed = 4 };
        using (no_grad()) foreach (Parameter p in other.parameters()) p.mul_(1.05);
        var objective = new GrpoObjective(task, options, other);
        long step = Enumerable.Range(0, 50).First(s => objective.Gradients(start, s) is not null);
        start.zero_grad();
        double loss = objective.Gradients(start, step)!.Value;
        Assert.Equal(loss, objective.Gradients(start, step)!.Value, 1e-7);
        Assert.NotEqual(0, loss);
        double[] rewards = [objective.Rewards[step]];
        Assert.InRange(rewards[0], 1 / 12.0, 11 / 12.0);
    }

    [Fact]
    public void A_training_that_was_stopped_goes_on_as_if_nothing_had_happened()
    {
        using TinyLM start = Start();
        string file = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            IPolicyObjective Objective() => new GrpoObjective(Task(), new() { Prompts = 2, Samples = 3, Rollout = new() { NewTokens = 4 }, RandomRewards = 0.3 });
            using PolicyTrainingResult whole = PolicyTraining.Run(start, Objective(), s_short);
            TrainingOptions kept = s_short with { Checkpoint = file };
            using var stop = new CancellationTokenSource();
            Assert.ThrowsAny<OperationCanceledException>(() => PolicyTraining.Run(start, Objective(), kept, progress: new AtStep(3, stop), cancel: stop.Token));
            using PolicyTrainingResult resumed = PolicyTraining.Run(start, Objective(), kept);
            Assert.Equal(TrainingData.Parameters(whole.Master), TrainingData.Parameters(resumed.Master));
            Assert.Throws<InvalidDataException>(() => PolicyTraining.Run(start, SupervisedObjective.Corpus(Task(), 4, 8), kept));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void Pairs_are_a_success_and_a_failure_with_their_log_probabilities()
    {
        using var scope = NewDisposeScope();
        using TinyLM start = Start();
        MentionTask easy = Easy();
        PreferencePool pool = PreferencePool.Sample(easy, start, pairs: 6, samples: 4, options: new() { NewTokens = 5 }, seed: 2);
        Assert.Equal(6, pool.Pairs.Count);
        foreach (PreferencePair pair in pool.Pairs)
        {
            MentionPrompt prompt = easy.Prompts.First(p => p.Tokens.SequenceEqual(pair.Prompt));
            Assert.Equal((1.0, 0.0), (easy.Reward(prompt, pair.Chosen), easy.Reward(prompt, pair.Rejected)));
            using var both = new Completions([(pair.Prompt, pair.Chosen), (pair.Prompt, pair.Rejected)]);
            using IDisposable off = no_grad();
            double[] log = TrainingData.Numbers(both.LogProbabilities(start).sum(1L));
            Assert.Equal(pair.ReferenceChosen, log[0], 1e-4);
            Assert.Equal(pair.ReferenceRejected, log[1], 1e-4);
        }

        // At the reference the loss is log 2; an epoch takes each pair once.
        IPolicyObjective dpo = pool.Dpo(count: 3);
        Assert.Equal(Math.Log(2), dpo.Gradients(start, 0)!.Value, 1e-5);
        Assert.Equal(6, pool.At(0, 3, 1).Concat(pool.At(1, 3, 1)).Distinct().Count());
        Assert.Throws<ArgumentOutOfRangeException>("count", () => pool.Dpo(count: 7));
        Assert.Throws<ArgumentException>("options", () => PreferencePool.Sample(easy, start, options: new() { Temperature = 2 }));
        Assert.Equal(easy.Success(start, 5), easy.Success(start, 5));
        Assert.Throws<ArgumentOutOfRangeException>("count", () => easy.Success(start, 100_000));
    }

    [Fact]
    public void Sentences_name_the_type_and_rejection_gives_successes()
    {
        using TinyLM start = Start();
        MentionTask easy = Easy();
        Assert.Throws<ArgumentException>("sentences", () => SupervisedObjective.Template(easy, ["no place"]));
        Assert.True(SupervisedObjective.Template(easy, ["Takes a {}."], 4).Gradients(start, 0) > 0);
        Assert.True(SupervisedObjective.Rejection(easy, start, 4, new() { NewTokens = 5 }).Gradients(start, 0) > 0);
        Assert.Equal(easy.End, easy.Encode("ab", 9)[^1]);
        Assert.Equal("ab", easy.Decode(easy.Encode("ab", 9)));
        Assert.Single(easy.Encode("a long text", 1));
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using TinyLM start = Start();
        IPolicyObjective objective = SupervisedObjective.Corpus(Task(), 4, 8);
        Assert.Throws<ArgumentException>("precision", () => PolicyTraining.Run(start, objective, s_short, ScalarType.Float16));
        Assert.Throws<ArgumentOutOfRangeException>("options", () => PolicyTraining.Run(start, objective, s_short with { Accumulate = 2 }));
        using (no_grad()) foreach (Parameter p in start.parameters()) p.mul_(1.0001);
        Assert.Throws<ArgumentException>("start", () => PolicyTraining.Run(start, objective, s_short));
        using PolicyTrainingResult plain = PolicyTraining.Run(start, objective, s_short with { Steps = 1 }, ScalarType.Float32);
        using UpdateSparsity update = UpdateSparsity.Of(start, plain.Master);
        Assert.True(update.Sparsity < 0.5);
        Assert.Throws<ArgumentException>("reference", () => new GrpoObjective(Task(), new() { KlWeight = 1 }));
    }

    private static TinyLM Start()
    {
        TextTokenizer tokenizer = TinyModels.Tokenizer;
        var model = new TinyLM(new() { Vocabulary = tokenizer.Vocabulary, Width = 16, MlpWidth = 24, Layers = 1, Heads = 2, KeyValueHeads = 1, Context = 64 }, 3);
        Bfloat16Grid.Round(model);
        return model;
    }

    private static DocMember[] Members() =>
    [
        .. Enumerable.Range(0, 6).SelectMany(i => new[]
        {
            new DocMember($"M:N.Reader{i}.Read(System.IO.Stream,System.Int32)", DocMemberKind.Method, "N", $"Reader{i}", $"Reader{i}.Read(Stream, Int32)") { Summary = "Reads the bytes." },
            new DocMember($"M:N.Reader{i}.Count(System.Int32,System.String[])", DocMemberKind.Method, "N", $"Reader{i}", $"Reader{i}.Count(Int32, String[])") { Summary = "Counts." },
            new DocMember($"M:N.Reader{i}.Add(System.Collections.Generic.List{{N.Widget}},N.Widget[0:,0:]@)", DocMemberKind.Method, "N", $"Reader{i}", $"Reader{i}.AddWidget(List, Widget[])") { Summary = "Adds." },
        }),
    ];

    private static MentionTask Task() => MentionTask.Of(Members(), TinyModels.Tokenizer, new() { MostTokens = 40, FewestPrompts = 3 });

    /// <summary>Single letters count as types, so that random text mentions them at times.</summary>
    private static MentionTask Easy() => MentionTask.Of(
        [.. "abcdefgh".Select(c => new DocMember($"M:N.R.Do{c}(N.{c})", DocMemberKind.Method, "N", "R", $"R.Do{c}({c})") { Summary = "Does." })],
        TinyModels.Tokenizer, new() { MostTokens = 40, FewestPrompts = 1, FewestLetters = 1 });
}

/// <summary>Cancels after a step.</summary>
internal sealed class AtStep(long step, CancellationTokenSource stop) : IProgress<ProgressReport>
{
    public void Report(ProgressReport value)
    {
        if (value.Done == step) stop.Cancel();
    }
}
