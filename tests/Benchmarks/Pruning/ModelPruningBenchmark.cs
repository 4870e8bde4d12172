using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Benchmarks.Pruning;

/// <summary>
/// All matrices of a decoder of TinyLM's shape pruned by half, one after another, against the steps of the published codes in PyTorch with as many threads: Wanda sorts each
/// row, magnitude sorts a matrix for its threshold. Scores, masks and the pruned weights are part of both sides, statistics of neither.
/// </summary>
public class ModelPruningBenchmark : IQuickBenchmark
{
    private const string Plain = """
        def wanda(W, norms, s):
            metric = W.abs() * norms
            order = torch.sort(metric, dim=-1, stable=True)[1]
            mask = torch.zeros_like(metric, dtype=torch.bool)
            mask.scatter_(1, order[:, :int(W.shape[1] * s)], True)
            W[mask] = 0
        def magnitude(W, s):
            metric = W.abs()
            threshold = torch.sort(metric.flatten())[0][int(W.numel() * s)]
            W[metric <= threshold] = 0
        def all_wanda():
            for W, n in zip(Ws, norms): wanda(W.clone(), n, 0.5)
        def all_magnitude():
            for W in Ws: magnitude(W.clone(), 0.5)
        Ws, norms = [], []
        """;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using var model = new TinyLM(new() { Width = 256, MlpWidth = 512, Layers = 4, Heads = 4, KeyValueHeads = 2 });
        using var generator = new Generator(1);
        using Tensor ids = randint(0, model.Vocabulary, [8, 64], generator: generator, dtype: ScalarType.Int64);
        using StatisticsCollector seen = StatisticsCollector.Gather(model, _ => model.Logits(ids), 1);
        (string Name, Tensor Weight)[] layers = [.. LinearSlots.Of(model).Select(slot => (slot.Name, ((Linear)slot.Module).weight!.detach()))];
        using PythonPeer? python = PythonPeer.Start("import numpy as np, torch");
        if (python is not null)
        {
            python.Run($"torch.set_num_threads({get_num_threads()}); torch.set_grad_enabled(False)");
            python.Run(Plain);
            foreach ((string name, Tensor weight) in layers)
            {
                using Tensor norms = tensor(seen[name].Norms());
                python.Put("W", weight);
                python.Put("n", norms);
                python.Run("Ws.append(torch.from_numpy(W.astype(np.float32))); norms.append(torch.from_numpy(n.astype(np.float32)))");
            }
        }

        void Mine(ILayerPruner method, PruningPattern pattern)
        {
            foreach ((string name, Tensor weight) in layers)
            {
                using DisposeScope scope = NewDisposeScope();
                using PrunedWeight pruned = method.Prune(new(name, weight, seen[name]), pattern);
                Tensor left = pruned.Of(weight);
            }
        }

        string what = $"{layers.Length} matrices, {layers.Sum(l => l.Weight.numel()) / 1e6:0.0} million weights";
        yield return new($"Wanda per row, half of TinyLM ({what})", () => Mine(new WandaPruner(), PruningPattern.PerRow(0.5)), "published steps in PyTorch", python is null ? null : () => python.Run("all_wanda()"), 3);
        yield return new($"magnitude per layer, half of TinyLM ({what})", () => Mine(new MagnitudePruner(), PruningPattern.PerLayer(0.5)), "published steps in PyTorch", python is null ? null : () => python.Run("all_magnitude()"), 3);
    }
}
