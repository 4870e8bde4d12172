using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

public class LanguageModelTests
{
    public static TheoryData<string> Architectures => [.. TinyModels.All];

    [Theory]
    [MemberData(nameof(Architectures))]
    public void Logits_with_a_cache_are_those_without_one_however_the_tokens_are_dealt(string architecture)
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(architecture);
        Tensor ids = TinyModels.Ids(2, 9), whole = model.Logits(ids);
        Assert.Equal([2, 9, 29], whole.shape);
        foreach (int[] pieces in new[] { new[] { 9 }, [4, 5], [1, 1, 1, 1, 1, 1, 1, 1, 1], [5, 1, 3] })
        {
            using KeyValueCache cache = model.NewCache(2);
            int at = 0;
            foreach (int piece in pieces)
            {
                TinyModels.AssertClose(whole.narrow(1, at, piece), model.Logits(ids.narrow(1, at, piece), cache: cache));
                at += piece;
                Assert.Equal(at, cache.Count);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void A_cut_back_cache_goes_on_from_where_it_was_cut(string architecture)
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(architecture);
        Tensor ids = TinyModels.Ids(1, 8);
        using KeyValueCache cache = model.NewCache();
        model.Logits(ids, cache: cache);
        cache.Truncate(3);
        Tensor other = cat([ids.narrow(1, 0, 3), ids.narrow(1, 6, 2)], 1);
        TinyModels.AssertClose(model.Logits(other).narrow(1, 3, 2), model.Logits(ids.narrow(1, 6, 2), cache: cache));
        Assert.Throws<ArgumentOutOfRangeException>(() => cache.Truncate(6));
        Assert.Throws<ArgumentOutOfRangeException>(() => cache.Truncate(-1));
    }

    [Fact]
    public void A_cache_grows_beyond_its_first_memory()
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(TinyModels.Llama, context: 700);
        Tensor ids = TinyModels.Ids(1, 650), whole = model.Logits(ids);
        using KeyValueCache cache = model.NewCache();
        TinyModels.AssertClose(whole.narrow(1, 0, 250), model.Logits(ids.narrow(1, 0, 250), cache: cache), 1e-4);
        for (int i = 250; i < 260; i++) TinyModels.AssertClose(whole.narrow(1, i, 1), model.Logits(ids.narrow(1, i, 1), cache: cache), 1e-4);
        TinyModels.AssertClose(whole.narrow(1, 260, 390), model.Logits(ids.narrow(1, 260, 390), cache: cache), 1e-4);
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void No_token_sees_a_later_one_and_no_sequence_another(string architecture)
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(architecture);
        Tensor ids = TinyModels.Ids(2, 8), before = model.Logits(ids), other = ids.clone();
        other[0, 5] = (ids[0, 5] + 1).fmod(29);
        Tensor after = model.Logits(other);
        TinyModels.AssertClose(before[0].narrow(0, 0, 5), after[0].narrow(0, 0, 5));
        TinyModels.AssertClose(before[1], after[1]);
        for (int i = 5; i < 8; i++) Assert.True(TinyModels.Largest(before[0, i], after[0, i]) > 1e-3, $"Token {i} does not depend on token 5.");
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void The_last_logits_alone_are_the_last_of_all(string architecture)
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(architecture);
        Tensor ids = TinyModels.Ids(), whole = model.call(ids);
        TinyModels.AssertClose(whole.narrow(1, 4, 1), model.Logits(ids, lastOnly: true));
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void Gradients_are_those_of_finite_differences(string architecture)
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(architecture);
        model.to(ScalarType.Float64);
        Tensor ids = TinyModels.Ids();
        Tensor Loss() => nn.functional.cross_entropy(model.Logits(ids).flatten(0, 1), ids.flatten());
        Loss().backward();
        foreach ((string name, var parameter) in model.named_parameters())
        {
            Tensor flat = parameter.view(-1);
            int at = (int)(flat.shape[0] / 3);
            double slope = parameter.grad!.view(-1)[at].item<double>(), there, here;
            using (no_grad())
            {
                flat[at] = flat[at] + 1e-5;
                there = Loss().item<double>();
                flat[at] = flat[at] - 2e-5;
                here = Loss().item<double>();
                flat[at] = flat[at] + 1e-5;
            }

            Assert.True(Math.Abs(((there - here) / 2e-5) - slope) < 1e-7 + (1e-5 * Math.Abs(slope)), $"{name}: {slope} against {(there - here) / 2e-5}.");
        }
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void The_same_seed_makes_the_same_weights_and_another_makes_others(string architecture)
    {
        using var scope = NewDisposeScope();
        using LanguageModel a = TinyModels.New(architecture, seed: 3), b = TinyModels.New(architecture, seed: 3), c = TinyModels.New(architecture, seed: 4);
        Tensor ids = TinyModels.Ids();
        Assert.Equal(0, TinyModels.Largest(a.Logits(ids), b.Logits(ids)));
        Assert.True(TinyModels.Largest(a.Logits(ids), c.Logits(ids)) > 1e-2);
    }

    [Fact]
    public void A_call_leaves_nothing_behind_but_its_logits()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        using Tensor ids = TinyModels.Ids();
        using KeyValueCache cache = model.NewCache(2);
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();
        model.Logits(ids).Dispose();
        int before = scope.DisposablesCount;
        for (int i = 0; i < 10; i++)
        {
            model.Logits(ids, cache: cache, lastOnly: true).Dispose();
            cache.Truncate(0);
        }

        Assert.Equal(before, scope.DisposablesCount);
        Tensor kept = model.Logits(ids);
        Assert.Equal(before + 1, scope.DisposablesCount);
        Assert.False(kept.IsInvalid);
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void Ids_that_do_not_fit_are_refused(string architecture)
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(architecture);
        Assert.Contains("context of 12", Assert.Throws<ArgumentException>(() => model.Logits(TinyModels.Ids(1, 13))).Message, StringComparison.Ordinal);
        Assert.Contains("29", Assert.Throws<ArgumentException>(() => model.Logits(tensor(new long[] { 1, 29 }, [1, 2]))).Message, StringComparison.Ordinal);
        Assert.Contains("-1", Assert.Throws<ArgumentException>(() => model.Logits(tensor(new long[] { 1, -1 }, [1, 2]))).Message, StringComparison.Ordinal);
        Assert.Contains("[3]", Assert.Throws<ArgumentException>(() => model.Logits(tensor(new long[] { 1, 2, 3 }))).Message, StringComparison.Ordinal);
        Assert.Contains("Int32", Assert.Throws<ArgumentException>(() => model.Logits(ones([1, 2], dtype: ScalarType.Int32))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => model.Logits(zeros([1, 0], dtype: ScalarType.Int64)));
        Assert.Throws<ArgumentNullException>(() => model.Logits(null!));
        using KeyValueCache cache = model.NewCache();
        model.Logits(TinyModels.Ids(1, 10), cache: cache);
        Assert.Contains("13 tokens", Assert.Throws<ArgumentException>(() => model.Logits(TinyModels.Ids(1, 3), cache: cache)).Message, StringComparison.Ordinal);
        Assert.Equal(10, cache.Count);
    }

    [Fact]
    public void A_cache_of_another_model_or_batch_is_refused()
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        using KeyValueCache batch = model.NewCache(3), heads = new(2, 2, 4, 12, 6), layers = new(1, 2, 2, 12, 6);
        foreach (KeyValueCache wrong in new[] { batch, heads, layers })
            Assert.Contains("2 blocks, 2 sequences and 2 heads of 6 are needed", Assert.Throws<ArgumentException>(() => model.Logits(TinyModels.Ids(), cache: wrong)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>("batch", () => new KeyValueCache(1, 0, 1, 1, 2));
    }

    [Fact]
    public void Sizes_that_do_not_fit_each_other_are_refused()
    {
        var llama = new LlamaConfig();
        Assert.Throws<ArgumentException>("KeyValueHeads", () => new TinyLM(llama with { KeyValueHeads = 4 }));
        Assert.Throws<ArgumentException>("Heads", () => new TinyLM(llama with { Width = 100 }));
        Assert.Throws<ArgumentException>("HeadWidth", () => new TinyLM(llama with { HeadWidth = 5 }));
        Assert.Throws<ArgumentOutOfRangeException>("Layers", () => new TinyLM(llama with { Layers = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>("NormEpsilon", () => new TinyLM(llama with { NormEpsilon = double.NaN }));
        Assert.Throws<ArgumentOutOfRangeException>("RopeTheta", () => new TinyLM(llama with { RopeTheta = -1 }));
        Assert.Throws<ArgumentException>("Heads", () => new Gpt2(new() { Width = 10, Heads = 4 }));
        Assert.Throws<ArgumentException>("RotaryPart", () => new GptNeoX(new() { Width = 12, Heads = 2, RotaryPart = 0.5 }));
        Assert.Throws<ArgumentOutOfRangeException>("RotaryPart", () => new GptNeoX(new() { RotaryPart = 1.5 }));
        Assert.Throws<ArgumentNullException>(() => new TinyLM(null!));
    }

    [Fact]
    public void A_fresh_models_weights_have_the_deviation_that_its_documentation_says()
    {
        using var scope = NewDisposeScope();
        using var model = new TinyLM(new LlamaConfig { Layers = 2 });
        Assert.Equal(0.02, model.Embeddings.std().item<float>(), 0.001);
        Assert.Equal(0.02, model.Blocks[1].Query.weight!.std().item<float>(), 0.001);
        Assert.Equal(0.01, model.Blocks[1].Down.weight!.std().item<float>(), 0.0005);
        Assert.Equal(0.01, model.Blocks[0].Output.weight!.std().item<float>(), 0.0005);
        Assert.Equal(1f, model.Blocks[0].MlpNorm.Weight.min().item<float>());
        Assert.DoesNotContain("lm_head.weight", model.named_parameters().Select(p => p.name));
        Assert.Contains("model.layers.1.self_attn.q_proj.weight", model.named_parameters().Select(p => p.name));
    }

    [Fact]
    public void Rotary_positions_turn_pairs_half_a_head_apart_by_the_angle_of_their_position()
    {
        using var scope = NewDisposeScope();
        using var rotary = new RotaryPositions(10, 4, 100);
        Tensor x = tensor(new float[] { 1, 2, 3, 4, 5, 6 }, [1, 1, 1, 6]);
        double[] y = TinyModels.Numbers(rotary.At(7, 1, ScalarType.Float32, CPU).Apply(x));
        // Frequencies 1 and 100^(-1/2) = 0.1, so angles 7 and 0.7; pairs (1, 3) and (2, 4); the last two stay.
        double[] byHand = [Math.Cos(7) - (3 * Math.Sin(7)), (2 * Math.Cos(0.7)) - (4 * Math.Sin(0.7)), (3 * Math.Cos(7)) + Math.Sin(7), (4 * Math.Cos(0.7)) + (2 * Math.Sin(0.7)), 5, 6];
        for (int i = 0; i < 6; i++) Assert.Equal(byHand[i], y[i], 1e-5);
        Assert.Equal(Enumerable.Range(1, 6).Select(i => (double)i), TinyModels.Numbers(rotary.At(0, 1, ScalarType.Float32, CPU).Apply(x)));
    }

    [Fact]
    public void Products_of_rotated_queries_and_keys_depend_on_their_distance_alone()
    {
        using var scope = NewDisposeScope();
        using var rotary = new RotaryPositions(50, 8, 10_000);
        using var generator = new Generator(5);
        Tensor q = randn([1, 1, 1, 8], generator: generator), k = randn([1, 1, 1, 8], generator: generator);
        Tensor Turned(Tensor x, int i) => rotary.At(i, 1, ScalarType.Float32, CPU).Apply(x);
        double At(int i, int j) => Turned(q, i).mul(Turned(k, j)).sum().item<float>();
        Assert.Equal(At(9, 4), At(45, 40), 1e-4);
        Assert.Equal(At(3, 11), At(23, 31), 1e-4);
        Assert.True(Math.Abs(At(9, 4) - At(9, 5)) > 1e-3);
    }

    [Fact]
    public void The_norm_makes_the_root_mean_square_one()
    {
        using var scope = NewDisposeScope();
        using var norm = new RootMeanSquareNorm(2, 0.5);
        using (no_grad()) norm.Weight.copy_(tensor(new float[] { 1, 10 }));
        double[] y = TinyModels.Numbers(norm.call(tensor(new float[] { 3, 4 }, [1, 2])));
        Assert.Equal(3 / Math.Sqrt(13), y[0], 1e-6);
        Assert.Equal(40 / Math.Sqrt(13), y[1], 1e-5);
    }
}
