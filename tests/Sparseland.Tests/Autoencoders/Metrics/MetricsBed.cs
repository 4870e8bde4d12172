using Sparseland.Autoencoders;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders.Metrics;

/// <summary>Small random models, texts, autoencoders and sources.</summary>
internal static class MetricsBed
{
    public static readonly ActivationSite Site = new(1, Activation.ResidualAfter);

    public static TinyLM Model()
    {
        var model = new TinyLM(new LlamaConfig { Vocabulary = 50, Width = 16, Layers = 3, Heads = 2, KeyValueHeads = 1, MlpWidth = 24, Context = 12 }, seed: 3);
        using IDisposable off = no_grad();

        // Activations of a size that a bias does not drown, and predictions that are not all alike.
        model.Embeddings.mul_(20);
        return model;
    }

    /// <summary>A text that does not use the last token, 49.</summary>
    public static TokenText Text(int count = 97, int seed = 5)
    {
        var random = new Random(seed);
        return new TokenText([.. Enumerable.Range(0, count).Select(_ => random.Next(49))]);
    }

    public static SparseAutoencoder Autoencoder(int width = 16, int latents = 40, int k = 3, ScalarType type = ScalarType.Float32, long seed = 2)
    {
        var autoencoder = new SparseAutoencoder(width, latents, new TopKRule(k), seed, type: type);
        using IDisposable off = no_grad();
        autoencoder.DecoderBias.copy_(linspace(-0.2, 0.3, width, dtype: type));
        return autoencoder;
    }

    public static Tensor Gaussian(long rows, long columns, long seed = 7, ScalarType type = ScalarType.Float64) =>
        randn([rows, columns], dtype: type, generator: new Generator((ulong)seed));

    /// <summary>A matrix in windows of some length.</summary>
    public sealed class Windowed(Tensor x, int length) : IActivationSource
    {
        public string Description => "windowed";

        public int Width => (int)x.shape[1];

        public int Windows => (int)x.shape[0] / length;

        public int TokensPerWindow => length;

        public bool HasGradients => false;

        public ActivationRows Read(ReadOnlySpan<int> windows, CancellationToken cancel)
        {
            cancel.ThrowIfCancellationRequested();
            long[] rows = [.. windows.ToArray().SelectMany(w => Enumerable.Range(w * length, length).Select(i => (long)i))];
            return new(x.index_select(0, tensor(rows)));
        }
    }
}
