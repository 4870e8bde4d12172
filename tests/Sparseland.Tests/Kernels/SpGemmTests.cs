using FsCheck;
using FsCheck.Fluent;
using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

public class SpGemmTests
{
    private static readonly Accumulator[] s_accumulators = [Accumulator.Auto, Accumulator.Dense, Accumulator.Hash, Accumulator.Merge];

    [Fact]
    public void A_product_of_three_by_three_is_what_one_writes_down()
    {
        using Tensor a = tensor(new float[,] { { 1, 0, 2 }, { 0, 0, 0 }, { 0, 3, 0 } }), b = tensor(new float[,] { { 0, 5, 0 }, { 1, 0, 4 }, { 0, -2, 0 } });
        foreach (Accumulator kind in s_accumulators)
        {
            CsrMatrix c = SpGemm.Multiply(CsrMatrix.FromDense(a), CsrMatrix.FromDense(b), new() { Accumulator = kind });
            Assert.Equal([0, 1, 1, 3], c.RowOffsets.ToArray());
            Assert.Equal([1, 0, 2], c.ToSupport().ColumnIndices.ToArray());
            Assert.Equal([1f, 3f, 12f], c.Values.ToArray());
        }

        Assert.Equal([0L, 2, 2, 4], SpGemm.Work(CsrMatrix.FromDense(a), CsrMatrix.FromDense(b)));
    }

    [Fact]
    public void Structure_and_values_are_those_of_the_dense_product() => Prop.ForAll(
        Gen.Choose(0, 100).ArrayOf(5).ToArbitrary(),
        t =>
        {
            (int rows, int inner, int columns, int seed, int percent) = (1 + t[0], 1 + t[1], 1 + t[2], t[3], t[4]);
            CsrMatrix a = SparseMatrices.Uniform(rows, inner, (int)((long)rows * inner * percent / 100), seed), b = SparseMatrices.Uniform(inner, columns, inner * columns * percent / 130, seed + 1);
            using DisposeScope scope = NewDisposeScope();
            Tensor x = a.ToDense().to(ScalarType.Float64), y = b.ToDense().to(ScalarType.Float64);
            Support expected = Support.FromMask(Stored(a).mm(Stored(b)).gt(0));
            Tensor bound = x.abs().mm(y.abs()).mul(1e-6).add(1e-30);
            CsrMatrix[] all = [.. s_accumulators.Select(kind => SpGemm.Multiply(a, b, new() { Accumulator = kind }))];
            return all.All(c => c.ToSupport().Equals(expected) && c.ToDense().to(ScalarType.Float64).sub(x.mm(y)).abs().le(bound).all().item<bool>()
                && c.Values.SequenceEqual(all[0].Values));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Bits_do_not_depend_on_threads_or_accumulators_on_skewed_matrices()
    {
        CsrMatrix a = SparseMatrices.RMat(10, 12_000, seed: 3);
        CsrMatrix expected = SpGemm.Multiply(a, a, new() { Accumulator = Accumulator.Merge, Threads = 1 });
        foreach (Accumulator kind in s_accumulators)
        {
            foreach (int threads in new[] { 1, 2, 7 })
            {
                CsrMatrix c = SpGemm.Multiply(a, a, new() { Accumulator = kind, Threads = threads });
                Assert.Equal(expected.RowOffsets.ToArray(), c.RowOffsets.ToArray());
                Assert.Equal(expected.ToSupport(), c.ToSupport());
                Assert.True(expected.Values.SequenceEqual(c.Values));
            }
        }
    }

    // python3 -c "import numpy as np, scipy.sparse as s; a=s.csr_matrix((np.arange(1,8,dtype=np.float32),[0,2,4,5,1,3,2],[0,3,3,5,7]),shape=(4,6)); ..." (scipy 1.10, sort_indices)
    [Fact]
    public void A_recorded_product_of_scipy()
    {
        using Tensor values = tensor(new float[] { 1, 2, 3, 4, 5, 6, 7 });
        var support = new Support(4, 6, [0, 3, 3, 5, 7], [0, 2, 4, 1, 5, 2, 3]);
        CsrMatrix a = CsrMatrix.From(support, values), c = SpGemm.Multiply(a, a.Transpose());
        Assert.Equal([0, 2, 2, 3, 5], c.RowOffsets.ToArray());
        Assert.Equal([0, 3, 2, 0, 3], c.ToSupport().ColumnIndices.ToArray());
        Assert.Equal([14f, 12f, 41f, 12f, 85f], c.Values.ToArray());
    }

    [Fact]
    public void Sums_that_cancel_stay_stored_and_nothing_is_multiplied_that_is_not_stored()
    {
        using Tensor a = tensor(new float[,] { { 1, 1 }, { float.PositiveInfinity, 0 } }), b = tensor(new float[,] { { 2, 0 }, { -2, 0 } });
        foreach (Accumulator kind in s_accumulators)
        {
            CsrMatrix c = SpGemm.Multiply(CsrMatrix.FromDense(a), CsrMatrix.FromDense(b), new() { Accumulator = kind });
            Assert.Equal([0f, float.PositiveInfinity], c.Values.ToArray());
        }

        using Tensor nan = tensor(new float[,] { { float.NaN, 1 } });
        Assert.True(float.IsNaN(SpGemm.Multiply(CsrMatrix.FromDense(nan), CsrMatrix.FromDense(b)).Values[0]));
    }

    [Fact]
    public void Empty_rows_and_matrices_give_empty_ones()
    {
        CsrMatrix none = SparseMatrices.Uniform(5, 7, 0), some = SparseMatrices.Uniform(7, 3, 10);
        foreach (Accumulator kind in s_accumulators) Assert.Equal(0, SpGemm.Multiply(none, some, new() { Accumulator = kind }).Count);
        using Tensor empty = zeros([0, 7]), flat = zeros([7, 0]);
        Assert.Equal((0, 3), Shape(SpGemm.Multiply(CsrMatrix.FromDense(empty), some)));
        Assert.Equal((5, 0), Shape(SpGemm.Multiply(none, CsrMatrix.FromDense(flat))));

        static (int, int) Shape(CsrMatrix c) => (c.Rows, c.Columns);
    }

    [Fact]
    public void Misfits_are_refused_by_name()
    {
        CsrMatrix a = SparseMatrices.Uniform(4, 5, 6);
        Assert.Contains("[4, 5]", Assert.Throws<ArgumentException>(() => SpGemm.Multiply(a, a)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentNullException>(() => SpGemm.Multiply(null!, a));
        Assert.Throws<ArgumentOutOfRangeException>(() => SpGemm.Multiply(a, a.Transpose(), new() { Threads = -1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => SpGemm.Multiply(a, a.Transpose(), new() { Accumulator = (Accumulator)9 }));
        Assert.Throws<OperationCanceledException>(() => SpGemm.Multiply(a, a.Transpose(), cancel: new(canceled: true)));
        Assert.Throws<ArgumentOutOfRangeException>(() => SparseMatrices.Uniform(2, 2, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => SparseMatrices.RMat(2, 9));
        Assert.Throws<ArgumentException>(() => SparseMatrices.RMat(4, 9, 0.9, 0.05, 0.05));
        Assert.Throws<ArgumentOutOfRangeException>(() => SparseMatrices.Banded(4, 4));
        Assert.Throws<ArgumentException>(() => SparseMatrices.BlockDiagonal(10, 3));
    }

    [Fact]
    public void A_product_of_more_entries_than_an_index_counts_is_refused()
    {
        // 50,000 rows that all name one full row of 50,000 columns.
        using Tensor one = ones([1, 50_000]);
        CsrMatrix row = CsrMatrix.FromDense(one), column = row.Transpose();
        Assert.Contains("entries", Assert.Throws<ArgumentException>(() => SpGemm.Multiply(column, row)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_transpose_is_sorted_and_its_own_inverse()
    {
        foreach (CsrMatrix a in new[] { SparseMatrices.RMat(7, 900), SparseMatrices.Uniform(40, 90_000, 3_000), SparseMatrices.Banded(30, 2) })
        {
            CsrMatrix t = a.Transpose(), back = t.Transpose();
            Assert.Equal(a.ToSupport().Transpose(out _), t.ToSupport());
            Assert.Equal(a.ToSupport(), back.ToSupport());
            Assert.True(a.Values.SequenceEqual(back.Values));
        }
    }

    [Fact]
    public void Generated_matrices_have_the_entries_that_were_asked_for()
    {
        CsrMatrix uniform = SparseMatrices.Uniform(100, 64, 1_050), skewed = SparseMatrices.RMat(9, 4_000), renamed = SparseMatrices.RMat(9, 4_000, relabel: true);
        Assert.Equal(1_050, uniform.Count);
        Assert.True(uniform.ToSupport().CountsPerRow().All(n => n is 10 or 11));
        Assert.Equal(4_000, skewed.Count);
        int[] counts = skewed.ToSupport().CountsPerRow();
        Assert.True(counts.Max() > 8 * counts.Average());
        Assert.Equal(counts.Order(), renamed.ToSupport().CountsPerRow().Order());
        Assert.True(skewed.Values.SequenceEqual(SparseMatrices.RMat(9, 4_000).Values));
        Assert.Equal(30 + (2 * 29), SparseMatrices.Banded(30, 1).Count);
        Assert.Equal(4 * 25, SparseMatrices.BlockDiagonal(20, 5).Count);
    }

    private static Tensor Stored(CsrMatrix a)
    {
        using Tensor values = ones(a.Count);
        return CsrMatrix.From(a.ToSupport(), values).ToDense();
    }
}
