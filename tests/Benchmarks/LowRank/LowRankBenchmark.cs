using System.Globalization;
using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Benchmarks.LowRank;

/// <summary>
/// The low-rank core against peers on the same work: SLTrain's layer against PyTorch that forms the dense weight and differentiates it, with the peak of resident memory of one step; robust PCA against the same
/// iteration in NumPy; the activation-aware decomposition of a whole TinyLM against NumPy; LoRA against the full training of TinyLM.
/// </summary>
public class LowRankBenchmark : IQuickBenchmark
{
    private const int Outputs = 1024, Inputs = 4096, Rank = 128, Tokens = 512;

    private const string Plain = """
        def step():
            for p in (A, B, v): p.grad = None
            x = X.detach().requires_grad_()
            W = (B @ A).reshape(-1).index_add(0, at, v).view(outputs, inputs)
            (x @ W.t()).backward(D)

        def rpca(M):
            lam = 1 / np.sqrt(max(M.shape)); n2 = np.linalg.norm(M, 2)
            Y = M / max(n2, np.abs(M).max() / lam); mu = 1.25 / n2; cap = 1e7 * mu
            S = np.zeros_like(M); steps = 0
            while True:
                u, s, vt = np.linalg.svd(M - S + Y / mu, full_matrices=False)
                L = (u * np.maximum(s - 1 / mu, 0)) @ vt
                T = M - L + Y / mu
                S = np.sign(T) * np.maximum(np.abs(T) - lam / mu, 0)
                R = M - L - S
                Y = Y + mu * R; mu = min(1.5 * mu, cap); steps += 1
                if np.linalg.norm(R) / np.linalg.norm(M) <= 1e-7: return L, steps

        def aware(W, C, r):
            L = np.linalg.cholesky(C + 1e-6 * np.mean(np.diag(C)) * np.eye(len(C)))
            u, s, vt = np.linalg.svd(W @ L, full_matrices=False)
            return u[:, :r] * np.sqrt(s[:r]), np.linalg.solve(L.T, (np.sqrt(s[:r])[:, None] * vt[:r]).T).T
        """;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using PythonPeer? python = PythonPeer.Start("import numpy as np, torch");
        python?.Run(string.Create(CultureInfo.InvariantCulture, $"torch.set_num_threads({get_num_threads()}); outputs, inputs = {Outputs}, {Inputs}"));
        python?.Run(Plain);
        python?.Run(StepMemory.Peak);
        using Tensor X = randn(Tokens, Inputs), D = randn(Tokens, Outputs);
        using var layer = new LowRankSparseLinear(Inputs, Outputs, new() { Rank = Rank, Density = 0.03 });
        using (no_grad()) layer.B!.normal_(0, 0.02);
        if (python is not null)
        {
            python.Put("X0", X);
            python.Put("D0", D);
            python.Put("A0", layer.A!);
            python.Put("B0", layer.B!);
            python.Put("v0", layer.Values);
            using Tensor flat = tensor(Flat(layer), dtype: ScalarType.Int64);
            python.Put("at0", flat);
            python.Run("""
                X, D = torch.tensor(X0, dtype=torch.float32), torch.tensor(D0, dtype=torch.float32)
                A, B, v = [torch.tensor(t, dtype=torch.float32, requires_grad=True) for t in (A0, B0, v0)]
                at = torch.tensor(at0).long()
                """);
        }

        void Step()
        {
            using DisposeScope scope = NewDisposeScope();
            layer.zero_grad();
            layer.call(X.detach().requires_grad_()).backward([D]);
        }

        foreach ((ForwardMode mode, double target) in new[] { (ForwardMode.Factored, 1 / 0.9), (ForwardMode.FormWeight, 0.0) })
        {
            yield return new(
                $"SLTrain's layer, {Outputs} x {Inputs}, rank {Rank}, 3 %, batch {Tokens}, forward and backward, {mode}",
                () =>
                {
                    layer.Mode = mode;
                    Step();
                },
                "PyTorch, the weight formed and differentiated", python is null ? null : () => python.Run("step()"), target, () => StepMemory.Note(Step, python));
        }

        using Tensor left = randn([500, 25], dtype: ScalarType.Float64), right = randn([25, 500], dtype: ScalarType.Float64);
        using Tensor M = left.mm(right).div_(500).add_((rand([500, 500], dtype: ScalarType.Float64) < 0.05).to(ScalarType.Float64).mul_(randn([500, 500], dtype: ScalarType.Float64).sign()));
        python?.Put("M0", M);
        python?.Run("M0 = np.array(M0, dtype=np.float64); L0, steps = rpca(M0)");
        yield return new(
            "robust PCA, 500 x 500, rank 25, 5 % wrong", () => RobustPca.Admm(M).Dispose(), "the same iteration in NumPy", python is null ? null : () => python.Run("L0, steps = rpca(M0)"), 1,
            () =>
            {
                using LowRankPlusSparse found = RobustPca.Admm(M);
                return string.Create(CultureInfo.InvariantCulture, $"{found.Residuals.Count} steps, peer {python?.Get("[steps]")[0]}");
            });

        using var model = new TinyLM(new TinyLMRecipeOptions().Config);
        using StatisticsCollector seen = StatisticsCollector.Gather(model, i => model.Logits(randint(0, model.Vocabulary, [2, 128])), 2, gram: true);
        (string Name, Tensor W, Tensor C)[] layers = [.. LinearSlots.Of(model).Select(s => (s.Name, (Tensor)((Linear)s.Module).weight!, seen[s.Name].Gram!))];
        if (python is not null)
        {
            python.Run("layers = []");
            foreach ((_, Tensor W, Tensor C) in layers)
            {
                python.Put("W0", W);
                python.Put("C0", C);
                python.Run("layers.append((np.array(W0, dtype=np.float64), np.array(C0, dtype=np.float64)))");
            }
        }

        yield return new(
            $"activation-aware decomposition of all {layers.Length} matrices of TinyLM, rank 64",
            () =>
            {
                foreach ((string name, Tensor W, Tensor C) in layers) ActivationAwareSvd.Of(W, C, 64, name: name).Dispose();
            },
            "NumPy, the same steps", python is null ? null : () => python.Run("for W, C in layers: aware(W, C, 64)"));

        var random = new Random(1);
        var batches = new RandomWindows(new TokenText([.. Enumerable.Range(0, 10_000).Select(_ => random.Next(model.Vocabulary))]), 4, 128);
        using var whole = new TinyLM(new TinyLMRecipeOptions().Config);
        using var adapted = new TinyLM(new TinyLMRecipeOptions().Config);
        LoraLinear.Attach(adapted, 4, 1);
        TrainingOptions options = new() { Steps = long.MaxValue, LearningRate = 1e-4, WeightDecay = 0 };
        using var full = new TrainingLoop(whole, batches, Losses.CrossEntropy(whole), options);
        using var lora = new TrainingLoop(adapted, batches, Losses.CrossEntropy(adapted), options);
        yield return new("LoRA training of TinyLM, rank 4 on all matrices, 512 tokens a step", () => lora.Step(), "full training of it, here", () => full.Step(), 1.3);
    }

    private static long[] Flat(LowRankSparseLinear layer)
    {
        var flat = new List<long>();
        for (int row = 0; row < layer.Support.Rows; row++)
        {
            foreach (int column in layer.Support.Row(row)) flat.Add(((long)row * layer.Support.Columns) + column);
        }

        return [.. flat];
    }
}
