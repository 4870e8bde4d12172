using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

public class GroupSparseQuantMatrixTests
{
    private static Support Some(int rows, int groups, double share, Generator generator) => Support.FromMask(rand([rows, groups], generator: generator).lt(share));

    [Theory]
    [InlineData(4, 16, 0.5)]
    [InlineData(4, 32, 0.3)]
    [InlineData(4, 8, 0.5)]
    [InlineData(2, 16, 0.7)]
    [InlineData(3, 8, 0.5)]
    [InlineData(8, 16, 0.5)]
    [InlineData(4, 16, 1)]
    [InlineData(4, 16, 0)]
    public void Packing_is_exact_and_products_are_those_of_the_reconstruction(int bits, int size, double share)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new((ulong)(bits + size));
        var quantizer = new GroupQuantizer(bits, size);
        Tensor W = randn([37, 20 * size], generator: generator) * 0.05;
        Support kept = Some(37, 20, share, generator);
        QuantizedGroups groups = quantizer.Quantize(W, kept);
        GroupSparseQuantMatrix matrix = GroupSparseQuantMatrix.Pack(groups);
        QuantizedGroups again = matrix.Unpack();
        Assert.Equal(groups.Groups, again.Groups);
        Assert.Equal(groups.Integers, again.Integers);
        Assert.Equal(groups.Scales, again.Scales);
        Assert.Equal(groups.Zeros, again.Zeros);

        // The reconstruction by the quantiser's own equations.
        (Tensor scales, Tensor zeroPoints) = quantizer.Ranges(W);
        Tensor mask = kept.ToMask().repeat_interleave(size, 1), dense = quantizer.Values(quantizer.Integers(W, scales, zeroPoints), scales, zeroPoints) * mask;
        Assert.True(SparseMatrixTests.Same(matrix.ToDense(), dense));
        CheckProducts(matrix, dense, generator);

        // One shot: within the range, half a step.
        Tensor steps = scales.repeat_interleave(size, 1), zero = zeroPoints.repeat_interleave(size, 1);
        Tensor inside = W.ge(-zero * steps).logical_and(W.le((quantizer.Levels - zero) * steps)).logical_and(mask);
        Assert.True((W - dense).abs().masked_select(inside).le(steps.masked_select(inside) * 0.500001).all().item<bool>());

        // A range that z was rounded for is left at one end by half a step at most, and by what float16 takes off the scale.
        Assert.True((W - dense).abs().masked_select(mask).le(steps.masked_select(mask) * (0.5 + (quantizer.Levels / 2048.0))).all().item<bool>());
    }

    [Fact]
    public void Bytes_are_those_of_the_formula()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(1);
        Tensor W = randn([256, 512], generator: generator);
        Support half = Select.TopK(rand([256, 32], generator: generator), Budget.Global(256 * 16));
        GroupSparseQuantMatrix matrix = GroupSparseQuantMatrix.From(W, half);
        Assert.Equal((4096 * (8 + 2 + 2)) + (4096 / 2) + (4 * 257), matrix.Bytes);

        // (1 - S) (4 G + 16 + 4 + 16) / G + 32 (out + 1) / (out in).
        Assert.Equal((0.5 * ((4 * 16) + 36) / 16) + (32.0 * 257 / (256 * 512)), matrix.Bytes * 8.0 / (256 * 512), 12);

        // 2 bits, G = 64, nothing pruned: 2.28 with a zero point of 2 bits, and the 16 bits of an index that a dense form does not need.
        GroupSparseQuantMatrix two = GroupSparseQuantMatrix.From(W, Support.FromMask(ones([256, 8], dtype: ScalarType.Bool)), new(2, 64));
        Assert.Equal(2 + ((16 + 2 + 16) / 64.0) + (32.0 * 257 / (256 * 512)), two.Bytes * 8.0 / (256 * 512), 12);
    }

    [Fact]
    public void Schedules_give_the_same_products_and_an_empty_row_gives_zero()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(2);
        Tensor W = randn([50, 640], generator: generator);

        // Rows of very unequal length, the first, some in the middle and the last without a group.
        Tensor share = torch.pow(rand([50, 1], generator: generator), 4);
        (share[0], share[10], share[11], share[49]) = (tensor(0f), tensor(0f), tensor(0f), tensor(0f));
        share[20] = 1;
        Support kept = Support.FromMask(rand([50, 40], generator: generator).lt(share));
        GroupSparseQuantMatrix matrix = GroupSparseQuantMatrix.From(W, kept);
        CsrMatrix csr = CsrMatrix.FromDense(matrix.ToDense());
        float[] x = randn(640, generator: generator).data<float>().ToArray(), y = new float[50];
        float[] exact = tensor(x).to(ScalarType.Float64).unsqueeze(0).mm(matrix.ToDense().to(ScalarType.Float64).t()).to(ScalarType.Float32).data<float>().ToArray();
        foreach (ScheduledMatrix any in (ScheduledMatrix[])[matrix, csr])
        {
            foreach (KernelPath path in KernelPaths.All)
            {
                any.Path = path;
                foreach (Schedule schedule in (Schedule[])[Schedule.RowSplit, Schedule.TaskCentric])
                {
                    foreach (int workers in (int[])[0, 1, 2, 3, 7, 64, 5000])
                    {
                        Array.Fill(y, float.NaN);
                        any.Multiply(x, y, schedule, workers);
                        Assert.All(y.Zip(exact), pair => Assert.Equal(pair.Second, pair.First, 1e-3f));
                        Assert.Equal([0f, 0f, 0f, 0f], (float[])[y[0], y[10], y[11], y[49]]);
                        float[] again = new float[50];
                        SparseMatrixTests.OnOneThread(() =>
                        {
                            any.Multiply(x, again, schedule, workers);
                            return 0;
                        });
                        Assert.Equal(y, again);
                    }
                }
            }
        }
    }

    [Fact]
    public void A_schedule_covers_all_units_once_and_tasks_are_even()
    {
        var random = new Random(5);
        for (int trial = 0; trial < 50; trial++)
        {
            int[] offsets = new int[random.Next(1, 40) + 1];
            for (int row = 1; row < offsets.Length; row++) offsets[row] = offsets[row - 1] + (random.Next(3) == 0 ? 0 : random.Next(50));
            foreach (int workers in (int[])[1, 2, 8, 100])
            {
                foreach (Schedule schedule in (Schedule[])[Schedule.RowSplit, Schedule.TaskCentric])
                {
                    WorkRange[] cut = schedule.Cut(offsets, workers);
                    Assert.Equal((workers, 0, offsets[^1]), (cut.Length, cut[0].From, cut[^1].To));
                    Assert.All(cut.Zip(cut.Skip(1)), pair => Assert.Equal(pair.First.To, pair.Second.From));
                }

                Assert.Equal((offsets[^1] + workers - 1) / workers, Schedule.TaskCentric.Makespan(offsets, workers));
            }
        }

        Assert.Equal(8, Schedule.RowSplit.Makespan([0, 8, 9, 10], 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => Schedule.RowSplit.Makespan([0, 1], 0));
        Assert.Throws<ArgumentException>(() => Schedule.TaskCentric.Cut([0, 3, 2], 2));
        Assert.Throws<ArgumentException>(() => Schedule.TaskCentric.Cut([1, 3], 2));
    }

    [Fact]
    public void A_range_holds_zero_unless_told_otherwise()
    {
        using var scope = NewDisposeScope();
        Tensor W = linspace(1.0, 1.3, 16, dtype: ScalarType.Float32).unsqueeze(0);
        var quantizer = new GroupQuantizer();
        (Tensor scales, Tensor zeroPoints) = quantizer.Ranges(W);
        Tensor error = (quantizer.Values(quantizer.Integers(W, scales, zeroPoints), scales, zeroPoints) - W).abs().max();
        Assert.True(error.item<float>() <= scales.item<float>() / 2 + 1e-6);

        // -min / s = -50 is cut to z = 0: every weight lies beyond 15 s = 0.3 and becomes it.
        GroupQuantizer own = quantizer with { ZeroInRange = false };
        (scales, zeroPoints) = own.Ranges(W);
        Assert.Equal(0, zeroPoints.item<float>());
        Assert.Equal(1.0, (own.Values(own.Integers(W, scales, zeroPoints), scales, zeroPoints) - W).abs().max().item<float>(), 1e-3);

        // A group of zeros: the least scale, integers zero.
        (scales, zeroPoints) = quantizer.Ranges(zeros(1, 16));
        Assert.Equal((1e-4, 0f), (scales.item<float>(), zeroPoints.item<float>()), (a, b) => Math.Abs(a.Item1 - b.Item1) < 1e-7 && a.Item2 == b.Item2);
    }

    [Fact]
    public void Wrong_input_is_named()
    {
        using var scope = NewDisposeScope();
        var quantizer = new GroupQuantizer();
        Support all = Support.FromMask(ones([2, 2], dtype: ScalarType.Bool));
        Assert.Throws<ArgumentOutOfRangeException>(() => new GroupQuantizer(1).Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => new GroupQuantizer(9).Validate());
        Assert.Throws<ArgumentException>(() => new GroupQuantizer(3, 4).Validate());
        Assert.Contains("16", Assert.Throws<ArgumentException>(() => quantizer.Quantize(ones(2, 40), all)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => quantizer.Quantize(ones(2, 64), all));
        Tensor broken = ones(2, 32);
        broken[1, 3] = float.NaN;
        Assert.Throws<ArgumentException>(() => quantizer.Quantize(broken, all));
        Assert.Throws<ArgumentException>(() => quantizer.Quantize(full(2, 32, 1e7f), all));
        QuantizedGroups groups = quantizer.Quantize(ones(2, 32), all);
        Assert.Throws<ArgumentException>(() => groups.WithScales([Half.One]));
        Assert.Throws<ArgumentException>(() => groups.WithScales([Half.One, Half.One, Half.Zero, Half.One]));
        Assert.Throws<ArgumentException>(() => GroupSparseQuantMatrix.Pack(groups with { Zeros = [0, 0, 16, 0] }));
        Assert.Throws<ArgumentException>(() => GroupSparseQuantMatrix.Pack(groups with { Integers = [1, 2] }));
        Assert.Throws<ArgumentException>(() => GroupSparseQuantMatrix.Pack(new(Support.Empty(1, 70_000), quantizer, [], [], [])));
    }

    private static void CheckProducts(SparseMatrix matrix, Tensor dense, Generator generator)
    {
        // With z apart, sums of q x are larger than the result: the bound is that of the parts.
        foreach (KernelPath path in KernelPaths.All)
        {
            matrix.Path = path;
            foreach (long count in (long[])[1, 2, 20, 140])
            {
                using var scope = NewDisposeScope();
                Tensor X = randn([count, dense.shape[1]], generator: generator), expected = X.mm(dense.t()), Y = matrix.Multiply(X);
                Assert.True((Y - expected).norm().item<float>() <= 1e-5 * (expected.norm().item<float>() + 1e-6), $"{matrix}, {path}, {count}");
            }
        }
    }
}
