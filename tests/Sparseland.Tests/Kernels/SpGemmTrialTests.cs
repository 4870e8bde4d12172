using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

/// <summary>Sparse times sparse and the models of it, against dictionaries and plain loops.</summary>
public class SpGemmTrialTests
{
    private static CsrMatrix Drawn(int rows, int columns, double density, int seed, bool odd = false)
    {
        using var scope = NewDisposeScope();
        var random = new Random(seed);
        int[] offsets = new int[rows + 1];
        var places = new List<int>();
        for (int row = 0; row < rows; row++)
        {
            // Some rows are empty, some full.
            double own = random.Next(5) switch { 0 => 0, 1 => Math.Min(1, 4 * density), _ => density };
            for (int column = 0; column < columns; column++)
            {
                if (random.NextDouble() < own) places.Add(column);
            }

            offsets[row + 1] = places.Count;
        }

        float[] values = [.. places.Select(_ => odd && random.Next(12) == 0 ? new[] { float.NaN, float.PositiveInfinity, -1e38f, 1e38f, -0f, 1e-40f, 0 }[random.Next(7)] : (float)(random.NextDouble() - 0.5))];
        return CsrMatrix.From(new Support(rows, columns, offsets, [.. places]), tensor(values));
    }

    /// <summary>Row by row in the order of A's entries, one fused multiplication and addition each, from zero.</summary>
    private static SortedDictionary<int, float>[] Reference(CsrMatrix a, CsrMatrix b)
    {
        Support sa = a.ToSupport(), sb = b.ToSupport();
        var rows = new SortedDictionary<int, float>[a.Rows];
        for (int row = 0, k = 0; row < a.Rows; row++)
        {
            rows[row] = [];
            foreach (int inner in sa.Row(row))
            {
                int at = b.RowOffsets[inner];
                foreach (int column in sb.Row(inner)) rows[row][column] = MathF.FusedMultiplyAdd(a.Values[k], b.Values[at++], rows[row].GetValueOrDefault(column));
                k++;
            }
        }

        return rows;
    }

    private static void Check(SortedDictionary<int, float>[] expected, CsrMatrix given)
    {
        Support places = given.ToSupport();
        for (int row = 0; row < expected.Length; row++)
        {
            Assert.Equal(expected[row].Keys, places.Row(row).ToArray());
            float[] values = given.Values[given.RowOffsets[row]..given.RowOffsets[row + 1]].ToArray();
            Assert.Equal(expected[row].Values.Select(Bits), values.Select(Bits));
        }
    }

    private static int Bits(float value) => float.IsNaN(value) ? -1 : BitConverter.SingleToInt32Bits(value);

    [Theory]
    [InlineData(1, 1, 1, 1.0)]
    [InlineData(12, 9, 15, 0.3)]
    [InlineData(40, 60, 50, 0.1)]
    [InlineData(3, 200, 130, 0.5)]
    [InlineData(130, 2, 3, 0.6)]
    [InlineData(0, 4, 5, 0.5)]
    [InlineData(4, 0, 5, 0.5)]
    [InlineData(4, 5, 0, 0.5)]
    public void All_ways_give_the_bits_of_a_dictionary(int rows, int inner, int columns, double density)
    {
        for (int seed = 0; seed < 3; seed++)
        {
            CsrMatrix a = Drawn(rows, inner, density, seed, odd: seed > 0), b = Drawn(inner, columns, density, seed + 10, odd: seed > 1);
            SortedDictionary<int, float>[] expected = Reference(a, b);
            foreach (Accumulator accumulator in Enum.GetValues<Accumulator>())
            {
                foreach (int threads in new[] { 1, 2 }) Check(expected, SpGemm.Multiply(a, b, new() { Accumulator = accumulator, Threads = threads }));
            }

            foreach (TagHash hash in Enum.GetValues<TagHash>())
            {
                foreach (SlotLayout layout in Enum.GetValues<SlotLayout>())
                {
                    foreach (int capacity in new[] { 2, 32, 1 << 12 })
                    {
                        SmashResult result = Smash.Multiply(a, b, new() { Hash = hash, Layout = layout, Capacity = capacity, Threads = 2 });
                        Check(expected, result.Product);
                        Assert.Equal(SpGemm.Work(a, b)[^1], result.Products);
                        Assert.Equal(expected.Sum(row => row.Count), result.Insertions);
                        Assert.Equal(result.Products, result.Insertions + result.Merges);
                        SpGemmCollisions counted = SpGemmCollisions.Count(a, b, capacity, hash);
                        Assert.Equal((result.Products, result.Insertions, result.Merges, result.ExtraProbes), (counted.Products, counted.Insertions, counted.Merges, counted.ExtraProbes));
                    }
                }
            }
        }
    }

    [Fact]
    public void Windows_cover_every_product_once_and_fit_or_are_as_narrow_as_the_table()
    {
        CsrMatrix a = Drawn(60, 50, 0.2, 1), b = Drawn(50, 300, 0.2, 2);
        long[] work = SpGemm.Work(a, b);
        Support sa = a.ToSupport(), sb = b.ToSupport();
        foreach (int capacity in new[] { 1, 2, 8, 64, 512, 1 << 15 })
        {
            int[,] seen = new int[60, 300];
            foreach (SpGemmWindow window in SpGemmWindows.Of(a, b, capacity))
            {
                long products = 0;
                for (int row = window.FromRow; row < window.ToRow; row++)
                {
                    for (int column = window.FromColumn; column < window.ToColumn; column++) seen[row, column]++;
                    foreach (int k in sa.Row(row)) products += sb.Row(k).ToArray().Count(c => c >= window.FromColumn && c < window.ToColumn);
                }

                Assert.Equal(products, window.Products);
                Assert.True(products <= capacity || (window.ToRow == window.FromRow + 1 && window.ToColumn - window.FromColumn <= capacity), $"{window} of {capacity}");
            }

            for (int row = 0; row < 60; row++)
            {
                var columns = new HashSet<int>();
                foreach (int k in sa.Row(row)) columns.UnionWith(sb.Row(k).ToArray());
                foreach (int column in columns) Assert.Equal(1, seen[row, column]);
            }

            Assert.Equal(work[^1], SpGemmWindows.Of(a, b, capacity).Sum(w => w.Products));
            foreach (WorkGrain grain in Enum.GetValues<WorkGrain>())
            {
                foreach (int threads in new[] { 1, 3, 64 })
                {
                    SpGemmSchedule schedule = SpGemmSchedule.Simulate(a, b, threads, capacity, grain);
                    Assert.Equal(work[^1], schedule.Busy.Sum(w => w.Sum()));
                    Assert.Equal(schedule.Time, schedule.Busy.Sum(w => w.Max()));
                    Assert.True(schedule.Imbalance >= 1 - 1e-12);
                    if (threads == 1) Assert.Equal(1, schedule.Imbalance, 1e-12);
                }
            }
        }
    }

    [Fact]
    public void Traffic_is_that_of_the_thesis_formulas_and_of_its_small_example()
    {
        // A of the method's page with a B of rows of 1, 2 and 1: products 4, inner 11, outer 15 + nnz(C), row-wise 7 + nnz(C).
        CsrMatrix a = CsrMatrix.FromDense(tensor(new float[,] { { 1, 0, 2 }, { 0, 0, 0 }, { 0, 3, 0 } })), b = CsrMatrix.FromDense(tensor(new float[,] { { 1, 0, 0 }, { 0, 1, 1 }, { 0, 1, 0 } }));
        SpGemmTraffic traffic = SpGemmTraffic.Count(a, b);
        Assert.Equal((4, 11, 15 + 4, 7 + 4), (traffic.Products, traffic.Inner, traffic.Outer, traffic.RowWise));
        SpGemmTraffic none = SpGemmTraffic.Count(Drawn(3, 3, 0, 1), Drawn(3, 3, 0, 1));
        Assert.Equal((0, 0, 0), (none.Products, none.RowWise, none.Intensity));
        Assert.Contains("0", none.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Null_and_misfits_and_cancellation()
    {
        CsrMatrix a = Drawn(30, 40, 0.3, 1), b = Drawn(40, 20, 0.3, 2);
        foreach (Action call in new Action[]
        {
            () => SpGemm.Multiply(null!, b), () => SpGemm.Multiply(a, null!), () => SpGemm.Work(null!, b), () => Smash.Multiply(a, null!), () => SpGemmTraffic.Count(a, null!),
            () => SpGemmWindows.Of(null!, b, 2), () => SpGemmCollisions.Count(null!, b, 2, TagHash.High), () => SpGemmSchedule.Simulate(null!, b, 1, 2, WorkGrain.RowTokens),
        })
            Assert.Throws<ArgumentNullException>(call);
        foreach (Action call in new Action[]
        {
            () => SpGemm.Multiply(b, a), () => Smash.Multiply(b, a), () => SpGemmWindows.Of(a, b, 0), () => SpGemmWindows.Of(a, b, -4), () => SpGemmWindows.Of(a, b, 3), () => SpGemmCollisions.Count(a, b, 4, (TagHash)9),
            () => SpGemmCollisions.Count(a, b, 4, TagHash.High, 2), () => SpGemmCollisions.Count(a, b, 4, TagHash.High, 6), () => SpGemmSchedule.Simulate(a, b, 0, 4, WorkGrain.RowTokens),
            () => SpGemmSchedule.Simulate(a, b, 1, 4, (WorkGrain)5), () => SpGemm.Multiply(a, b, new() { Threads = -1 }), () => SpGemm.Multiply(a, b, new() { Accumulator = (Accumulator)9 }),
            () => Smash.Multiply(a, b, new() { Capacity = 3 }), () => Smash.Multiply(a, b, new() { Capacity = 1 << 30 }), () => Smash.Multiply(a, b, new() { SharedTable = true }),
        })
            Assert.ThrowsAny<ArgumentException>(call);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => SpGemm.Multiply(a, b, cancel: cancelled.Token));
        Assert.ThrowsAny<OperationCanceledException>(() => Smash.Multiply(a, b, cancel: cancelled.Token));
        Assert.ThrowsAny<OperationCanceledException>(() => Smash.Multiply(a, b, new() { SharedTable = true, Layout = SlotLayout.SumInSlot }, cancelled.Token));
    }

    [Fact]
    public void Generators_give_what_was_asked_for_or_say_that_they_cannot()
    {
        foreach ((int rows, int columns, int count) in new[] { (1, 1, 0), (1, 1, 1), (3, 5, 15), (7, 3, 20), (5, 1000, 3) })
        {
            CsrMatrix matrix = SparseMatrices.Uniform(rows, columns, count, 4);
            Assert.Equal(count, matrix.Count);
            Assert.Equal(matrix.ToSupport().ColumnIndices.ToArray(), new Support(rows, columns, matrix.RowOffsets, matrix.ToSupport().ColumnIndices).ColumnIndices.ToArray());
            int[] counts = [.. matrix.ToSupport().CountsPerRow()];
            Assert.True(counts.Max() - counts.Min() <= 1);
        }

        Assert.Equal(SparseMatrices.RMat(5, 200, seed: 3).Values.ToArray(), SparseMatrices.RMat(5, 200, seed: 3).Values.ToArray());
        Assert.Equal(200, SparseMatrices.RMat(5, 200, relabel: true).Count);
        Assert.Throws<ArgumentOutOfRangeException>(() => SparseMatrices.RMat(2, 5));
        Assert.ThrowsAny<ArgumentException>(() => SparseMatrices.RMat(4, 64, 0.999, 0.0003, 0.0003));
        Assert.ThrowsAny<ArgumentException>(() => SparseMatrices.RMat(4, 8, double.NaN));
        Assert.ThrowsAny<ArgumentException>(() => SparseMatrices.RMat(31, 8));
        Assert.ThrowsAny<ArgumentException>(() => SparseMatrices.Uniform(2, 2, 5));
        Assert.ThrowsAny<ArgumentException>(() => SparseMatrices.Uniform(0, 2, 0));
        Assert.ThrowsAny<ArgumentException>(() => SparseMatrices.Banded(3, 3));
        Assert.ThrowsAny<ArgumentException>(() => SparseMatrices.BlockDiagonal(10, 3));
        Assert.Equal(3, SparseMatrices.Banded(3, 0).Count);
        Assert.Equal(9, SparseMatrices.Banded(3, 2).Count);
    }
}
