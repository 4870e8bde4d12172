using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

/// <summary>Small models of every architecture, and their expected sizes.</summary>
internal static class TinyModels
{
    public const string Llama = "llama", Gpt2 = "gpt2", NeoX = "gpt_neox";

    public static readonly string[] Architectures = [Llama, Gpt2, NeoX];

    /// <summary>Those, and the relatives of Llama that are the same class with other parts.</summary>
    public static readonly string[] All = [.. Architectures, "mistral", "qwen2", "qwen3", "gemma2"];

    private static readonly string[] s_text = [.. Enumerable.Repeat("a method returns a value that is true when a value is null", 20)];
    private static readonly Lazy<BpeModel> s_vocabulary = new(() => BpeTrainer.Train(s_text, new() { Vocabulary = 270 }));

    public static TextTokenizer Tokenizer => new(s_vocabulary.Value);

    /// <summary>4 query heads of 6, of which pairs share keys and values; MLP 24; two blocks; 12 tokens. Weights larger than a fresh model's, so that every part counts.</summary>
    public static LanguageModel New(string architecture, int vocabulary = 29, int context = 12, long seed = 1)
    {
        LanguageModel model = architecture switch
        {
            Gpt2 => new Gpt2(new() { Vocabulary = vocabulary, Width = 16, InnerWidth = 24, Layers = 2, Heads = 4, Context = context }, seed),
            NeoX => new GptNeoX(new() { Vocabulary = vocabulary, Width = 16, MlpWidth = 24, Layers = 2, Heads = 2, Context = context, RotaryPart = 0.5 }, seed),
            _ => new TinyLM(Relative(architecture, new() { Vocabulary = vocabulary, Width = 16, MlpWidth = 24, Layers = 2, Heads = 4, KeyValueHeads = 2, HeadWidth = 6, Context = context, TiedEmbeddings = false }), seed),
        };
        using IDisposable off = no_grad();
        using var generator = new Generator(unchecked((ulong)seed + 100));
        using var scope = NewDisposeScope();
        foreach (var parameter in model.parameters()) parameter.add_(randn(parameter.shape, generator: generator).mul_(0.3));
        return model;
    }

    private static LlamaConfig Relative(string architecture, LlamaConfig llama) => architecture switch
    {
        Llama => llama,
        "mistral" => llama with { Family = LlamaFamily.Mistral, Window = 3 },
        "qwen2" => llama with { Family = LlamaFamily.Qwen2, QueryKeyValueBias = true, TiedEmbeddings = true, Window = 2, WindowFrom = 1 },
        "qwen3" => llama with { Family = LlamaFamily.Qwen3, HeadNorms = true, QueryKeyValueBias = true, OutputBias = true },
        "gemma2" => llama with
        {
            Family = LlamaFamily.Gemma2, NormsAddOne = true, OutputNorms = true, ScaledEmbeddings = true, Activation = GateActivation.GeluTanh, QueryScalar = 10, AttentionCap = 2, LogitCap = 5,
            Window = 3, WindowEvery = 2,
        },
        _ => throw new ArgumentOutOfRangeException(nameof(architecture)),
    };

    /// <summary>Shape of the value at a place for a batch of 2 and 5 tokens; null where the architecture has none.</summary>
    public static long[]? Shape(string architecture, Activation activation)
    {
        (long heads, long keyHeads, long headDim) = architecture switch { Gpt2 => (4L, 4L, 4L), NeoX => (2L, 2L, 8L), _ => (4L, 2L, 6L) };
        return activation switch
        {
            Activation.Queries or Activation.HeadOutputs => [2, heads, 5, headDim],
            Activation.Keys or Activation.Values => [2, keyHeads, 5, headDim],
            Activation.AttentionPattern => [2, heads, 5, 5],
            Activation.MlpGate => architecture is Gpt2 or NeoX ? null : [2, 5, 24],
            Activation.MlpUp or Activation.MlpHidden => [2, 5, 24],
            _ => [2, 5, 16],
        };
    }

    public static Tensor Ids(int batch = 2, int tokens = 5, int vocabulary = 29) =>
        tensor(Enumerable.Range(0, batch * tokens).Select(i => ((i * 7L) + (i * i)) % vocabulary).ToArray(), [batch, tokens]);

    public static double[] Numbers(Tensor x)
    {
        using var scope = NewDisposeScope();
        return x.detach().to(ScalarType.Float64).contiguous().data<double>().ToArray();
    }

    public static void AssertClose(Tensor expected, Tensor actual, double tolerance = 1e-5)
    {
        Assert.Equal(expected.shape, actual.shape);
        double[] a = Numbers(expected), b = Numbers(actual);
        for (int i = 0; i < a.Length; i++) Assert.True(Math.Abs(a[i] - b[i]) <= tolerance, $"Entry {i}: expected {a[i]}, was {b[i]}.");
    }

    public static double Largest(Tensor a, Tensor b) => Numbers(a).Zip(Numbers(b), (x, y) => Math.Abs(x - y)).Max();
}
