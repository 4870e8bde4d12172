using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

public class TextTests
{
    private static readonly int[] s_ids = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8];

    [Theory]
    [InlineData(11, 2)]
    [InlineData(12, 2)]
    [InlineData(12, 4)]
    [InlineData(12, 1)]
    [InlineData(12, 3)]
    public void Perplexity_counts_every_token_once_with_the_context_of_its_window(int count, int stride)
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        const int Window = 4;
        double sum = 0;
        for (int target = 1; target < count; target++)
        {
            // The first window that reaches the target; the last one is moved back to end with the text.
            int start = target <= Window ? 0 : Math.Min((target - Window + stride - 1) / stride * stride, count - 1 - Window);
            Tensor ids = tensor(s_ids[start..target].Select(i => (long)i).ToArray(), [1, target - start]);
            sum -= model.Logits(ids)[0, target - start - 1].log_softmax(0)[s_ids[target]].item<float>();
        }

        foreach (int batch in new[] { 1, 2, 16 })
        {
            TextLoss loss = Perplexity.Of(model, new(s_ids[..count]), Window, stride, batch);
            Assert.Equal(count - 1, loss.Tokens);
            Assert.Equal(sum / (count - 1), loss.Loss, 1e-5);
            Assert.Equal(Math.Exp(loss.Loss), loss.Perplexity);
        }
    }

    [Fact]
    public void A_model_that_knows_nothing_wavers_among_the_whole_vocabulary()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Gpt2);
        using (no_grad())
        {
            foreach (var parameter in model.parameters()) parameter.zero_();
        }

        Assert.Equal(29, Perplexity.Of(model, new(s_ids)).Perplexity, 1e-4);
    }

    [Fact]
    public void Perplexity_leaves_the_mode_sees_hooks_reports_and_stops()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        var text = new TokenText(s_ids);
        double plain = Perplexity.Of(model, text, 3).Loss;
        foreach (bool training in new[] { true, false })
        {
            model.train(training);
            Perplexity.Of(model, text, 3);
            Assert.Equal(training, model.training);
        }

        double harmed = Perplexity.Of(model, text, 3, hook: ActivationHook.Replace(new(0, Activation.MlpOutput), value => zeros_like(value))).Loss;
        Assert.NotEqual(plain, harmed, 1e-4);
        var reports = new List<ProgressReport>();
        Perplexity.Of(model, text, 3, 3, 2, progress: new Inline(reports.Add));
        Assert.Equal([2, 4], reports.Select(r => r.Done));
        using var source = new CancellationTokenSource();
        source.Cancel();
        Assert.Throws<OperationCanceledException>(() => Perplexity.Of(model, text, cancel: source.Token));
    }

    [Fact]
    public void Perplexity_refuses_what_does_not_fit()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        var text = new TokenText(s_ids);
        Assert.Throws<ArgumentOutOfRangeException>("length", () => Perplexity.Of(model, text, 13));
        Assert.Throws<ArgumentOutOfRangeException>("length", () => Perplexity.Of(model, text, 0));
        Assert.Throws<ArgumentOutOfRangeException>("stride", () => Perplexity.Of(model, text, 4, 5));
        Assert.Throws<ArgumentOutOfRangeException>("stride", () => Perplexity.Of(model, text, 4, 0));
        Assert.Throws<ArgumentOutOfRangeException>("batch", () => Perplexity.Of(model, text, batch: 0));
        Assert.Contains("29", Assert.Throws<ArgumentException>(() => Perplexity.Of(model, new([1, 29, 3]))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_text_gives_windows_and_the_tokens_after_them()
    {
        using var scope = NewDisposeScope();
        var text = new TokenText(s_ids);
        (Tensor ids, Tensor next) = text.Windows([0, 8], 3);
        Assert.Equal([3, 1, 4, 5, 3, 5], ids.data<long>().ToArray());
        Assert.Equal([1, 4, 1, 3, 5, 8], next.data<long>().ToArray());
        Assert.Throws<ArgumentException>("starts", () => text.Windows([9], 3));
        Assert.Throws<ArgumentException>("starts", () => text.Windows([-1], 3));
        Assert.Contains("0 tokens", Assert.Throws<ArgumentException>(() => new TokenText([])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new TokenText([1]));
    }

    [Fact]
    public void An_epoch_visits_window_after_window_in_random_order_the_same_for_a_seed()
    {
        var text = new TokenText([.. Enumerable.Range(0, 1000)]);
        int[] starts = text.EpochStarts(10, 1, 0);
        Assert.Equal(starts, text.EpochStarts(10, 1, 0));
        Assert.NotEqual(starts, text.EpochStarts(10, 1, 1));
        Assert.NotEqual(starts, text.EpochStarts(10, 2, 0));
        int[] sorted = [.. starts.Order()];
        Assert.NotEqual(sorted, starts);
        Assert.InRange(sorted[0], 0, 9);
        Assert.All(sorted.Zip(sorted.Skip(1)), p => Assert.Equal(10, p.Second - p.First));
        Assert.InRange(sorted[^1] + 10, 990, 999);
        Assert.Throws<ArgumentException>("length", () => text.EpochStarts(1000, 1, 0));
        Assert.Equal([0], text.EpochStarts(999, 1, 0));
    }

    [Fact]
    public void Texts_follow_each_other_with_the_token_that_ends_a_text()
    {
        var tokenizer = TinyModels.Tokenizer;
        int end = tokenizer.EndOfText!.Value;
        Assert.Equal([.. tokenizer.Encode("a value"), end, .. tokenizer.Encode("null"), end], TokenText.Of(["a value", "null"], tokenizer).Ids.ToArray());
        TokenText all = TokenText.Of(["a value", "null", "null"], tokenizer);
        for (int most = 2; most <= all.Count + 1; most++)
            Assert.Equal(all.Ids[..Math.Min(most, all.Count)].ToArray(), TokenText.Of(["a value", "null", "null"], tokenizer, most: most).Ids.ToArray());
        Assert.Throws<ArgumentOutOfRangeException>("most", () => TokenText.Of(["a value"], tokenizer, most: 1));
        Assert.Throws<ArgumentException>(() => TokenText.Of([], tokenizer));
        Assert.Throws<ArgumentException>("tokenizer", () => TokenText.Of(["a"], new(tokenizer.Model with { SpecialTokens = [] })));
    }

    [Fact]
    public void The_ngram_model_is_the_one_counted_by_hand()
    {
        // 0 1 0 1 0 2: unigrams are 3/6, 2/6, 1/6, as three different tokens and a uniform prior give back what the discount takes.
        NgramModel model = NgramModel.Count(new([0, 1, 0, 1, 0, 2]), 3, 2);
        Assert.Equal(1.0 / 3, model.Probability([], 1), 1e-12);
        // After 0 came 1, 1, 2: two different ones of three.
        Assert.Equal((1.25 + (1.5 / 3)) / 3, model.Probability([0], 1), 1e-12);
        Assert.Equal((0.25 + (1.5 / 6)) / 3, model.Probability([2, 0], 2), 1e-12);
        Assert.Equal(1.5 / 2 / 3, model.Probability([0], 0), 1e-12);
        // After 2 came nothing: the unigram.
        Assert.Equal(0.5, model.Probability([2], 0), 1e-12);
        double p01 = (1.25 + 0.5) / 3, p10 = (1.25 + (0.75 * 0.5)) / 2, p02 = 0.5 / 3;
        TextLoss loss = model.Loss(new([0, 1, 0, 2]));
        Assert.Equal(-(Math.Log(p01) + Math.Log(p10) + Math.Log(p02)) / 3, loss.Loss, 1e-12);
        Assert.Equal(3, loss.Tokens);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Ngram_probabilities_sum_to_one_after_every_history(int order)
    {
        var random = new SeededRandom(3);
        int[] ids = [.. Enumerable.Range(0, 300).Select(_ => random.NextInt(random.NextInt(6) + 1))];
        NgramModel model = NgramModel.Count(new(ids), 8, order, 0.6);
        foreach (int[] history in new int[][] { [], [0], [7], [0, 1], [5, 5], [1, 0, 2], [7, 0, 0], [0, 0, 0, 0, 1] })
            Assert.Equal(1, Enumerable.Range(0, 8).Sum(token => model.Probability(history, token)), 1e-12);
    }

    [Fact]
    public void Longer_ngrams_predict_the_text_they_counted_better_and_unseen_text_finitely()
    {
        int[] ids = [.. Enumerable.Range(0, 400).Select(i => (i * i / 3) % 7)];
        double[] losses = [.. Enumerable.Range(1, 4).Select(order => NgramModel.Count(new(ids), 9, order).Loss(new(ids)).Loss)];
        Assert.All(losses.Zip(losses.Skip(1)), p => Assert.True(p.Second < p.First));
        Assert.True(double.IsFinite(NgramModel.Count(new(ids), 9, 4).Loss(new([8, 8, 7, 8])).Loss));
    }

    [Fact]
    public void The_ngram_model_refuses_what_does_not_fit()
    {
        var text = new TokenText([0, 1, 2]);
        Assert.Contains("Token 2 is 2", Assert.Throws<ArgumentException>(() => NgramModel.Count(text, 2)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => NgramModel.Count(new([0, -1]), 2));
        Assert.Throws<ArgumentOutOfRangeException>("order", () => NgramModel.Count(text, 3, 5));
        Assert.Throws<ArgumentOutOfRangeException>("discount", () => NgramModel.Count(text, 3, 2, 1));
        Assert.Throws<ArgumentOutOfRangeException>("discount", () => NgramModel.Count(text, 3, 2, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>("vocabulary", () => NgramModel.Count(text, 0));
        Assert.Throws<ArgumentOutOfRangeException>("token", () => NgramModel.Count(text, 3).Probability([], 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => NgramModel.Count(text, 3).Loss(new([0, 3])));
    }

    private sealed class Inline(Action<ProgressReport> report) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => report(value);
    }
}
