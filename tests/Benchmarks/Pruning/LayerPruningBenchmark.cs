using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Pruning;

/// <summary>
/// One layer of 1,024 x 4,096 pruned by half, against the steps of the published codes written in PyTorch with as many threads: Wanda and magnitude sort each row (magnitude per
/// layer sorts all weights for a threshold), SparseGPT sweeps column by column. Scores are part of both sides, statistics of neither.
/// </summary>
public class LayerPruningBenchmark : IQuickBenchmark
{
    private const int Out = 1024, In = 4096;

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

        def two_four(W, norms):
            metric = W.abs() * norms
            mask = torch.zeros_like(metric, dtype=torch.bool)
            for j in range(0, W.shape[1], 4):
                mask.scatter_(1, j + torch.topk(metric[:, j:j + 4], 2, dim=1, largest=False)[1], True)
            W[mask] = 0

        def sparsegpt(W, U, s, block=128):
            columns = W.shape[1]
            for first in range(0, columns, block):
                last = min(first + block, columns)
                W1, U1 = W[:, first:last].clone(), U[first:last, first:last]
                Q1, E1 = torch.zeros_like(W1), torch.zeros_like(W1)
                metric = W1 ** 2 / torch.diag(U1).reshape(1, -1) ** 2
                threshold = torch.sort(metric.flatten())[0][int(metric.numel() * s)]
                mask1 = metric <= threshold
                for i in range(last - first):
                    w, d = W1[:, i], U1[i, i]
                    q = w.clone()
                    q[mask1[:, i]] = 0
                    Q1[:, i] = q
                    e = (w - q) / d
                    W1[:, i:] -= e.unsqueeze(1).matmul(U1[i, i:].unsqueeze(0))
                    E1[:, i] = e
                W[:, first:last] = Q1
                W[:, last:] -= E1.matmul(U[first:last, last:])
        """;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using Tensor W = randn([Out, In], generator: new Generator(1)), X = randn([2 * In, In], generator: new Generator(2));
        using var inputs = new ActivationStatistics(In, gram: true);
        inputs.Add(X);
        ObsFactor factor = inputs.Factor();
        using Tensor U = factor.Upper.to(ScalarType.Float32), norms = tensor(inputs.Norms()).to(ScalarType.Float32);
        var layer = new LayerContext("layer", W, inputs);
        using PythonPeer? python = PythonPeer.Start("import numpy as np, torch");
        if (python is not null)
        {
            python.Run($"torch.set_num_threads({get_num_threads()}); torch.set_grad_enabled(False)");
            python.Run(Plain);
            foreach ((string name, Tensor value) in new[] { ("W", W), ("U", U), ("norms", norms) }) python.Put(name, value);
            python.Run("W, U, norms = (torch.from_numpy(a.astype(np.float32)) for a in (W, U, norms))");
        }

        Action? Peer(string call) => python is null ? null : () => python.Run(call);
        void Mine(ILayerPruner method, PruningPattern pattern)
        {
            using DisposeScope scope = NewDisposeScope();
            using PrunedWeight pruned = method.Prune(layer, pattern);
            Tensor left = pruned.Of(W);
        }

        yield return new($"Wanda per row, half of {Out} x {In}", () => Mine(new WandaPruner(), PruningPattern.PerRow(0.5)), "published steps in PyTorch", Peer("wanda(W.clone(), norms, 0.5)"), 3);
        yield return new($"magnitude per layer, half of {Out} x {In}", () => Mine(new MagnitudePruner(), PruningPattern.PerLayer(0.5)), "published steps in PyTorch", Peer("magnitude(W.clone(), 0.5)"), 3);
        yield return new($"Wanda 2:4, {Out} x {In}", () => Mine(new WandaPruner(), PruningPattern.NofM(2, 4)), "published steps in PyTorch", Peer("two_four(W.clone(), norms)"), 3);
        yield return new($"SparseGPT's sweep, half of {Out} x {In}", () => Mine(new SparseGptPruner(), PruningPattern.PerLayer(0.5)), "published steps in PyTorch", Peer("sparsegpt(W.clone(), U, 0.5)"), 1.5);
        yield return new($"DSnoT after Wanda, half of {Out} x {In}", () => Mine(new DSnoTPruner(), PruningPattern.PerRow(0.5)), "Wanda alone here", () => Mine(new WandaPruner(), PruningPattern.PerRow(0.5)), 0.5);
    }
}
