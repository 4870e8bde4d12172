using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.FineTuning;

/// <summary>Small networks and data for fine-tunings of some steps.</summary>
internal static class TuneData
{
    /// <summary>Six query heads in groups of two.</summary>
    public static readonly LlamaConfig Config = new() { Vocabulary = 40, Width = 24, Layers = 2, Heads = 6, KeyValueHeads = 3, MlpWidth = 20, Context = 16 };

    public static TinyLM Decoder(LlamaConfig? config = null)
    {
        var model = new TinyLM(config ?? Config, 3);
        using IDisposable off = no_grad();

        // Start weights of deviation 0.02 give logits that hardly depend on the attention.
        foreach ((string name, Parameter parameter) in model.named_parameters()) if (parameter.dim() > 1) parameter.mul_(10);
        return model;
    }

    public static Tensor Ids(int sequences = 3, int length = 12)
    {
        using var generator = new Generator(4);
        return randint(0, 40, [sequences, length], dtype: ScalarType.Int64, generator: generator);
    }

    public static RandomWindows Windows(long seed = 1) => new(new TokenText([.. Enumerable.Range(0, 400).Select(i => i * i % 37)]), 3, 12, seed);

    public static Sequential Mlp() => (Sequential)SmallClassifiers.Mlp([6, 8, 7, 3], 5).to(ScalarType.Float64);

    public static SampleBatches Samples()
    {
        using var generator = new Generator(6);
        Tensor X = randn([40, 6], dtype: ScalarType.Float64, generator: generator);
        return new(X, X.argmax(1).remainder(3), 8, 2);
    }

    public static double Farthest(Tensor a, Tensor b) => a.detach().sub(b.detach()).abs().max().to(ScalarType.Float64).item<double>();

    public static bool Same(Tensor a, Tensor b) => a.detach().eq(b.detach()).all().item<bool>();

    public static double[] Numbers(Tensor t) => t.detach().to(ScalarType.Float64).contiguous().data<double>().ToArray();
}
