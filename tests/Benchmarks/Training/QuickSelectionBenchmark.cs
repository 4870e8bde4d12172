using Sparseland.FeatureSelection;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Training;

/// <summary>
/// QuickSelection with the paper's settings (1,000 hidden units, mini-batches of 100) over two epochs with the evolution between them, of the whole path from a table to its features, against the same training in plain
/// PyTorch with as many threads: dense layers whose weights are multiplied by masks, autograd, SGD with momentum, and the same evolution.
/// </summary>
public class QuickSelectionBenchmark : IQuickBenchmark
{
    private const int Samples = 5_000, Features = 1_000, Epochs = 2;

    private const string Plain = """
        def drawn(o, i):
            m = torch.zeros(o * i)
            m[torch.randint(0, o * i, (int(epsilon * (o + i)),))] = 1
            return m.view(o, i)
        def evolve(w, m, v):
            with torch.no_grad():
                go = torch.zeros_like(m, dtype=torch.bool)
                for s in (1, -1):
                    size = torch.where(w * s > 0, w.abs(), torch.inf).flatten()
                    count = int(zeta * int((w * s > 0).sum()))
                    if count: go.view(-1)[torch.topk(size, count, largest=False).indices] = True
                gone = int(go.sum())
                m[go] = 0; w[go] = 0; v[go] = 0
                free = (m == 0).flatten().nonzero().flatten()
                new = free[torch.randperm(len(free))[:gone]]
                m.view(-1)[new] = 1
                w.view(-1)[new] = deviation * torch.randn(gone)
        def select(table, count):
            x = (table - table.mean(0)) / table.std(0, unbiased=False).clamp_min(1e-12)
            n, d = x.shape
            masks = [drawn(hidden, d), drawn(d, hidden)]
            W = [(deviation * torch.randn_like(m) * m).requires_grad_() for m in masks]
            b = [torch.zeros(hidden, requires_grad=True), torch.zeros(d, requires_grad=True)]
            sgd = torch.optim.SGD(W + b, lr=rate, momentum=momentum, weight_decay=decay)
            noise = 0.2 * torch.randn_like(x)
            for epoch in range(epochs):
                order = torch.randperm(n)
                for k in range(n // batch):
                    rows = order[k * batch:(k + 1) * batch]
                    clean = x[rows]
                    h = torch.sigmoid(F.linear(clean + noise[rows], W[0] * masks[0], b[0]))
                    h = h * (torch.rand_like(h) >= dropout)
                    out = F.linear(h, W[1] * masks[1], b[1])
                    loss = 0.5 * (out - clean).square().sum() / batch
                    sgd.zero_grad(); loss.backward(); sgd.step()
                if epoch < epochs - 1:
                    for w, m in zip(W, masks): evolve(w, m, sgd.state[w]["momentum_buffer"])
            return torch.topk((W[0] * masks[0]).abs().sum(0), count).indices
        """;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        var options = new QuickSelectionOptions();
        using var generator = new Generator(1);
        using Tensor parts = randn([Samples, 20], generator: generator), mixing = randn([20, Features], generator: generator), rest = randn([Samples, Features], generator: generator);
        using Tensor X = parts.mm(mixing).add_(rest);
        using PythonPeer? python = PythonPeer.Start("import numpy as np, torch, torch.nn.functional as F");
        if (python is not null)
        {
            python.Run($"torch.set_num_threads({get_num_threads()})");
            python.Run(FormattableString.Invariant(
                $"hidden, epsilon, zeta, deviation, batch, epochs = {options.Hidden}, {options.Epsilon}, {options.Zeta}, {options.WeightDeviation}, {options.BatchSize}, {Epochs}"));
            python.Run(FormattableString.Invariant($"rate, momentum, decay, dropout = {options.LearningRate}, {options.Momentum}, {options.WeightDecay}, {options.Dropout}"));
            python.Run(Plain);
            python.Put("X", X);
            python.Run("X = torch.from_numpy(X.astype(np.float32))");
        }

        yield return new(
            $"QuickSelection of {Samples:N0} x {Features:N0}, {Epochs} epochs", () => QuickSelection.Select(X, 50, Epochs), "masked dense layers in plain PyTorch", python is null ? null : () => python.Run("select(X, 50)"), 2);
    }
}
