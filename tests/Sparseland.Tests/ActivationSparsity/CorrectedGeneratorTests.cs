using Sparseland.ActivationSparsity;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.ActivationSparsity;

public class CorrectedGeneratorTests
{
    private static readonly LlamaConfig s_config = Decoder.Config with { Context = 64 };
    private static readonly NeuronScore[] s_scores = [new GateScore(), new PromptScore()];
    private static readonly int[] s_prompt = [3, 1, 4, 1, 5, 9];

    [Fact]
    public void With_acceptance_of_the_most_likely_token_the_text_is_the_full_models_own()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New(config: s_config);
        IReadOnlyList<int> own = Greedy(model, 30);
        bool rejected = false;
        foreach (NeuronScore score in s_scores)
        {
            foreach (double density in new[] { 0.05, 0.3, 0.7, 1 })
            {
                using SparseNeurons sparse = SparseNeurons.Apply(model, score, density);
                foreach ((int kernel, int width) in new[] { (2, 1), (5, 1), (16, 1), (6, 3) })
                {
                    foreach (CorrectionOptions options in new CorrectionOptions[] { new() { Accept = Acceptance.Argmax }, new() { MinLikelihood = 0.5, Temperature = 1 } })
                    {
                        CorrectedText text = new CorrectedGenerator(sparse, options with { KernelSize = kernel, TreeWidth = width, NewTokens = 30 }).Generate(s_prompt);

                        // At least half of the likelihood can only be the most likely token, but the most likely one need not have it.
                        Assert.Equal(own, text.Ids);
                        Assert.Equal(CorrectedEnd.Length, text.End);
                        Assert.InRange(text.AverageAdvance, 1, kernel);
                        rejected |= text.Corrections > 0;
                    }
                }
            }
        }

        Assert.True(rejected, "a draft that is never rejected tests nothing");
    }

    [Fact]
    public void All_units_draft_what_the_full_model_would_write()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New(config: s_config);
        IReadOnlyList<int> own = Greedy(model, 33);
        foreach (NeuronScore score in s_scores)
        {
            using SparseNeurons sparse = SparseNeurons.Apply(model, score, 1);
            foreach (int kernel in new[] { 2, 4, 16 })
            {
                var generator = new CorrectedGenerator(sparse, new() { KernelSize = kernel, MinLikelihood = 0, NewTokens = 33 });
                CorrectedText text = generator.Generate(s_prompt);
                Assert.Equal(own, text.Ids);
                Assert.Equal(own, generator.Uncorrected(s_prompt));
                Assert.Equal(kernel, text.AverageAdvance);
                Assert.Equal(0, text.Corrections);
                Assert.Equal(text.EffectiveDensity, text.CountedDensity, 1e-12);
                Assert.Equal(1, text.EffectiveDensity, 1e-12);
            }
        }
    }

    [Fact]
    public void After_each_check_the_cache_is_the_full_models_over_the_tokens_that_stay()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New(config: s_config);
        bool rejected = false, branched = false;
        foreach (NeuronScore score in s_scores)
        {
            using SparseNeurons sparse = SparseNeurons.Apply(model, score, 0.3);
            foreach (int width in new[] { 1, 4 })
            {
                using CorrectedRun run = new CorrectedGenerator(sparse, new() { KernelSize = 6, TreeWidth = width }).Start(s_prompt);
                for (int step = 0; step < 6; step++)
                {
                    CorrectionCheck check = run.Step();
                    rejected |= check.Accepted < check.Drafted;
                    branched |= check.Path.Select((node, depth) => node != depth).Any(other => other) && check.Accepted > 0;
                    int[] kept = [.. s_prompt, .. run.Tokens.SkipLast(1).Select(t => t.Id)];
                    Assert.Equal(kept.Length, run.Cache.Count);
                    using KeyValueCache fresh = model.NewCache();
                    Tensor logits = model.Logits(tensor(kept.Select(t => (long)t).ToArray(), [1, kept.Length]), null, fresh, lastOnly: true);
                    for (int layer = 0; layer < model.Layers; layer++)
                    {
                        Assert.True(run.Cache.KeysOf(layer).allclose(fresh.KeysOf(layer), 1e-5, 1e-5));
                        Assert.True(run.Cache.ValuesOf(layer).allclose(fresh.ValuesOf(layer), 1e-5, 1e-5));
                    }

                    Assert.Equal((int)logits.argmax().item<long>(), run.Tokens[^1].Id);
                }
            }
        }

        Assert.True(rejected && branched);
    }

    /// <summary>The likelihoods, the place of the first rejected token and the sums, computed here from the full model's logits.</summary>
    [Fact]
    public void A_check_keeps_the_longest_beginning_that_is_likely_enough()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New(config: s_config);
        using SparseNeurons sparse = SparseNeurons.Apply(model, new GateScore(), 0.3);
        foreach (double least in new[] { 0, 0.02, 0.1, 0.3 })
        {
            CorrectedText text = new CorrectedGenerator(sparse, new() { KernelSize = 8, MinLikelihood = least, NewTokens = 30 }).Generate(s_prompt);
            List<int> all = [.. s_prompt, text.Ids[0]];
            foreach (CorrectionCheck check in text.Checks)
            {
                Assert.Equal((all.Count - 1, all[^1], 8), (check.Position, check.Tree.Ids[0], check.Tree.Count));
                int[] read = [.. all, .. check.Tree.Ids.Skip(1)];
                Tensor p = model.Logits(tensor(read.Select(t => (long)t).ToArray(), [1, read.Length])).to(ScalarType.Float64).div(0.6).softmax(-1)[0];
                int accepted = 0;
                for (int i = 1; i < 8; i++) Assert.Equal(p[all.Count - 2 + i, check.Tree.Ids[i]].item<double>(), check.Likelihoods[i], 1e-4);
                while (accepted < 7 && check.Likelihoods[accepted + 1] >= least) accepted++;
                Assert.Equal(accepted, check.Accepted);
                Assert.Equal((int)p[all.Count - 1 + accepted].argmax().item<long>(), check.Next);
                Assert.Equal(accepted < 7 ? check.Tree.Ids[accepted + 1] : null, check.Rejected?.Id);
                all.AddRange([.. check.Tree.Ids.Skip(1).Take(accepted), check.Next]);
            }

            Assert.Equal(all.Skip(s_prompt.Length).Take(30), text.Ids);
            Assert.Equal(all.Count - s_prompt.Length - 1, text.Produced);
            Assert.Equal(((7 * text.Checks.Count * sparse.Step.Share) + text.Checks.Count) / text.Produced, text.EffectiveDensity, 1e-12);
            Assert.Equal(text.EffectiveDensity, text.CountedDensity, 1e-9);
            Assert.Equal(text.Tokens.Count(t => t.InPlaceOf is not null), text.Checks.Take(text.Checks.Count - 1).Count(c => c.Replaced) + (text.Produced + 1 <= 30 && text.Checks[^1].Replaced ? 1 : 0));
            if (least == 0) Assert.Equal(8, text.AverageAdvance);
        }
    }

    [Fact]
    public void A_tree_is_read_as_each_of_its_branches_alone()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New(config: s_config);
        using KeyValueCache cache = model.NewCache();
        model.Logits(tensor(s_prompt.Select(t => (long)t).ToArray(), [1, 6]), null, cache);
        var tree = new TokenTree(6, 7);
        int a = tree.Add(8, 0), b = tree.Add(9, 0), c = tree.Add(10, b);
        tree.Add(11, a);
        tree.Add(12, c);
        Tensor before = model.TreeLogits(tree, cache);
        for (int node = 0; node < tree.Count; node++)
        {
            int[] ids = [.. s_prompt, .. tree.Path(node).Select(n => tree.Ids[n])];
            Assert.True(model.Logits(tensor(ids.Select(t => (long)t).ToArray(), [1, ids.Length]))[0, ids.Length - 1].allclose(before[0, node], 1e-4, 1e-4), $"node {node}");
        }

        // A path becomes a text.
        cache.Keep(6, tree.Path(5).ToArray());
        int[] path = [.. s_prompt, 7, 9, 10, 12];
        using KeyValueCache fresh = model.NewCache();
        model.Logits(tensor(path.Select(t => (long)t).ToArray(), [1, path.Length]), null, fresh);
        Assert.Equal(fresh.Count, cache.Count);
        for (int layer = 0; layer < model.Layers; layer++) Assert.True(cache.KeysOf(layer).allclose(fresh.KeysOf(layer), 1e-5, 1e-5) && cache.ValuesOf(layer).allclose(fresh.ValuesOf(layer), 1e-5, 1e-5));
        Assert.Throws<ArgumentException>(() => model.TreeLogits(new TokenTree(11, 1), cache));
        Assert.Throws<ArgumentOutOfRangeException>(() => tree.Add(1, 6));
        Assert.Throws<ArgumentOutOfRangeException>(() => tree.Path(6));
        Assert.Throws<ArgumentOutOfRangeException>(() => new TokenTree(-1, 0));
        Assert.Throws<ArgumentException>(() => cache.Keep(6, [1, 1]));
        Assert.Throws<ArgumentException>(() => cache.Keep(6, [4]));
        Assert.Throws<ArgumentOutOfRangeException>(() => cache.KeysOf(2));
        using TinyLM windowed = Decoder.New(config: s_config with { Family = LlamaFamily.Mistral, Window = 4 });
        using KeyValueCache other = windowed.NewCache();
        Assert.Throws<ArgumentException>(() => windowed.TreeLogits(new TokenTree(0, 1), other));
    }

    [Fact]
    public void Branches_let_checks_go_further_and_the_reads_of_branches_are_counted()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New(config: s_config);
        using SparseNeurons sparse = SparseNeurons.Apply(model, new GateScore(), 0.3);
        int[][] prompts = [.. Enumerable.Range(0, 8).Select(i => new[] { i, 2 * i, 39 - i })];
        (double Chain, double Tree) sums = default;
        foreach (int[] prompt in prompts)
        {
            CorrectedText Of(int width) => new CorrectedGenerator(sparse, new() { KernelSize = 6, TreeWidth = width, NewTokens = 24 }).Generate(prompt);
            CorrectedText chain = Of(1), tree = Of(4);
            sums = (sums.Chain + chain.AverageAdvance, sums.Tree + tree.AverageAdvance);
            Assert.All(tree.Checks, c => Assert.Equal(1 + (5 * 4), c.Tree.Count));
            Assert.True(tree.CountedDensity * tree.Produced / tree.Checks.Count >= chain.CountedDensity * chain.Produced / chain.Checks.Count);
        }

        Assert.True(sums.Tree > sums.Chain, $"{sums}");
    }

    [Fact]
    public void The_text_ends_behind_an_accepted_stop_token_and_with_the_context()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New(config: s_config);
        using SparseNeurons sparse = SparseNeurons.Apply(model, new GateScore(), 0.2);
        CorrectionOptions options = new() { KernelSize = 8, Accept = Acceptance.Argmax, NewTokens = 200 };
        IReadOnlyList<int> own = Greedy(model, 30);
        CorrectedText free = new CorrectedGenerator(sparse, options).Generate(s_prompt);
        Assert.Equal(CorrectedEnd.Context, free.End);
        Assert.Equal(s_config.Context - s_prompt.Length + 1, free.Ids.Count);

        // A token that the sparse model wrote and the full one did not must not end the text.
        HashSet<int> drafted = [.. free.Checks.Where(c => c.Replaced).SelectMany(c => c.Tree.Ids.Skip(1 + c.Accepted))];
        int never = drafted.First(t => !own.Contains(t));
        Assert.Equal(own, new CorrectedGenerator(sparse, options with { StopAt = never, NewTokens = 30 }).Generate(s_prompt).Ids);
        foreach (int stop in own.Distinct().Take(6))
        {
            CorrectedText text = new CorrectedGenerator(sparse, options with { StopAt = stop }).Generate(s_prompt);
            Assert.Equal(own.Take(own.ToList().IndexOf(stop) + 1), text.Ids);
            Assert.Equal(CorrectedEnd.StopToken, text.End);
        }
    }

    [Fact]
    public void Cancelled_in_the_middle_of_a_check_it_gives_the_text_up_to_the_last_one()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New(config: s_config);
        using SparseNeurons sparse = SparseNeurons.Apply(model, new GateScore(), 0.4);
        CorrectedGenerator generator = new(sparse, new() { KernelSize = 6, NewTokens = 30 });
        IReadOnlyList<int> whole = generator.Generate(s_prompt).Ids;
        using CancellationTokenSource source = new();
        int reports = 0;
        CorrectedText text = generator.Generate(s_prompt, new Now(() =>
        {
            if (++reports == 2) source.Cancel();
        }), source.Token);
        Assert.Equal((CorrectedEnd.Cancelled, 2), (text.End, text.Checks.Count));
        Assert.Equal(whole.Take(text.Ids.Count), text.Ids);
        Assert.Equal(1 + text.Produced, text.Ids.Count);
        Assert.Empty(generator.Generate(s_prompt, cancel: source.Token).Ids);

        // A step that fails leaves the run where it stood.
        using CorrectedRun run = generator.Start(s_prompt);
        run.Step();
        (int count, int tokens) = (run.Cache.Count, run.Tokens.Count);
        using CancellationTokenSource later = new();
        int calls = 0;
        model.Begins += Cancel;
        Assert.Throws<OperationCanceledException>(() => run.Step(later.Token));
        model.Begins -= Cancel;
        Assert.Equal(3, calls);
        Assert.Equal((count, tokens, 1), (run.Cache.Count, run.Tokens.Count, run.Checks.Count));
        while (run.Tokens.Count < 30) run.Step();
        Assert.Equal(whole, run.Tokens.Take(30).Select(t => t.Id));

        void Cancel(int position)
        {
            if (++calls == 3) later.Cancel();
        }
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New(config: s_config);
        using SparseNeurons sparse = SparseNeurons.Apply(model, new GateScore(), 0.4);
        foreach (CorrectionOptions bad in new CorrectionOptions[]
        {
            new() { KernelSize = 1 }, new() { MinLikelihood = -0.1 }, new() { MinLikelihood = 1.1 }, new() { MinLikelihood = double.NaN }, new() { Temperature = 0 }, new() { Temperature = double.PositiveInfinity },
            new() { TreeWidth = 0 }, new() { TreeWidth = 41 }, new() { NewTokens = 0 }, new() { Accept = (Acceptance)7 }, new() { StopAt = 40 }, new() { StopAt = -1 },
        })
            Assert.Throws<ArgumentOutOfRangeException>(() => new CorrectedGenerator(sparse, bad));
        CorrectedGenerator generator = new(sparse);
        Assert.Throws<ArgumentException>(() => generator.Generate([]));
        Assert.Throws<ArgumentException>(() => generator.Start([40]));
        Assert.Contains("48", Assert.Throws<ArgumentException>(() => generator.Generate([.. Enumerable.Repeat(1, 49)])).Message, StringComparison.Ordinal);
        Assert.Equal(17, generator.Generate([.. Enumerable.Repeat(1, 48)]).Ids.Count);
        Assert.Equal(double.NaN, new CorrectedGenerator(sparse, new() { NewTokens = 1 }).Generate(s_prompt).AverageAdvance);
    }

    private static IReadOnlyList<int> Greedy(TinyLM model, int tokens) => TextGenerator.Generate(model, s_prompt, new() { NewTokens = tokens, Temperature = 0 });

    private sealed class Now(Action report) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => report();
    }
}
