using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Kernels;

/// <summary>One vector times a pruned matrix against scipy's formats of the same groups, float32 and 32-bit indices there; one thread on both sides, as scipy has no more.</summary>
public class SparseVectorScipyBenchmark : IQuickBenchmark
{
    private const int Size = SparseVectorBenchmark.Size;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        int threads = get_num_threads();
        set_num_threads(1);
        foreach ((int rows, int columns) in new[] { (2048, 2048), (4096, 4096) })
        {
            foreach (double sparsity in new[] { 0.5, 0.8 })
            {
                using PythonPeer? peer = PythonPeer.Start("import numpy as np, scipy.sparse as sp");
                using Tensor dense = SparseVectorBenchmark.Normal(rows, columns), x = SparseVectorBenchmark.Normal(1, columns)[0].clone();
                Support groups = SparseVectorBenchmark.Groups(rows, columns, sparsity);
                using Tensor pruned = dense * groups.ToMask().repeat_interleave(Size, 1);
                float[] input = x.data<float>().ToArray(), y = new float[rows];
                peer?.Put("w", pruned);
                peer?.Put("x", x);
                peer?.Run($"x = x.astype(np.float32); c = sp.csr_matrix(w.astype(np.float32)); b = c.tobsr((1, {Size})); del w");
                CsrMatrix csr = CsrMatrix.FromDense(pruned);
                BlockMatrix blocks = BlockMatrix.FromDense(pruned, 1, Size);
                var gqsa = GroupSparseQuantMatrix.From(dense, groups);
                string shape = $"[{rows}, {columns}] x vector, {sparsity:P0} pruned";
                yield return new Comparison($"csr {shape}", () => csr.Multiply(input, y), "scipy CSR", peer is null ? null : () => peer.Run("r = c @ x"));
                yield return new Comparison($"blocks 1 x 16 {shape}", () => blocks.Multiply(input, y), "scipy BSR 1 x 16", peer is null ? null : () => peer.Run("r = b @ x"));
                yield return new Comparison($"GQSA W4G16 {shape}", () => gqsa.Multiply(input, y), "scipy BSR 1 x 16 float32", peer is null ? null : () => peer.Run("r = b @ x"));
            }
        }

        set_num_threads(threads);
    }
}
