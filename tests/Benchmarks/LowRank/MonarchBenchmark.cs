using Sparseland.LowRank;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.LowRank;

/// <summary>
/// A Monarch matrix of 4,096 x 4,096, 64 x 64 slices of rank 1. Its product with a batch against libtorch's dense linear layer, and its making from a dense matrix against a loop of SVDs in PyTorch
/// with as many threads.
/// </summary>
public class MonarchBenchmark : IQuickBenchmark
{
    private const int N = 4096;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using DisposeScope outer = NewDisposeScope();
        using IDisposable off = no_grad();
        using var generator = new Generator(1);
        MonarchShape shape = MonarchShape.ForSquare(N);
        Tensor W = randn([N, N], generator: generator);
        using MonarchProjection nearest = Monarch.Project(W, shape);
        Tensor dense = nearest.Matrix.ToDense();
        foreach (int batch in (int[])[512, 1])
        {
            Tensor x = randn([batch, N], generator: generator);
            yield return new($"Monarch product {N}, batch {batch}", () => nearest.Matrix.Multiply(x).Dispose(), "dense linear of libtorch", () => nn.functional.linear(x, dense).Dispose(), batch == 512 ? 3 : 0,
                () => $"largest difference {(nearest.Matrix.Multiply(x) - nn.functional.linear(x, dense)).abs().max().item<float>():0.0e0}");
        }

        Tensor input = randn([512, N], generator: generator), back = randn([512, N], generator: generator);
        using var layer = MonarchLinear.FromMatrix(nearest.Matrix);
        using TorchSharp.Modules.Linear linear = layer.Merge();
        void Step(nn.Module<Tensor, Tensor> module)
        {
            using IDisposable on = enable_grad();
            using DisposeScope scope = NewDisposeScope();
            module.zero_grad();
            module.call(input.detach().requires_grad_()).backward([back]);
        }

        yield return new($"Monarch layer {N}, batch 512, forward and backward", () => Step(layer), "dense linear of libtorch", () => Step(linear));

        using PythonPeer? python = PythonPeer.Start("import numpy as np, torch");
        double theirs = double.NaN;
        if (python is not null)
        {
            python.Run($"torch.set_num_threads({get_num_threads()})");
            python.Put("W", W);
            python.Run($$"""
                W = torch.from_numpy(W.astype(np.float32)); m = {{shape.InputBlocks}}
                def project(W):
                    S = W.reshape(m, m, m, m).permute(2, 1, 0, 3).contiguous()
                    R, L, error = torch.empty(m, m, m), torch.empty(m, m, m), 0.0
                    for k in range(m):
                        for j in range(m):
                            U, s, Vh = torch.linalg.svd(S[k, j], full_matrices=False)
                            L[j, :, k] = U[:, 0] * s[0].sqrt(); R[k, j] = s[0].sqrt() * Vh[0]
                            error += (s[1:] ** 2).sum().item()
                    return error
                """);
            python.Run("error = project(W)");
            theirs = python.Get("np.array([error])")[0];
        }

        yield return new($"Nearest Monarch matrix of {N} x {N}", () => Monarch.Project(W, shape).Dispose(), "loop of SVDs in PyTorch", python is null ? null : () => python.Run("project(W)"), 2,
            () => $"squared error {nearest.SquaredError:0.0}, theirs {theirs:0.0}");
    }
}
