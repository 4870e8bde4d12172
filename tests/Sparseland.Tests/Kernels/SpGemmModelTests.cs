using Sparseland.Kernels;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

public class SpGemmModelTests
{
    private static readonly CsrMatrix s_skewed = SparseMatrices.RMat(12, 60_000, seed: 2), s_uniform = SparseMatrices.Uniform(1 << 12, 1 << 12, 60_000, 2);

    [Fact]
    public void Traffic_of_a_product_that_can_be_counted_by_hand()
    {
        // B has rows of 1, 2 and 1 entries; A's first row names rows 0 and 2, its last row 1.
        using Tensor a = tensor(new float[,] { { 1, 0, 2 }, { 0, 0, 0 }, { 0, 3, 0 } }), b = tensor(new float[,] { { 0, 5, 0 }, { 1, 0, 4 }, { 0, 0, 7 } });
        SpGemmTraffic traffic = SpGemmTraffic.Count(CsrMatrix.FromDense(a), CsrMatrix.FromDense(b));
        Assert.Equal((4L, 4L, 2L), (traffic.Products, traffic.EntriesOfC, traffic.RowsOfA));
        Assert.Equal((11L, 3L + 4 + 8 + 4, 3L + 4 + 4), (traffic.Inner, traffic.Outer, traffic.RowWise));
        Assert.Equal(0.5, traffic.InnerUseful);
    }

    [Fact]
    public void Skewed_matrices_merge_and_uniform_ones_do_not()
    {
        SpGemmTraffic skewed = SpGemmTraffic.Count(s_skewed, s_skewed), uniform = SpGemmTraffic.Count(s_uniform, s_uniform);
        Assert.True(skewed.Compression > 2 && uniform.Compression < 1.15, $"{skewed.Compression} {uniform.Compression}");
        Assert.All([skewed, uniform], t => Assert.True(t.Inner > 10 * t.RowWise && t.Outer > 1.4 * t.RowWise));
    }

    [Theory]
    [InlineData(1 << 8)]
    [InlineData(1 << 15)]
    public void Windows_hold_all_products_and_no_more_than_fit(int capacity)
    {
        IReadOnlyList<SpGemmWindow> windows = SpGemmWindows.Of(s_skewed, s_skewed, capacity);
        Assert.Equal(SpGemm.Work(s_skewed, s_skewed)[^1], windows.Sum(w => w.Products));
        Assert.All(windows, w => Assert.True(w.Products <= capacity || (w.ToRow == w.FromRow + 1 && w.ToColumn - w.FromColumn <= capacity)));
    }

    [Fact]
    public void Every_product_is_merged_or_inserted_whatever_the_hash()
    {
        long entries = SpGemm.Multiply(s_skewed, s_skewed).Count, products = SpGemm.Work(s_skewed, s_skewed)[^1];
        foreach (TagHash hash in Enum.GetValues<TagHash>())
        {
            SpGemmCollisions counted = SpGemmCollisions.Count(s_skewed, s_skewed, 1 << 12, hash);
            Assert.Equal((products, entries, products - entries), (counted.Products, counted.Insertions, counted.Merges));
        }
    }

    [Fact]
    public void A_multiplicative_hash_has_no_clusters_and_low_bits_of_a_skewed_matrix_have()
    {
        CsrMatrix skewed = SparseMatrices.RMat(13, 40_000, seed: 5), uniform = SparseMatrices.Uniform(1 << 13, 1 << 13, 40_000, 5);
        double Of(CsrMatrix m, TagHash hash) => SpGemmCollisions.Count(m, m, 1 << 12, hash).PerProduct;
        Assert.True(Of(skewed, TagHash.Multiplicative) < 1 && Of(uniform, TagHash.Multiplicative) < 1);
        Assert.True(Of(skewed, TagHash.Low) > 20 * Of(skewed, TagHash.Multiplicative) && Of(skewed, TagHash.High) > 20 * Of(skewed, TagHash.Multiplicative));
        Assert.True(Of(skewed, TagHash.LowMixed) < Of(skewed, TagHash.Low) / 5);
        Assert.True(Of(uniform, TagHash.High) > Of(uniform, TagHash.Low));
    }

    [Fact]
    public void Small_tokens_balance_what_rows_cannot()
    {
        double Of(CsrMatrix m, WorkGrain grain) => SpGemmSchedule.Simulate(m, m, 64, 1 << 15, grain).Imbalance;
        Assert.True(Of(s_skewed, WorkGrain.StaticRows) > 5 * Of(s_skewed, WorkGrain.EntryTokens));
        Assert.True(Of(s_uniform, WorkGrain.EntryTokens) < 1.1);
        Assert.Equal(1, SpGemmSchedule.Simulate(s_uniform, s_uniform, 1, 1 << 15, WorkGrain.RowTokens).Imbalance, 12);
    }

    [Fact]
    public void Numbers_out_of_range_are_refused()
    {
        Assert.Throws<ArgumentException>(() => SpGemmWindows.Of(s_uniform, s_uniform, 1000));
        Assert.Throws<ArgumentException>(() => SpGemmCollisions.Count(s_uniform, s_uniform, 1024, TagHash.Low, 512));
        Assert.Throws<ArgumentOutOfRangeException>(() => SpGemmCollisions.Count(s_uniform, s_uniform, 1024, (TagHash)9));
        Assert.Throws<ArgumentOutOfRangeException>(() => SpGemmSchedule.Simulate(s_uniform, s_uniform, 0, 1024, WorkGrain.StaticRows));
        Assert.Throws<ArgumentException>(() => SpGemmTraffic.Count(s_uniform, SparseMatrices.Uniform(3, 3, 2)));
    }
}
