using Sparseland.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

public class ProductChooserTests
{
    [Fact]
    public void Every_density_and_batch_has_a_way_and_every_way_gives_the_product()
    {
        using var scope = NewDisposeScope();
        foreach (KernelPath path in Enum.GetValues<KernelPath>())
        foreach (int vectors in new[] { 1, 2, 3, 4, 8, 9, 16, 17, 33, 64, int.MaxValue })
        {
            ProductKernel[] ways = [.. Enumerable.Range(0, 101).Select(i => ProductChooser.Choose(ProductChooser.For(path), i / 100.0, vectors))];
            if (path != KernelPath.Vector512) Assert.All(ways, way => Assert.True(way is ProductKernel.Csr or ProductKernel.Dense));
            Assert.Equal(ProductKernel.Dense, ways[^1]);
            Assert.Equal(ProductKernel.Csr, ways[0]);

            // Once dense, dense with more weights.
            Assert.Equal(ways.Count(way => way == ProductKernel.Dense), ways.SkipWhile(way => way != ProductKernel.Dense).Count());
        }

        Assert.Equal(ProductChooser.For(KernelPaths.Widest), ProductChooser.Table);

        Tensor W = SparseFormatTests.Coarse(40, 70, 0.4, 3);
        foreach (Tensor X in new[] { SparseFormatTests.Coarse(6, 70, 1, 4), SparseFormatTests.Coarse(1, 70, 1, 5)[0], zeros(0, 70) })
        {
            Tensor expected = nn.functional.linear(X, W);
            foreach (ProductKernel? kernel in Enum.GetValues<ProductKernel>().Select(k => (ProductKernel?)k).Append(null))
                Assert.True(SparseMatrixTests.Same(ProductChooser.Multiply(CsrMatrix.FromDense(W), X, kernel), expected), $"{kernel}");
        }
    }

    [Fact]
    public void Ways_are_known_by_the_names_of_their_formats()
    {
        using var scope = NewDisposeScope();
        CsrMatrix matrix = CsrMatrix.FromDense(eye(5));
        foreach (ProductKernel kernel in Enum.GetValues<ProductKernel>().Where(k => k != ProductKernel.Dense))
            Assert.Equal(kernel, ProductChooser.Parse(ProductChooser.Make(kernel, matrix).Format));
        Assert.Equal(ProductKernel.Dense, ProductChooser.Parse("dense"));
        foreach (string name in new[] { "", "coo", "1", "-1", "csr,csc" }) Assert.Throws<ArgumentException>(() => ProductChooser.Parse(name));
        Assert.Throws<ArgumentException>(() => ProductChooser.Make(ProductKernel.Dense, matrix));
        Assert.Throws<ArgumentOutOfRangeException>(() => ProductChooser.Choose(double.NaN, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => ProductChooser.Choose(0.5, 0));
    }
}
