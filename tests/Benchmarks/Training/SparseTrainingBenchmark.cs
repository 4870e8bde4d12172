using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Benchmarks.Training;

/// <summary>
/// One linear layer [1,024, 4,096], batch 128, forward and both backward products over active weights alone against libtorch's dense ones; and an update of the masks of 10 M weights against three steps between updates: a
/// ratio of 1 is an update that takes 3 % of the time of the hundred steps between two.
/// </summary>
public class SparseTrainingBenchmark : IQuickBenchmark
{
    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        foreach ((double density, double target) in new[] { (0.05, 1.5), (0.1, 0.0), (0.02, 0.0), (0.2, 0.0) })
        {
            Linear dense = nn.Linear(4096, 1024), kept = nn.Linear(4096, 1024);
            Sequential network = nn.Sequential(("a", kept));
            MaskSet masks = MaskSet.Random(network, density, 1);
            masks.Apply();
            MaskedLinear.Attach(network, masks, limit: 1);
            Tensor X = randn([128, 4096], requires_grad: true), G = randn(128, 1024);
            void Pass(nn.Module<Tensor, Tensor> layer)
            {
                // A step begins without gradients, as a training loop's does.
                using DisposeScope scope = NewDisposeScope();
                layer.zero_grad();
                X.grad?.Dispose();
                X.grad = null;
                layer.call(X).backward([G]);
            }

            yield return new($"linear [1024, 4096], batch 128, density {density}, forward and backward", () => Pass(network), "libtorch dense", () => Pass(dense), target, Point: new("A sparse linear layer [1024, 4096], batch 128, forward and backward", "density", density));
        }

        foreach ((string name, IGrowScore grow) in new (string, IGrowScore)[] { ("SET", new GrowRandom()), ("RigL", new GrowGradient()) })
        {
            Sequential network = nn.Sequential(("a", nn.Linear(4096, 1024)), ("r", nn.ReLU()), ("b", nn.Linear(1024, 4096)), ("s", nn.ReLU()), ("c", nn.Linear(4096, 400)));
            MaskSet masks = MaskSet.Random(network, 0.1, 1), still = MaskSet.Random(network, 0.1, 1);
            SparseOptimizer moving = new(new AdamWOptimizer(network), masks, new() { Interval = 1, Order = UpdateOrder.ReplacesStep }, new DropMagnitude(), grow), fixedMasks = new(new AdamWOptimizer(network), still);
            Tensor X = randn(128, 4096);
            void Backward()
            {
                using DisposeScope scope = NewDisposeScope();
                network.zero_grad();
                network.call(X).square().mean().backward();
            }

            Backward();
            yield return new($"{name} update of {masks.Size / 1e6:0.0} M weights", () => moving.Step(1e-4), "three masked steps of AdamW, batch 128", () =>
            {
                for (int i = 0; i < 3; i++)
                {
                    Backward();
                    fixedMasks.Step(1e-4);
                }
            }, 1);
        }
    }
}
