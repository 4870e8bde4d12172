using Sparseland.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Kernels;

/// <summary>Sparse times 8 vectors (and 64), 4,096 x 4,096, both [4096, n], against libtorch's dense mm, scipy (one thread whatever one sets) and GraphBLAS (as many threads as here), cold and warm. Twelve products a line.</summary>
public class SpMMBenchmark : IQuickBenchmark
{
    private const int Size = 4096;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        foreach ((bool cold, int n) in new[] { (true, 8), (false, 8), (true, 64) })
        {
            using Tensor X = randn(Size, n);
            foreach (double density in new[] { 0.3, 0.2, 0.1 })
            {
                CsrMatrix csr = SparseMatrices.Uniform(Size, Size, (int)(density * Size * Size));
                ProductKernel chosen = ProductChooser.Choose(density, n);
                if (chosen == ProductKernel.Dense) chosen = ProductKernel.Csr;
                T[] Many<T>(Func<T> make, double bytes) => [.. Enumerable.Range(0, cold ? SparsePeers.Copies(bytes) : 1).Select(_ => make())];
                Action Of(ProductKernel kernel) => SparsePeers.Walk(Many(() => ProductChooser.Make(kernel, kernel == ProductKernel.Csr ? csr.Transpose().Transpose() : csr), csr.Bytes), m => m.Times(X).Dispose());
                Tensor[] full = Many(csr.ToDense, 4.0 * Size * Size);
                string name = $"SpMM {Size} x {Size} times {n}, {1 - density:0%} zeros, {(cold ? "cold" : "warm")}, 12 products";
                using var peers = new SparsePeers(csr, X, cold);
                Action ours = Of(chosen);
                SparseMatrix one = ProductChooser.Make(chosen, csr);
                yield return new($"{name}, {chosen}", ours, "libtorch dense mm", SparsePeers.Walk(full, m => m.mm(X).Dispose()), n == 8 ? 1 : 0, () => SparsePeers.Share(ours, one.Bytes + (8.0 * Size * n), cold), Place(density, n, cold));
                yield return new($"{name}, {chosen}", ours, "scipy", peers.Scipy, 2, null, Place(density, n, cold));
                yield return new($"{name}, {chosen}", ours, "GraphBLAS", peers.Graph, 1.2, null, Place(density, n, cold));
                foreach (ProductKernel other in new[] { ProductKernel.Csr, ProductKernel.BitmapTiles, ProductKernel.TiledCsl }.Where(other => other != chosen)) yield return new($"{name}, {chosen}", ours, $"{other} here", Of(other));
                foreach (Tensor copy in full) copy.Dispose();
            }
        }
    }

    private static CurvePoint Place(double density, int n, bool cold) => new($"Sparse times {n} vectors, {Size} x {Size}, {(cold ? "from memory" : "from the cache")}, 12 products", "density", density);
}
