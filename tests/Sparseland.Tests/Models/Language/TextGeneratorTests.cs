using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

public class TextGeneratorTests
{
    private static readonly float[] s_logits = [0.5f, 2, -1, 1.5f, 2, float.NegativeInfinity];

    public static TheoryData<string> Architectures => [.. TinyModels.All];

    [Theory]
    [MemberData(nameof(Architectures))]
    public void Greedy_generation_takes_the_best_token_of_the_whole_text_and_drops_the_older_half_when_the_context_is_full(string architecture)
    {
        using LanguageModel model = TinyModels.New(architecture);
        IReadOnlyList<int> made = TextGenerator.Generate(model, [3, 1, 4], new() { NewTokens = 40, Temperature = 0 });
        Assert.Equal(Greedy(model, [3, 1, 4], 40), made);
        Assert.True(made.Distinct().Count() > 1);
    }

    [Fact]
    public void Of_a_prompt_longer_than_the_context_the_last_tokens_count()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        int[] prompt = [.. Enumerable.Range(0, 30).Select(i => (i * i) % 29)];
        IReadOnlyList<int> made = TextGenerator.Generate(model, prompt, new() { NewTokens = 5, Temperature = 0 });
        Assert.Equal(TextGenerator.Generate(model, prompt[^12..], new() { NewTokens = 5, Temperature = 0 }), made);
        Assert.Equal(Greedy(model, prompt[^12..], 5), made);
    }

    [Fact]
    public void A_context_of_one_token_is_enough()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Llama, context: 1);
        Assert.Equal(Greedy(model, [3], 6), TextGenerator.Generate(model, [3], new() { NewTokens = 6, Temperature = 0 }));
    }

    [Fact]
    public void A_seed_makes_the_same_text_and_another_seed_another()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        IReadOnlyList<int> Make(long seed) => TextGenerator.Generate(model, [5], new() { NewTokens = 30, Temperature = 1, Seed = seed });
        Assert.Equal(Make(1), Make(1));
        Assert.NotEqual(Make(1), Make(2));
        Assert.All(Make(1), token => Assert.InRange(token, 0, 28));
    }

    [Fact]
    public void It_stops_after_the_token_that_ends_a_text()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        IReadOnlyList<int> all = TextGenerator.Generate(model, [5], new() { NewTokens = 30, Temperature = 1 });
        int end = all[10], first = all.ToList().IndexOf(end);
        Assert.Equal(all.Take(first + 1), TextGenerator.Generate(model, [5], new() { NewTokens = 30, Temperature = 1, StopAt = end }));
    }

    [Fact]
    public void Tokens_are_drawn_with_their_probabilities()
    {
        // exp(logit / 2), by hand.
        double[] weights = [Math.Exp(0.25), Math.E, Math.Exp(-0.5), Math.Exp(0.75), Math.E, 0];
        AssertFrequencies(new() { Temperature = 2 }, weights);
    }

    [Fact]
    public void Top_k_keeps_the_k_best_and_the_lower_id_among_equals()
    {
        AssertFrequencies(new() { Temperature = 1, TopK = 3 }, [0, Math.Exp(2), 0, Math.Exp(1.5), Math.Exp(2), 0]);
        AssertFrequencies(new() { Temperature = 1, TopK = 1 }, [0, 1, 0, 0, 0, 0]);
        AssertFrequencies(new() { Temperature = 1, TopK = 100 }, [.. s_logits.Select(l => Math.Exp(l))]);
    }

    [Fact]
    public void Top_p_keeps_the_fewest_tokens_that_have_that_probability()
    {
        // Probabilities 0.345, 0.345, 0.209, 0.077, 0.017, ... in order.
        double all = s_logits.Sum(l => Math.Exp(l)), best = Math.Exp(2) / all;
        AssertFrequencies(new() { Temperature = 1, TopP = 0.99 * best }, [0, 1, 0, 0, 0, 0]);
        AssertFrequencies(new() { Temperature = 1, TopP = 1.01 * best }, [0, 1, 0, 0, 1, 0]);
        AssertFrequencies(new() { Temperature = 1, TopP = 2.01 * best }, [0, Math.Exp(2), 0, Math.Exp(1.5), Math.Exp(2), 0]);
        // Of the two best, which have half each, one has 0.4.
        AssertFrequencies(new() { Temperature = 1, TopK = 2, TopP = 0.4 }, [0, 1, 0, 0, 0, 0]);
    }

    [Fact]
    public void Logits_that_are_no_choice_are_refused()
    {
        int Choose(float[] logits, double temperature)
        {
            var random = new SeededRandom(1);
            return TextGenerator.Choose(logits, new() { Temperature = temperature }, ref random);
        }

        Assert.Contains("token 1 is NaN", Assert.Throws<ArgumentException>(() => Choose([1, float.NaN], 1)).Message, StringComparison.Ordinal);
        Assert.ThrowsAny<ArgumentException>(() => Choose([1, float.NaN], 0));
        Assert.Contains("token 0", Assert.Throws<ArgumentException>(() => Choose([float.PositiveInfinity, 1], 1)).Message, StringComparison.Ordinal);
        Assert.Contains("no token is possible", Assert.Throws<ArgumentException>(() => Choose([float.NegativeInfinity, float.NegativeInfinity], 1)).Message, StringComparison.Ordinal);
        Assert.Equal(1, Choose([float.NegativeInfinity, 1], 0));
    }

    [Fact]
    public void A_model_that_is_not_finite_is_refused_when_it_speaks()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        using (no_grad()) model.Embeddings.fill_(float.NaN);
        Assert.ThrowsAny<ArgumentException>(() => TextGenerator.Generate(model, [1]));
    }

    [Fact]
    public void Hooks_steer_reports_count_and_cancellation_stops()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        var options = new GenerationOptions { NewTokens = 20, Temperature = 0 };
        IReadOnlyList<int> plain = TextGenerator.Generate(model, [1, 2], options);
        Assert.NotEqual(plain, TextGenerator.Generate(model, [1, 2], options, ActivationHook.Replace(new(1, Activation.ResidualAfter), value => value.neg())));
        var source = new CancellationTokenSource();
        int count = 0;
        Assert.Throws<OperationCanceledException>(() => TextGenerator.Generate(model, [1, 2], options, progress: new Inline(r =>
        {
            count++;
            Assert.Equal((count, 20), (r.Done, r.Total));
            if (r.Done == 7) source.Cancel();
        }), cancel: source.Token));
        Assert.Equal(7, count);
    }

    [Fact]
    public void Options_out_of_their_range_are_refused()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        void Refused(string name, GenerationOptions options) => Assert.Throws<ArgumentOutOfRangeException>(name, () => TextGenerator.Generate(model, [1], options));
        Refused("NewTokens", new() { NewTokens = 0 });
        Refused("Temperature", new() { Temperature = -1 });
        Refused("Temperature", new() { Temperature = double.NaN });
        Refused("TopK", new() { TopK = 0 });
        Refused("TopP", new() { TopP = 0 });
        Refused("TopP", new() { TopP = 1.1 });
        Assert.Contains("empty", Assert.Throws<ArgumentException>("prompt", () => TextGenerator.Generate(model, [])).Message, StringComparison.Ordinal);
        Assert.Contains("29", Assert.Throws<ArgumentException>(() => TextGenerator.Generate(model, [29])).Message, StringComparison.Ordinal);
    }

    private static List<int> Greedy(LanguageModel model, int[] prompt, int count)
    {
        using var scope = NewDisposeScope();
        List<int> window = [.. prompt], made = [];
        while (made.Count < count)
        {
            if (window.Count > model.Context) window = window[^Math.Max(1, model.Context / 2)..];
            Tensor ids = tensor(window.Select(i => (long)i).ToArray(), [1, window.Count]);
            made.Add((int)model.Logits(ids)[0, window.Count - 1].argmax().item<long>());
            window.Add(made[^1]);
        }

        return made;
    }

    private static void AssertFrequencies(GenerationOptions options, double[] weights)
    {
        const int Draws = 20_000;
        int[] counts = new int[weights.Length];
        var random = new SeededRandom(11);
        for (int i = 0; i < Draws; i++) counts[TextGenerator.Choose(s_logits, options, ref random)]++;
        for (int i = 0; i < weights.Length; i++)
        {
            double p = weights[i] / weights.Sum();
            if (p == 0) Assert.Equal(0, counts[i]);
            else Assert.InRange(counts[i], (p * Draws) - (5 * Math.Sqrt(Draws * p * (1 - p))), (p * Draws) + (5 * Math.Sqrt(Draws * p * (1 - p))));
        }
    }

    private sealed class Inline(Action<ProgressReport> report) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => report(value);
    }
}
