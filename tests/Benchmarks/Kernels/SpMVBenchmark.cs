using Sparseland.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Kernels;

/// <summary>
/// Sparse times a vector, 4,096 x 4,096, against libtorch's dense mv, scipy (one thread whatever one sets) and GraphBLAS (as many threads as here), cold and warm; beside the formats among each other.
/// Twelve products a line.
/// </summary>
public class SpMVBenchmark : IQuickBenchmark
{
    private const int Size = 4096;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using Tensor x = randn(Size);
        float[] input = x.data<float>().ToArray(), y = new float[Size];
        foreach (bool cold in new[] { true, false })
        {
            foreach (double density in new[] { 0.4, 0.2, 0.1 })
            {
                CsrMatrix csr = SparseMatrices.Uniform(Size, Size, (int)(density * Size * Size));
                ProductKernel chosen = ProductChooser.Choose(density, 1);
                T[] Many<T>(Func<T> make, double bytes) => [.. Enumerable.Range(0, cold ? SparsePeers.Copies(bytes) : 1).Select(_ => make())];
                Action Of(ProductKernel kernel) => SparsePeers.Walk(Many(() => ProductChooser.Make(kernel, kernel == ProductKernel.Csr ? csr.Transpose().Transpose() : csr), csr.Bytes), m => m.Multiply(input, y));
                Tensor[] full = Many(csr.ToDense, 4.0 * Size * Size);
                string name = $"SpMV {Size} x {Size}, {1 - density:0%} zeros, {(cold ? "cold" : "warm")}, 12 products";
                using var peers = new SparsePeers(csr, x.unsqueeze(1), cold);
                Action ours = Of(chosen);
                SparseMatrix one = ProductChooser.Make(chosen, csr);
                yield return new($"{name}, {chosen}", ours, "libtorch dense mv", SparsePeers.Walk(full, m => m.mv(x).Dispose()), density <= 0.4 ? 1 : 0, () => SparsePeers.Share(ours, one.Bytes + (8.0 * Size), cold), Place(density, cold));
                yield return new($"{name}, {chosen}", ours, "scipy", peers.Scipy, 2, null, Place(density, cold));
                yield return new($"{name}, {chosen}", ours, "GraphBLAS", peers.Graph, 1, null, Place(density, cold));
                foreach (ProductKernel other in new[] { ProductKernel.Csr, ProductKernel.Bitmap, ProductKernel.Sell, ProductKernel.BitmapTiles }.Where(other => other != chosen)) yield return new($"{name}, {chosen}", ours, $"{other} here", Of(other));
                foreach (Tensor copy in full) copy.Dispose();
            }
        }
    }

    private static CurvePoint Place(double density, bool cold) => new($"Sparse times a vector, {Size} x {Size}, {(cold ? "from memory" : "from the cache")}, 12 products", "density", density);
}
