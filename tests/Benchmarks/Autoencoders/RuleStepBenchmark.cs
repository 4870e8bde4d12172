using System.Globalization;
using Sparseland.Autoencoders;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Autoencoders;

/// <summary>
/// Training steps of rules that choose across the batch, or by gradients, against TopK in the same trainer: what their choice costs. A ratio of 0.83 is
/// 1.2 times TopK's time.
/// </summary>
public class RuleStepBenchmark : IQuickBenchmark
{
    private const int Tokens = 2048;
    private const int K = 32;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        foreach ((int width, int latents) in new[] { (192, 3072), (512, 8192) })
        {
            using DisposeScope scope = NewDisposeScope();

            // Sparse sums of directions, as activations are: on noise alone the densities of latents would all be equal.
            Tensor x = randn([Tokens, 256], generator: new Generator(1)).relu().mm(randn([256, width], generator: new Generator(2)));
            Tensor gradients = randn([Tokens, width], generator: new Generator(3));
            (string Name, CodeRule Rule, double Target)[] rules =
            [
                ("batch-topk", new BatchTopKRule(K), 1 / 1.2), ("mutual choice", new MutualChoiceRule(K), 1 / 1.2), ("feature choice", new FeatureChoiceRule(latents, K, new ZipfLaw(1, 10), switchAt: 0), 1 / 1.5),
                ("matryoshka", new MatryoshkaRule(K, [latents / 16, latents / 4, latents]), 0), ("gradient", new GradientTopKRule(K), 0),
            ];
            foreach ((string name, CodeRule rule, double target) in rules)
            {
                using var topK = new Training(width, latents, new TopKRule(K), x, null);
                using var ours = new Training(width, latents, rule, x, rule is GradientTopKRule ? gradients : null);
                yield return new Comparison(
                    $"{name} step, {Tokens} x {width}, {latents} latents, k = {K}", ours.Step, "TopK, same trainer", topK.Step, target,
                    () => string.Create(CultureInfo.InvariantCulture, $"losses {ours.Loss:G5} and {topK.Loss:G5}"));
            }
        }
    }

    private sealed class Training : IDisposable
    {
        private readonly SparseAutoencoder _autoencoder;
        private readonly ActivationBuffer _buffer;
        private readonly AutoencoderTrainer _trainer;

        public Training(int width, int latents, CodeRule rule, Tensor x, Tensor? gradients)
        {
            _autoencoder = new(width, latents, rule);
            _buffer = new(new TensorActivations(x, gradients), Tokens, new() { Repeat = true });
            _trainer = new(_autoencoder, _buffer, new() { Steps = 100_000, WarmUp = 0, LearningRate = 1e-3, Losses = [] });
        }

        public double Loss => _trainer.History[^1].Loss;

        public void Step() => _trainer.Step();

        public void Dispose()
        {
            _trainer.Dispose();
            _buffer.Dispose();
            _autoencoder.Dispose();
        }
    }
}
