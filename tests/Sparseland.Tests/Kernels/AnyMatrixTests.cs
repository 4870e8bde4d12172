using FsCheck;
using FsCheck.Fluent;
using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

/// <summary>Every format on matrices of any size: empty rows, nothing but zeros, one row, one column, widths that are a multiple of nothing.</summary>
public class AnyMatrixTests
{
    private static readonly double[] s_densities = [0, 0.02, 0.2, 0.6, 1];

    [Fact]
    public void Every_format_gives_any_matrix_back_and_multiplies_like_the_dense_one()
    {
        Prop.ForAll<int, int, int>((rows, columns, seed) => Check(1 + (int)((uint)rows % 70), 1 + (int)((uint)columns % 200), seed)).Check(Config.QuickThrowOnFailure.WithMaxTest(60));
        for (int i = 0; i < s_densities.Length; i++)
        {
            foreach ((int rows, int columns) in new[] { (1, 1), (1, 67), (67, 1), (64, 64), (65, 129), (2, 257) }) Check(rows, columns, i);
        }
    }

    private static void Check(int rows, int columns, int seed)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new((uint)seed);

        // Eighths, which every stored type holds exactly; some rows are empty whatever the density.
        Tensor W = SparseFormatTests.Coarse(rows, columns, s_densities[(uint)seed % s_densities.Length], (uint)seed) * rand([rows, 1], generator: generator).gt(seed % 3 == 0 ? 0.3 : -1);
        CsrMatrix csr = CsrMatrix.FromDense(W);
        Tensor[] inputs = [randn([columns], generator: generator), .. new[] { 1, 2, 3, 4, 17 }.Select(count => randn([count, columns], generator: generator))];
        (Tensor X, Tensor Y, Tensor Bound)[] products = [.. inputs.Select(x =>
        {
            Tensor wide = x.to(ScalarType.Float64), w = W.t().to(ScalarType.Float64);
            return (x, wide.matmul(w), wide.abs().matmul(w.abs()) * 1e-5 + 1e-12);
        })];
        foreach ((SparseMatrix matrix, bool pads) in Formats(csr, W))
        {
            string said = $"{matrix} of [{rows}, {columns}], seed {seed}";
            Assert.Equal((rows, columns), (matrix.Rows, matrix.Columns));
            if (pads) Assert.True(SparseMatrixTests.Same(matrix.ToDense(), W), said);
            else SparseFormatTests.CheckSame(csr, matrix.ToCsr());
            Assert.True(SparseMatrixTests.Same(matrix.ToCsr().ToDense(), W), said);
            foreach (KernelPath path in KernelPaths.All)
            {
                matrix.Path = path;
                foreach ((Tensor x, Tensor expected, Tensor bound) in products)
                {
                    using var inner = NewDisposeScope();
                    Tensor y = matrix.Multiply(x);
                    Assert.Equal(expected.shape, y.shape);
                    Assert.True((y - expected).abs().le(bound).all().item<bool>(), $"{said}, {path}, {string.Join(" x ", x.shape)}");
                }
            }
        }
    }

    /// <summary>All formats, and whether they store zeros of their own.</summary>
    private static IEnumerable<(SparseMatrix Matrix, bool Pads)> Formats(CsrMatrix csr, Tensor W)
    {
        yield return (csr, false);
        yield return (CscMatrix.FromCsr(csr), false);
        yield return (SellMatrix.FromCsr(csr), false);
        yield return (BitmapMatrix.FromCsr(csr), false);
        foreach (StoredValue kind in Enum.GetValues<StoredValue>()) yield return (BitmapTileMatrix.FromCsr(csr, kind), false);
        yield return (BitmapTileMatrix.FromCsr(csr, tileRows: 16), false);
        yield return (TiledCslMatrix.FromCsr(csr), false);
        yield return (TiledCslMatrix.FromCsr(csr, new() { TileRows = 64, TileColumns = 128, Reorder = false }), false);
        (int rows, int columns) = (csr.Rows, csr.Columns);
        foreach ((int down, int across) in new[] { (1, 1), (Divisor(rows, 16), 1), (1, Divisor(columns, 16)), (Divisor(rows, 5), Divisor(columns, 7)), (rows, columns) }.Distinct())
            yield return (BlockMatrix.FromCsr(csr, down, across), true);
        foreach (int m in new[] { 2, 4, 5, 8, 16, columns }.Where(m => m is >= 2 and <= 256 && columns % m == 0).Distinct())
        {
            int most = (int)W.ne(0).view(rows, columns / m, m).sum(-1).max().item<long>();
            yield return (NofMMatrix.FromCsr(csr, Math.Max(1, most), m), true);
        }
    }

    private static int Divisor(int number, int most) => Enumerable.Range(1, Math.Min(most, number)).Last(d => number % d == 0);
}
