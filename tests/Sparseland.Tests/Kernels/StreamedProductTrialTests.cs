using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

/// <summary>Dense copies on both sides of the limits from which rows go past the cache, and products with what is not finite or not there.</summary>
public sealed class StreamedProductTrialTests
{
    // Exactly 8 MiB and a row less; the longest row that is streamed and a longer one; the shortest row; rows that are no whole cache lines.
    [Theory]
    [InlineData(256, 8192, ScalarType.Float32)]
    [InlineData(255, 8192, ScalarType.Float32)]
    [InlineData(256, 8208, ScalarType.Float32)]
    [InlineData(256, 4096, ScalarType.Float64)]
    [InlineData(256, 4104, ScalarType.Float64)]
    [InlineData(131_072, 16, ScalarType.Float32)]
    [InlineData(131_072, 8, ScalarType.Float64)]
    [InlineData(700, 3500, ScalarType.Float32)]
    public void Every_value_stands_in_its_place_and_zeros_elsewhere(int rows, int columns, ScalarType type)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(4);
        Tensor mask = rand([rows, columns], generator: generator) < 0.03;
        mask[0] = false;
        mask[-1] = false;
        mask[1] = true;
        mask.narrow(0, 2, 4).select(1, 0).fill_(true);
        mask.narrow(0, 2, 4).select(1, columns - 1).fill_(true);
        Support support = Support.FromMask(mask);
        Tensor values = randn([support.Count], type, generator: generator);
        values[0] = double.NaN;
        values[1] = double.PositiveInfinity;
        values[2] = -0.0;
        Tensor expected = zeros([rows, columns], type).masked_scatter(mask, values), wide = stack([values, values], 1).select(1, 0);

        // Memory that is not zero, where the next matrix is likely to come to.
        using (full([rows, columns], double.NaN, type))
        {
        }

        Assert.True(Same(expected, SparseProduct.ToDense(support, values)));
        Assert.True(Same(expected, SparseProduct.ToDense(support, wide)));
        Assert.True(Same(values, support.Gather(expected)));
    }

    [Theory]
    [InlineData(0, 5, 3)]
    [InlineData(5, 0, 3)]
    [InlineData(5, 4, 0)]
    [InlineData(0, 0, 0)]
    [InlineData(100, 100, 0)]
    public void What_is_empty_gives_what_is_empty(int rows, int columns, int width)
    {
        using var scope = NewDisposeScope();
        foreach (double share in (double[])[0, 0.5])
        {
            Support support = Support.Random(rows, columns, (int)(share * rows * columns), 1);
            Tensor values = ones(support.Count), dense = ones(columns, width);
            Assert.Equal(new long[] { rows, width }, SparseProduct.Multiply(support, values, dense).shape);
            Assert.True(SparseProduct.Multiply(support, values, dense, ones(width)).sum().item<float>() >= rows * width);
            Assert.Equal(support.Count, SparseProduct.ToDense(support, values).sum().item<float>());
            Tensor sampled = SparseProduct.Sampled(support, ones(rows, width), dense);
            Assert.Equal(support.Count * width, sampled.sum().item<float>());
            Tensor target = ones(rows, width);
            SparseProduct.AddTo(support, values, dense, target);
        }
    }

    // Full enough for the dense way, and sparse: what is not stored meets nothing.
    [Theory]
    [InlineData(0.05, ScalarType.Float32)]
    [InlineData(0.5, ScalarType.Float32)]
    [InlineData(0.05, ScalarType.Float64)]
    [InlineData(0.5, ScalarType.Float64)]
    public void Values_that_are_not_finite_reach_their_own_rows_alone(double share, ScalarType type)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(4);
        (int rows, int columns, int width) = (80, 90, 37);
        Tensor mask = rand([rows, columns], generator: generator) < share;
        Support support = Support.FromMask(mask);
        Tensor values = randn([support.Count], type, generator: generator), dense = randn([columns, width], type, generator: generator), left = randn([rows, width], type, generator: generator);
        dense[3, 36] = double.PositiveInfinity;
        dense[7, 0] = double.NaN;
        values[support.RowOffsets[20]] = double.NegativeInfinity;
        left[5, 36] = double.NaN;
        double[] v = Numbers(values), d = Numbers(dense), l = Numbers(left);
        double[] product = Numbers(SparseProduct.Multiply(support, values, dense)), sampled = Numbers(SparseProduct.Sampled(support, left, dense));
        double tolerance = type == ScalarType.Float32 ? 1e-4 : 1e-12;
        for (int r = 0; r < rows; r++)
        {
            for (int j = 0; j < width; j++)
            {
                double sum = 0;
                for (int e = support.RowOffsets[r]; e < support.RowOffsets[r + 1]; e++) sum += v[e] * d[(support.ColumnIndices[e] * width) + j];
                Agree(sum, product[(r * width) + j], tolerance);
            }

            for (int e = support.RowOffsets[r]; e < support.RowOffsets[r + 1]; e++)
            {
                double sum = 0;
                for (int j = 0; j < width; j++) sum += l[(r * width) + j] * d[(support.ColumnIndices[e] * width) + j];
                Agree(sum, sampled[e], tolerance);
            }
        }
    }

    private static void Agree(double expected, double actual, double tolerance)
    {
        if (double.IsFinite(expected)) Assert.Equal(expected, actual, tolerance);
        else Assert.False(double.IsFinite(actual));
    }

    private static double[] Numbers(Tensor x) => x.to(ScalarType.Float64).contiguous().data<double>().ToArray();

    private static bool Same(Tensor a, Tensor b) => a.shape.SequenceEqual(b.shape) && a.bytes.SequenceEqual(b.bytes);
}
