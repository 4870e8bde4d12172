using System.Globalization;
using Sparseland.Autoencoders;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Autoencoders;

/// <summary>
/// Training steps of a TopK autoencoder against the plain dense PyTorch implementation from the same start: dense code by scatter,
/// loss, backward, projection, Adam, unit rows. Losses must agree step by step to 1e-4; the peak of memory is that of parameters, moments, gradients and one step.
/// </summary>
public class TopKStepBenchmark : IQuickBenchmark
{
    private const string Dense = """
        def start():
            global We, be, Wd, bd, adam, losses
            We, Wd = torch.tensor(E).float().requires_grad_(), torch.tensor(D).float().requires_grad_()
            be, bd = torch.zeros(We.shape[0], requires_grad=True), torch.tensor(B).float().requires_grad_()
            adam = torch.optim.Adam([We, be, Wd, bd], lr=1e-3)
            losses = []
        def step():
            z = (x - bd) @ We.t() + be
            v, i = z.topk(k, sorted=False)
            f = torch.zeros_like(z).scatter(1, i, v.relu())
            loss = ((x - f @ Wd - bd) ** 2).sum(1).mean()
            adam.zero_grad()
            loss.backward()
            with torch.no_grad():
                Wd.grad.sub_((Wd.grad * Wd).sum(1, keepdim=True) * Wd)
                adam.step()
                Wd.div_(Wd.norm(dim=1, keepdim=True))
            losses.append(loss.item())
        """;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons() => Steps(3.5, (2048, 192, 3072, 32), (2048, 512, 8192, 32), (2048, 768, 16384, 32));

    /// <summary>Both sides at some shapes.</summary>
    internal static IEnumerable<Comparison> Steps(double target, params (int Tokens, int Width, int Latents, int K)[] shapes) => Steps(target, null, shapes);

    /// <summary>Both sides at some shapes, each on a curve.</summary>
    internal static IEnumerable<Comparison> Steps(double target, Func<(int Tokens, int Width, int Latents, int K), CurvePoint>? point, (int Tokens, int Width, int Latents, int K)[] shapes)
    {
        using PythonPeer? python = PythonPeer.Start("import numpy as np\nimport torch");
        python?.Run(Dense);
        python?.Run(StepMemory.Peak);
        foreach ((int tokens, int width, int latents, int k) in shapes)
        {
            using DisposeScope scope = NewDisposeScope();
            long before = StepMemory.Held();
            python?.Run("before = held()");
            Tensor x = randn([tokens, width], generator: new Generator(1));
            using var autoencoder = new SparseAutoencoder(width, latents, new TopKRule(k));
            AutoencoderTrainingOptions options = new() { Steps = 100_000, WarmUp = 0, LearningRate = 1e-3, Losses = [], CentreOn = tokens, ScaleActivations = false };
            using var buffer = new ActivationBuffer(new TensorActivations(x), tokens, new() { Repeat = true });
            using var trainer = new AutoencoderTrainer(autoencoder, buffer, options);
            if (python is not null)
            {
                using DisposeScope sent = NewDisposeScope();

                // One batch, whose order does not matter to the loss but to its rounding.
                Batch batch = buffer.At(0);
                python.Put("E", autoencoder.Encoder.to(ScalarType.Float64));
                python.Put("D", autoencoder.Decoder.to(ScalarType.Float64));
                python.Put("B", autoencoder.DecoderBias.to(ScalarType.Float64));
                python.Put("X", batch.Input.to(ScalarType.Float64));
                python.Run($"k = {k}\nx = torch.tensor(X).float()\nstart()\ndel E, D, B, X");
            }

            yield return new Comparison(
                $"TopK step, {tokens} x {width}, {latents} latents, k = {k}", () => trainer.Step(), "PyTorch, dense", python is null ? null : () => python.Run("step()"), target,
                () =>
                {
                    double[] peer = python?.Get("np.array(losses)") ?? [];
                    double worst = trainer.History.Zip(peer).Select(p => Math.Abs(p.First.Loss - p.Second) / p.Second).DefaultIfEmpty(double.NaN).Max();
                    return string.Create(CultureInfo.InvariantCulture, $"losses {trainer.History[0].Loss:G6} to {trainer.History[^1].Loss:G6}; largest relative difference over {Math.Min(peer.Length, trainer.History.Count)} steps {worst:E1}; {StepMemory.Note(() => trainer.Step(), python, before)}");
                }, point?.Invoke((tokens, width, latents, k)));
        }
    }
}
