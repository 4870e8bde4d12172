using Sparseland.Models.Language;
using Sparseland.Tests.Models.Language;
using Sparseland.Training.Reinforcement;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training.Reinforcement;

public class RolloutTests
{
    private static readonly IReadOnlyList<int>[] s_prompts = [[3, 7, 1], [5, 2, 9], [3, 7, 1], [11, 0, 4]];

    [Theory]
    [InlineData(TinyModels.Llama, 1)]
    [InlineData(TinyModels.Llama, 0.6)]
    [InlineData(TinyModels.Gpt2, 1)]
    [InlineData("gemma2", 1)]
    public void Log_probabilities_are_those_of_a_pass_over_the_whole(string architecture, double temperature)
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(architecture);
        using Rollout rollout = Rollout.Sample(model, s_prompts, new() { NewTokens = 8, Temperature = temperature, End = 6 }, 3);
        using IDisposable off = no_grad();
        Tensor all = model.Logits(rollout.Ids.narrow(1, 0, rollout.Ids.shape[1] - 1)).div(temperature).log_softmax(-1);
        Tensor picked = all.gather(2, rollout.Ids.narrow(1, 1, rollout.Ids.shape[1] - 1).unsqueeze(2)).squeeze(2).narrow(1, 2, rollout.Mask.shape[1]);
        double[] expected = TrainingData.Numbers(picked.masked_fill(rollout.Mask.logical_not(), 0)), sampled = TrainingData.Numbers(rollout.LogProbabilities);
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], sampled[i], 2e-5);
        (Tensor ids, Tensor mask) = rollout.Select([0, 1, 2, 3]);
        double[] again = TrainingData.Numbers(Completions.LogProbabilities(model, ids, mask, temperature).narrow(1, 3, rollout.Mask.shape[1]));
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], again[i], 2e-5);
    }

    [Fact]
    public void A_seed_and_a_row_decide_what_is_sampled()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        IReadOnlyList<int>[] Of(int seed, IReadOnlyList<int>[] prompts)
        {
            using Rollout rollout = Rollout.Sample(model, prompts, new() { NewTokens = 8 }, seed);
            return [.. Enumerable.Range(0, rollout.Count).Select(rollout.Completion)];
        }

        IReadOnlyList<int>[] first = Of(3, s_prompts);
        Assert.Equal(first, Of(3, s_prompts));
        Assert.NotEqual(first, Of(4, s_prompts));
        Assert.NotEqual(first[0], first[2]);
        Assert.Equal(first[..2], Of(3, s_prompts[..2]));
    }

    [Fact]
    public void A_completion_ends_with_its_end_token_and_all_are_cut_at_the_longest()
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(TinyModels.Llama, vocabulary: 4);
        IReadOnlyList<int>[] prompts = [.. Enumerable.Repeat((IReadOnlyList<int>)[0, 1], 40)];
        using Rollout rollout = Rollout.Sample(model, prompts, new() { NewTokens = 9, End = 2, Temperature = 8 }, 5);
        int[] lengths = [.. Enumerable.Range(0, 40).Select(row => rollout.Completion(row).Count)];
        Assert.True(lengths.Distinct().Count() > 2, string.Join(" ", lengths));
        Assert.Equal(lengths.Max(), rollout.Mask.shape[1]);
        for (int row = 0; row < 40; row++)
        {
            IReadOnlyList<int> said = rollout.Completion(row);
            Assert.True(said[^1] == 2 || said.Count == 9);
            Assert.DoesNotContain(2, said.SkipLast(1));
            Assert.Equal([0, 1, .. said, .. new int[lengths.Max() - said.Count]], rollout.Ids[row].data<long>().Select(t => (int)t));
            Assert.Equal(Enumerable.Range(0, lengths.Max()).Select(t => t < said.Count), rollout.Mask[row].data<bool>().ToArray());
        }
    }

    [Fact]
    public void Tokens_come_as_often_as_the_model_says()
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(TinyModels.Llama, vocabulary: 5);
        using Rollout rollout = Rollout.Sample(model, [.. Enumerable.Repeat((IReadOnlyList<int>)[1, 4], 4000)], new() { NewTokens = 1 }, 2);
        using IDisposable off = no_grad();
        double[] share = TrainingData.Numbers(model.Logits(tensor(new long[] { 1, 4 }, [1, 2]))[0, 1].softmax(0));
        int[] counts = new int[5];
        foreach (long token in rollout.Ids.select(1, 2).data<long>()) counts[token]++;

        // Four standard errors of a share of 4,000.
        for (int t = 0; t < 5; t++) Assert.Equal(share[t], counts[t] / 4000.0, 4 * Math.Sqrt(share[t] * (1 - share[t]) / 4000) + 1e-9);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        ArgumentException unequal = Assert.Throws<ArgumentException>("prompts", () => Rollout.Sample(model, [[1, 2], [1, 2, 3]]));
        Assert.Contains("3 tokens", unequal.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("prompts", () => Rollout.Sample(model, []));
        Assert.Throws<ArgumentException>("prompts", () => Rollout.Sample(model, [[1], []]));
        Assert.Throws<ArgumentException>("prompts", () => Rollout.Sample(model, [[1, 2]], new() { NewTokens = 12 }));
        Assert.Throws<ArgumentException>("ids", () => Rollout.Sample(model, [[99]], new() { NewTokens = 2 }));
        Assert.Throws<ArgumentOutOfRangeException>("NewTokens", () => Rollout.Sample(model, [[1]], new() { NewTokens = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>("Temperature", () => Rollout.Sample(model, [[1]], new() { NewTokens = 2, Temperature = 0 }));
        Assert.Throws<OperationCanceledException>(() => Rollout.Sample(model, [[1]], new() { NewTokens = 2 }, cancel: new CancellationToken(true)));
        Assert.Throws<ArgumentException>("items", () => new Completions([]));
        Assert.Throws<ArgumentException>("items", () => new Completions([([1], [])]));
        using Tensor ids = zeros([1, 3], dtype: ScalarType.Int64), mask = ones([1, 3], dtype: ScalarType.Bool);
        Assert.Throws<ArgumentException>("mask", () => Completions.LogProbabilities(model, ids, mask));
    }

    [Fact]
    public void Shorter_prompts_are_filled_up_behind_their_end_and_count_as_alone()
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        using Completions both = new([([1, 2], [3, 4, 5]), ([7, 8, 9, 10], [11])]), first = new([([1, 2], [3, 4, 5])]), second = new([([7, 8, 9, 10], [11])]);
        using IDisposable off = no_grad();
        double a = first.LogProbabilities(model).sum().item<float>(), b = second.LogProbabilities(model).sum().item<float>();
        double[] rows = TrainingData.Numbers(both.LogProbabilities(model).sum(1L));
        Assert.Equal(a, rows[0], 1e-5);
        Assert.Equal(b, rows[1], 1e-5);

        // A mean over four tokens, not over two completions.
        Assert.Equal(-(a + b) / 4, both.NegativeLogLikelihood(model).item<float>(), 1e-5);
    }
}
