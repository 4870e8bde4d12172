using Sparseland.Attention;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models;

public class AttentionMethodTests
{
    private static readonly LlamaConfig s_small = new() { Vocabulary = 50, Width = 32, MlpWidth = 48, Layers = 2, Heads = 4, KeyValueHeads = 2, Context = 64 };

    private static Tensor Ids(int tokens, int batch = 1) => randint(0, 50, [batch, tokens], dtype: ScalarType.Int64, generator: new Generator(4));

    public static TheoryData<string> Models => ["llama", "gpt2", "neox"];

    private static LanguageModel Make(string name) => name switch
    {
        "llama" => new TinyLM(s_small),
        "gpt2" => new Gpt2(new Gpt2Config { Vocabulary = 50, Width = 32, Layers = 2, Heads = 4, Context = 64 }),
        _ => new GptNeoX(new GptNeoXConfig { Vocabulary = 50, Width = 32, MlpWidth = 48, Layers = 2, Heads = 4, Context = 64 }),
    };

    private static double Far(Tensor a, Tensor b) => (a - b).abs().max().item<float>();

    [Theory, MemberData(nameof(Models))]
    public void All_cells_are_the_model_itself(string name)
    {
        using LanguageModel model = Make(name);
        Tensor ids = Ids(33, 2), expected = model.Logits(ids);
        Assert.True(Far(model.Logits(ids, attention: new PatternAttention(c => AttentionPatterns.Full(c.Tokens, c.Offset))), expected) < 1e-5);
        Assert.True(Far(model.Logits(ids, attention: new BlockAttention(c => [BlockSupport.Full(c.Tokens, c.Offset)])), expected) < 1e-5);
        Assert.True(Far(model.Logits(ids, attention: new PatternAttention(_ => (AttentionSupport?)null)), expected) == 0);
        Assert.True(Far(model.Logits(ids, attention: new PatternAttention(c => AttentionPatterns.Window(c.Tokens, 5))), expected) > 1e-3);
    }

    [Theory, MemberData(nameof(Models))]
    public void With_a_cache_a_pattern_goes_on_token_by_token(string name)
    {
        using LanguageModel model = Make(name);
        Tensor ids = Ids(30);
        var window = new PatternAttention(c => AttentionPatterns.SinksAndWindow(c.Tokens, 2, 6, c.Offset));
        Tensor whole = model.Logits(ids, attention: window);
        Assert.Equal(AttentionPatterns.SinksAndWindow(30, 2, 6).Count / (30 * 31 / 2.0), window.Density, 12);
        using KeyValueCache cache = model.NewCache();
        List<Tensor> parts = [model.Logits(ids.narrow(1, 0, 11), cache: cache, attention: window)];
        for (int i = 11; i < 30; i++) parts.Add(model.Logits(ids.narrow(1, i, 1), cache: cache, attention: window));
        Assert.True(Far(cat(parts, 1), whole) < 1e-5);
    }

    [Fact]
    public void Gradients_go_through()
    {
        using var model = new TinyLM(s_small);
        Tensor ids = Ids(20);
        Tensor[] Gradients(IAttentionMethod? method)
        {
            model.zero_grad();
            model.Logits(ids, attention: method).square().sum().backward();
            return [.. model.parameters().Select(p => p.grad!.clone())];
        }

        Assert.All(Gradients(null).Zip(Gradients(new BlockAttention(_ => [BlockSupport.Full(20)]))), pair => Assert.True(Far(pair.First, pair.Second) < 1e-4 * (1 + pair.First.abs().max().item<float>())));
    }

    [Fact]
    public void The_encoder_takes_patterns_too()
    {
        if (!Pretrained.HasArcticXs) return;
        BertEncoder encoder = Pretrained.ArcticXs();
        Tensor ids = randint(1000, 2000, [2, 24], dtype: ScalarType.Int64, generator: new Generator(1));
        using IDisposable off = no_grad();
        Tensor expected = encoder.Hidden(ids);
        var full = new PatternAttention(c => new AttentionSupport([Sparseland.Selection.Support.FromMask(ones(c.Tokens, c.Tokens, dtype: ScalarType.Bool))], causal: false));
        Assert.True(Far(encoder.Hidden(ids, attention: full), expected) < 1e-4);
        Assert.Equal(1, full.Density);
        Assert.Throws<NotSupportedException>(() => encoder.Hidden(ids, mask: ones(2, 24, dtype: ScalarType.Bool), attention: full));
        Assert.Throws<NotSupportedException>(() => encoder.Hidden(ids, attention: new BlockAttention(_ => [BlockSupport.Full(24)])));
    }

    [Fact]
    public void Loss_and_generation_take_a_method()
    {
        using var model = new TinyLM(s_small);
        var text = new TokenText([.. Enumerable.Range(0, 200).Select(i => i * 7 % 50)]);
        var window = new PatternAttention(c => AttentionPatterns.Window(c.Tokens, 4, c.Offset));
        Assert.Equal(Perplexity.Of(model, text, 32).Loss, Perplexity.Of(model, text, 32, attention: new PatternAttention(c => AttentionPatterns.Full(c.Tokens))).Loss, 5);
        Assert.NotEqual(Perplexity.Of(model, text, 32).Loss, Perplexity.Of(model, text, 32, attention: window).Loss);
        Assert.NotEqual(WindowedLoss.Of(model, text, 32).Loss, WindowedLoss.Of(model, text, 32, attention: window).Loss);
        GenerationOptions greedy = new() { NewTokens = 8, Temperature = 0 };
        Assert.Equal(TextGenerator.Generate(model, [1, 2, 3], greedy), TextGenerator.Generate(model, [1, 2, 3], greedy, attention: new PatternAttention(c => AttentionPatterns.Full(c.Tokens, c.Offset))));
    }

    [Fact]
    public void What_a_method_may_not_do()
    {
        using var model = new TinyLM(s_small);
        Tensor ids = Ids(12);
        Assert.Contains("is needed", Assert.Throws<ArgumentException>(() => model.Logits(ids, attention: new Wrong((q, _) => q.narrow(2, 0, 3)))).Message, StringComparison.Ordinal);
        Assert.Contains("disposed", Assert.Throws<ArgumentException>(() => model.Logits(ids, attention: new Wrong((q, _) =>
        {
            Tensor gone = q.clone();
            gone.Dispose();
            return gone;
        }))).Message, StringComparison.Ordinal);
        var reader = ActivationHook.Read(s => s.Activation == Activation.AttentionPattern, (_, _) => { });
        Assert.Throws<ArgumentException>("hook", () => model.Logits(ids, reader, attention: new PatternAttention(c => AttentionPatterns.Full(c.Tokens))));
        using var capped = new TinyLM(s_small with { AttentionCap = 30 });
        Assert.Throws<ArgumentException>("attention", () => capped.Logits(ids, attention: new PatternAttention(c => AttentionPatterns.Full(c.Tokens))));
        using var windowed = new TinyLM(s_small with { Window = 8 });
        Assert.Throws<ArgumentException>("attention", () => windowed.Logits(ids, attention: new PatternAttention(c => AttentionPatterns.Full(c.Tokens))));
        windowed.Logits(ids.narrow(1, 0, 8), attention: new PatternAttention(c => AttentionPatterns.Full(c.Tokens))).Dispose();
    }

    [Fact]
    public void A_longer_context_has_the_same_weights_and_slower_turns()
    {
        using var model = new TinyLM(s_small);
        using TinyLM longer = model.WithContext(256, RotaryScaling.Ntk(12));
        Assert.Equal(256, longer.Context);
        Assert.Equal(model.parameters().Sum(p => p.numel()), longer.parameters().Sum(p => p.numel()));
        using TinyLM same = model.WithContext(64);
        Assert.Equal(0, Far(same.Logits(Ids(40)), model.Logits(Ids(40))));
        Assert.True(Far(longer.Logits(Ids(40)), model.Logits(Ids(40))) > 0);

        // A config says it as a larger base: 10,000 * 12^(8 / 6).
        LlamaConfig said = LlamaConfig.FromJson(longer.Config.ToJson());
        Assert.Equal(10_000 * Math.Pow(12, 8.0 / 6), said.RopeTheta, 6);
        Assert.Equal(256, said.ScaledContext);
        using var read = new TinyLM(said);
        read.load_state_dict(longer.state_dict());
        Assert.True(Far(read.Logits(Ids(64)), longer.Logits(Ids(64))) < 1e-6);
        Assert.Throws<InvalidOperationException>(() => longer.WithContext(512, RotaryScaling.Ntk(20)));
        Assert.Throws<ArgumentOutOfRangeException>("context", () => model.WithContext(0));
        Assert.Throws<ArgumentOutOfRangeException>("Factor", () => model.WithContext(128, RotaryScaling.Ntk(0.5)));
    }

    private sealed class Wrong(Func<Tensor, Tensor, Tensor> make) : IAttentionMethod
    {
        public Tensor? Attend(AttentionCall call, Tensor q, Tensor k, Tensor v) => make(q, k);
    }
}
