using Sparseland.Models.Vision;
using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Pruning;

/// <summary>
/// Scores at initialisation on the library's ResNet, against the plain loops of the published codes over the same network written in PyTorch, with as many threads. SNIP and
/// GraSP: one batch to the scores. SynFlow: 20 rounds, a fifth of the paper's, to the masks of a tenth. PyTorch's images lie in memory as makes its loop faster, tried at the start.
/// </summary>
public class InitialScoresBenchmark : IQuickBenchmark
{
    private const int Side = 32, Classes = 10, Batch = 128, PerClass = 25, Rounds = 20;

    private const string Plain = """
        class Block(nn.Module):
            def __init__(self, i, o, s):
                super().__init__()
                self.conv1, self.bn1 = nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o)
                self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
                self.shortcut = None if i == o and s == 1 else nn.Sequential(nn.Conv2d(i, o, 1, s, bias=False), nn.BatchNorm2d(o))
            def forward(self, x):
                y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
                return F.relu(y + (x if self.shortcut is None else self.shortcut(x)))
        class ResNet(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv, self.bn = nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16)
                self.blocks = nn.Sequential(*[Block(*a) for a in [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2])
                self.head = nn.Linear(64, 10)
            def forward(self, x):
                return self.head(self.blocks(F.relu(self.bn(self.conv(x)))).mean([2, 3]))
        def prunable(net):
            return [m.weight for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]

        def snip(net, X, y):
            net.train()
            W = prunable(net)
            g = torch.autograd.grad(F.cross_entropy(net(X), y), W)
            return [(w * d).abs().detach() for w, d in zip(W, g)]

        def grasp(net, X, y, T=200.0):
            net.train()
            W = prunable(net)
            g = torch.autograd.grad(F.cross_entropy(net(X) / T, y), W, create_graph=True)
            z = sum((d.detach() * d).sum() for d in g)
            return [(w * h).detach() for w, h in zip(W, torch.autograd.grad(z, W))]

        def synflow(net, shape, density, rounds=100):
            net.eval()
            W = prunable(net)
            masks, saved = [torch.ones_like(w) for w in W], {k: v.clone() for k, v in net.state_dict().items()}
            total = sum(w.numel() for w in W)
            for k in range(1, rounds + 1):
                with torch.no_grad():
                    for w, m in zip(W, masks): w.mul_(m)
                    for p in net.parameters(): p.abs_()
                net.zero_grad()
                net(torch.ones([1] + shape)).sum().backward()
                with torch.no_grad():
                    scores = [(w.grad * w).abs() for w in W]
                    flat = torch.cat([s.flatten() for s in scores])
                    go = int((1 - density ** (k / rounds)) * total)
                    threshold = torch.kthvalue(flat, go)[0] if go > 0 else -1
                    for m, s in zip(masks, scores): m[s <= threshold] = 0
                    for n, v in net.state_dict().items(): v.copy_(saved[n])
            return masks
        """;

    private const string Choose = """
        import time
        def seconds(f):
            f()
            times = []
            for _ in range(3):
                t = time.perf_counter(); f(); times.append(time.perf_counter() - t)
            return min(times)
        lasts = [t.to(memory_format=torch.channels_last) for t in (X, Xb)]
        if seconds(lambda: snip(net, lasts[0], y)) < seconds(lambda: snip(net, X, y)):
            X, Xb = lasts
        """;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using var generator = new Generator(1);
        using var model = new ResNet();
        using Tensor X = rand([Batch, 3, Side, Side], generator: generator), Xb = rand([Classes * PerClass, 3, Side, Side], generator: generator);
        using Tensor labels = arange(Batch, ScalarType.Int64).remainder(Classes), balanced = arange(Classes * PerClass, ScalarType.Int64).remainder(Classes);
        using PythonPeer? python = PythonPeer.Start("import numpy as np, torch, torch.nn as nn, torch.nn.functional as F");
        if (python is not null)
        {
            python.Run($"torch.set_num_threads({get_num_threads()})");
            python.Run(Plain);
            python.Put("X", X);
            python.Put("Xb", Xb);
            python.Put("y", labels);
            python.Put("yb", balanced);
            python.Run("X, Xb, y, yb = torch.from_numpy(X.astype(np.float32)), torch.from_numpy(Xb.astype(np.float32)), torch.from_numpy(y.astype(np.int64)), torch.from_numpy(yb.astype(np.int64)); net = ResNet()");
            python.Run(Choose);
        }

        Action? Peer(string call) => python is null ? null : () => python.Run(call);
        string name = $"ResNet of {PrunableWeights.Of(model).Values.Sum(w => w.numel()) / 1e3:0} thousand weights";
        yield return new($"SynFlow to a tenth in {Rounds} rounds, {name}", () => SynFlowScore.Prune(model, [3, Side, Side], 0.1, Rounds).Dispose(), "plain loop in PyTorch", Peer($"synflow(net, [3, {Side}, {Side}], 0.1, {Rounds})"), 1);
        yield return new($"SNIP, {name}, {Batch} images", () => SnipScore.Of(model, X, labels).Dispose(), "plain loop in PyTorch", Peer("snip(net, X, y)"), 1);
        yield return new($"GraSP, {name}, {Classes * PerClass} images", () => GraspScore.Of(model, Xb, balanced).Dispose(), "plain loop in PyTorch", Peer("grasp(net, Xb, yb)"), 1);
    }
}
