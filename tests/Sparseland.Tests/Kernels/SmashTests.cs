using FsCheck;
using FsCheck.Fluent;
using Sparseland.Kernels;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

public class SmashTests
{
    private static readonly CsrMatrix s_skewed = SparseMatrices.RMat(10, 8_000, seed: 3), s_uniform = SparseMatrices.Uniform(600, 500, 5_000, 3);

    public static TheoryData<TagHash, WindowDeal, SlotLayout, int, int> Settings()
    {
        var all = new TheoryData<TagHash, WindowDeal, SlotLayout, int, int>();
        foreach (TagHash hash in Enum.GetValues<TagHash>())
        {
            foreach (SlotLayout layout in Enum.GetValues<SlotLayout>())
            {
                all.Add(hash, WindowDeal.Queue, layout, 1 << 10, 1);
                all.Add(hash, WindowDeal.Turns, layout, 1 << 8, 3);
                all.Add(hash, WindowDeal.Queue, layout, 1 << 14, 2);
            }
        }

        return all;
    }

    [Theory]
    [MemberData(nameof(Settings))]
    public void Every_setting_gives_the_bits_of_the_row_product(TagHash hash, WindowDeal deal, SlotLayout layout, int capacity, int threads)
    {
        foreach ((CsrMatrix a, CsrMatrix b) in new[] { (s_skewed, s_skewed), (s_uniform, s_uniform.Transpose()), (s_uniform.Transpose(), s_uniform) })
        {
            SmashResult result = Smash.Multiply(a, b, new() { Hash = hash, Deal = deal, Layout = layout, Capacity = capacity, Threads = threads });
            Same(SpGemm.Multiply(a, b), result.Product);
            Assert.Equal(SpGemm.Work(a, b)[^1], result.Products);
            Assert.Equal((result.Product.Count, result.Products), (result.Insertions, result.Insertions + result.Merges));
            Assert.Equal(SpGemmWindows.Of(a, b, capacity).Count, result.Windows);
            Assert.Equal(SpGemmCollisions.Count(a, b, capacity, hash).ExtraProbes, result.ExtraProbes);
        }
    }

    [Theory]
    [InlineData(TagHash.High, 1)]
    [InlineData(TagHash.Low, 2)]
    [InlineData(TagHash.Multiplicative, 4)]
    public void A_shared_table_with_atomics_gives_the_same_places_and_nearly_the_same_sums(TagHash hash, int threads)
    {
        SmashResult result = Smash.Multiply(s_skewed, s_skewed, new() { Hash = hash, Layout = SlotLayout.SumInSlot, SharedTable = true, Capacity = 1 << 10, Threads = threads });
        CsrMatrix expected = SpGemm.Multiply(s_skewed, s_skewed), magnitudes = SpGemm.Multiply(Absolute(s_skewed), Absolute(s_skewed));
        Assert.Equal(expected.RowOffsets, result.Product.RowOffsets);
        Assert.Equal(expected.ToSupport().ColumnIndices, result.Product.ToSupport().ColumnIndices);
        for (int i = 0; i < expected.Count; i++) Assert.True(Math.Abs(expected.Values[i] - result.Product.Values[i]) <= 1e-5 * magnitudes.Values[i]);
        if (threads == 1) Assert.True(expected.Values.SequenceEqual(result.Product.Values));
        Assert.Equal(expected.Count, result.Insertions);
    }

    [Fact]
    public void Small_matrices_of_any_shape()
    {
        Gen<(int[], int)> shapes = Gen.Choose(1, 20).ArrayOf(3).SelectMany(sizes => Gen.Choose(0, 10_000).Select(seed => (sizes, seed)));
        Prop.ForAll(shapes.ToArbitrary(), shape =>
        {
            (int[] sizes, int seed) = shape;
            (int m, int k, int n) = (sizes[0], sizes[1], sizes[2]);
            CsrMatrix a = SparseMatrices.Uniform(m, k, seed % ((m * k) + 1), seed), b = SparseMatrices.Uniform(k, n, seed * 7 % ((k * n) + 1), seed + 1);
            foreach (SmashOptions options in new[] { SmashOptions.Version1, SmashOptions.Version2, SmashOptions.Version3, new SmashOptions() })
                Same(SpGemm.Multiply(a, b), Smash.Multiply(a, b, options with { Capacity = 4, Threads = 2 }).Product);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(60));
    }

    [Fact]
    public void Cancelled_sums_stay_stored_and_numbers_that_are_not_finite_pass()
    {
        using Tensor left = tensor(new float[,] { { 1, 1, 0 }, { 0, 0, float.PositiveInfinity } }), right = tensor(new float[,] { { 2, 0 }, { -2, 0 }, { 0, float.NaN } });
        SmashResult result = Smash.Multiply(CsrMatrix.FromDense(left), CsrMatrix.FromDense(right));
        Assert.Equal([0, 1, 2], result.Product.RowOffsets.ToArray());
        Assert.Equal(0, result.Product.Values[0]);
        Assert.True(float.IsNaN(result.Product.Values[1]));
    }

    [Fact]
    public void Empty_matrices_and_bad_settings()
    {
        CsrMatrix empty = SparseMatrices.Uniform(5, 7, 0);
        Assert.Equal((0L, 0), (Smash.Multiply(empty, empty.Transpose()).Product.Count, Smash.Multiply(empty, empty.Transpose()).Windows));
        Assert.Throws<ArgumentException>(() => Smash.Multiply(s_uniform, s_uniform));
        Assert.Throws<ArgumentOutOfRangeException>(() => Smash.Multiply(s_skewed, s_skewed, new() { Capacity = 1000 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Smash.Multiply(s_skewed, s_skewed, new() { Hash = (TagHash)9 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Smash.Multiply(s_skewed, s_skewed, new() { Threads = -1 }));
        Assert.Throws<ArgumentException>(() => Smash.Multiply(s_skewed, s_skewed, new() { SharedTable = true }));
        using var cancel = new CancellationTokenSource();
        cancel.Cancel();
        Assert.Throws<OperationCanceledException>(() => Smash.Multiply(s_skewed, s_skewed, new() { Threads = 2 }, cancel.Token));
    }

    private static CsrMatrix Absolute(CsrMatrix m) => CsrMatrix.From(m.ToSupport(), tensor(m.Values.ToArray()).abs());

    private static void Same(CsrMatrix expected, CsrMatrix found)
    {
        Assert.Equal((expected.Rows, expected.Columns), (found.Rows, found.Columns));
        Assert.True(expected.RowOffsets.SequenceEqual(found.RowOffsets));
        Assert.True(expected.ToSupport().ColumnIndices.SequenceEqual(found.ToSupport().ColumnIndices));
        Assert.True(System.Runtime.InteropServices.MemoryMarshal.Cast<float, int>(expected.Values).SequenceEqual(System.Runtime.InteropServices.MemoryMarshal.Cast<float, int>(found.Values)));
    }
}
