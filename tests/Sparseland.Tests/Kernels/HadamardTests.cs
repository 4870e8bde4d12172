using FsCheck;
using FsCheck.Fluent;
using Sparseland.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

public class HadamardTests
{
    // Whole numbers: every sum is exact, so any order of additions must give the same bits.
    private static double[] Whole(int length, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(_ => (double)random.Next(-9, 10))];
    }

    [Fact]
    public void Entries_follow_the_recursion_of_Sylvester()
    {
        Assert.Equal(1, Hadamard.Entry(0, 0));
        for (int n = 1; n < 32; n *= 2)
        {
            for (int i = 0; i < n; i++)
            {
                for (int j = 0; j < n; j++)
                {
                    int entry = Hadamard.Entry(i, j);
                    Assert.Equal((entry, entry, -entry), (Hadamard.Entry(i + n, j), Hadamard.Entry(i, j + n), Hadamard.Entry(i + n, j + n)));
                }
            }
        }

        Assert.Equal(-1, Hadamard.Entry(1L << 40, (1L << 40) + 5));
    }

    [Fact]
    public void The_transform_is_the_product_with_the_matrix()
    {
        for (int n = 1; n <= 256; n *= 2)
        {
            double[] x = Whole(n, n), y = [.. x];
            Hadamard.TransformInPlace(y.AsSpan());
            for (int i = 0; i < n; i++) Assert.Equal(Enumerable.Range(0, n).Sum(j => Hadamard.Entry(i, j) * x[j]), y[i]);
        }
    }

    // Sizes on both sides of a tile, of a run and of a vector, with columns that no vector length divides.
    [Theory]
    [InlineData(1, 5)]
    [InlineData(2, 1)]
    [InlineData(4, 3)]
    [InlineData(8, 8)]
    [InlineData(16, 33)]
    [InlineData(128, 65)]
    [InlineData(1024, 17)]
    [InlineData(8192, 1)]
    [InlineData(16384, 1)]
    [InlineData(32768, 1)]
    [InlineData(1 << 18, 1)]
    [InlineData(1 << 15, 2)]
    [InlineData(1 << 14, 7)]
    [InlineData(1 << 13, 31)]
    [InlineData(1 << 12, 32)]
    [InlineData(1 << 12, 65)]
    [InlineData(1 << 11, 100)]
    [InlineData(2, 40_000)]
    [InlineData(64, 5000)]
    public void The_fast_way_is_the_loop_in_both_precisions(int rows, int columns)
    {
        double[] x = Whole(rows * columns, rows + columns), fast = [.. x], loop = [.. x];
        Hadamard.TransformRowsInPlace(fast.AsSpan(), rows, columns);
        Hadamard.TransformRowsByLoop(loop.AsSpan(), rows, columns);
        Assert.True(fast.AsSpan().SequenceEqual(loop));
        float[] single = [.. x.Select(v => (float)v)];
        Hadamard.TransformRowsInPlace(single.AsSpan(), rows, columns);
        Assert.True(single.Select(v => (double)v).SequenceEqual(loop));
    }

    [Fact]
    public void Twice_is_n_times_the_identity_and_length_grows_by_sqrt_n()
    {
        Prop.ForAll(Gen.Choose(0, 14).Zip(Gen.Choose(1, 9)).ToArbitrary(), size =>
        {
            (int rows, int columns) = (1 << size.Item1, size.Item2);
            var random = new Random(rows + columns);
            double[] x = [.. Enumerable.Range(0, rows * columns).Select(_ => (2 * random.NextDouble()) - 1)], y = [.. x];
            Hadamard.TransformRowsInPlace(y.AsSpan(), rows, columns);
            Assert.Equal(rows * x.Sum(v => v * v), y.Sum(v => v * v), 1e-9 * rows * x.Length);
            Hadamard.TransformRowsInPlace(y.AsSpan(), rows, columns);
            Assert.All(x.Zip(y), pair => Assert.Equal(pair.First, pair.Second / rows, 1e-12));
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    public void Any_dimension_of_a_tensor_can_be_transformed(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        Tensor x = randint(-9, 10, [8, 4, 16], dtype: type, generator: generator);
        Tensor H4 = tensor([.. Enumerable.Range(0, 16).Select(i => (double)Hadamard.Entry(i / 4, i % 4))], [4, 4]).to(type);
        Tensor middle = x.clone();
        Hadamard.TransformInPlace(middle, 1);
        for (int o = 0; o < 8; o++) Assert.True(H4.mm(x[o]).allclose(middle[o], 0, 0));
        foreach (int dimension in new[] { 0, 2, -1 })
        {
            int at = dimension < 0 ? 2 : dimension;
            Tensor y = x.clone(), z = x.transpose(at, 0).contiguous();
            Hadamard.TransformInPlace(y, dimension);
            Hadamard.TransformInPlace(z);
            Assert.True(y.allclose(z.transpose(at, 0), 0, 0));
        }
    }

    [Fact]
    public void A_tensor_of_many_long_vectors_is_that_many_vectors()
    {
        using var scope = NewDisposeScope();
        double[] x = Whole(3 << 14, 4);
        Tensor all = tensor(x, [3, 1 << 14]);
        Hadamard.TransformInPlace(all, 1);
        for (int r = 0; r < 3; r++)
        {
            double[] row = x[(r << 14)..((r + 1) << 14)];
            Hadamard.TransformRowsByLoop(row.AsSpan(), 1 << 14, 1);
            Assert.Equal(row, all[r].data<double>().ToArray());
        }
    }

    [Fact]
    public void Bad_input_is_refused_by_name()
    {
        static string? Refused(Action action) => Assert.ThrowsAny<ArgumentException>(action).ParamName;
        Assert.Equal("rows", Refused(() => Hadamard.TransformInPlace(new double[6].AsSpan())));
        Assert.Equal("rows", Refused(() => Hadamard.TransformInPlace(Span<double>.Empty)));
        Assert.Equal("block", Refused(() => Hadamard.TransformRowsInPlace(new float[9].AsSpan(), 4, 2)));
        Assert.Equal("columns", Refused(() => Hadamard.TransformRowsInPlace(new float[8].AsSpan(), 8, 0)));
        Assert.Equal("i", Refused(() => Hadamard.Entry(-1, 0)));
        Assert.Equal("j", Refused(() => Hadamard.Entry(0, -1)));
        Assert.Equal("length", Refused(() => Hadamard.PaddedLength(0)));
        using var scope = NewDisposeScope();
        Assert.Equal("dimension", Refused(() => Hadamard.TransformInPlace(zeros(4), 1)));
        Assert.Equal("x", Refused(() => Hadamard.TransformInPlace(zeros([4, 3]), 1)));
        Assert.Equal("x", Refused(() => Hadamard.TransformInPlace(zeros([4], dtype: ScalarType.Int32))));
        Assert.Equal("x", Refused(() => Hadamard.TransformInPlace(zeros([4, 2]).t(), 1)));
        Assert.Equal("x", Refused(() => Hadamard.TransformInPlace(zeros([4], requires_grad: true))));
        Assert.Equal((1, 4, 4, 1 << 17), (Hadamard.PaddedLength(1), Hadamard.PaddedLength(3), Hadamard.PaddedLength(4), Hadamard.PaddedLength(100_000)));
    }
}
