using FsCheck;
using FsCheck.Fluent;
using Sparseland.Kernels;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

public class SparseConvolution1x1Tests
{
    internal static Tensor Normal(long seed, params long[] shape)
    {
        using var generator = new Generator((ulong)seed);
        return randn(shape, generator: generator);
    }

    /// <summary>Weights of which a share is zero.</summary>
    internal static Tensor Sparse(long seed, double sparsity, params long[] shape)
    {
        using var generator = new Generator((ulong)seed + 1000);
        return Normal(seed, shape).masked_fill_(rand(shape, generator: generator).lt(sparsity), 0);
    }

    internal static double Error(Tensor ours, Tensor theirs) => (ours - theirs).abs().max().item<float>() / Math.Max(1e-30, theirs.abs().max().item<float>());

    internal static float[] Bits(Tensor t) => TensorMemory.Read<float>(t.contiguous()).ToArray();

    internal static Tensor Clamped(Tensor t, ConvolutionClamp clamp) => float.IsInfinity(clamp.Max) && float.IsInfinity(clamp.Min) ? t : t.clamp(clamp.Min, clamp.Max);

    public static TheoryData<int, int, int> Cases()
    {
        var data = new TheoryData<int, int, int>();
        foreach (int rows in new[] { 1, 2, 4 })
        {
            for (int rest = 0; rest < 16; rest++) data.Add(rows, 64 + rest, 1);
            data.Add(rows, 5, 3);
            data.Add(rows, 1, 1);
            data.Add(rows, 200, 2);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void It_is_libtorchs_convolution_on_every_path_with_every_strip(int rows, int positions, int images)
    {
        using var scope = NewDisposeScope();
        foreach (ConvolutionClamp clamp in new[] { ConvolutionClamp.None, ConvolutionClamp.Relu, ConvolutionClamp.Relu6, new(-0.5f, 0.25f) })
        {
            // 21 outputs: the last block of 2 or 4 is short; row 3 is empty.
            Tensor weight = Sparse(1, 0.8, 21, 37), bias = Normal(2, 21), x = Normal(3, 37, images, 1, positions);
            weight[3].zero_();
            Tensor theirs = Clamped(nn.functional.conv2d(x.permute(1, 0, 2, 3), weight.view(21, 37, 1, 1), bias), clamp).permute(1, 0, 2, 3);
            float[]? first = null;
            foreach (int strip in new[] { 16, 32, 64 })
            {
                foreach (KernelPath path in KernelPaths.All)
                {
                    SparseConvolution1x1 ours = SparseConvolution1x1.FromDense(weight, bias, null, rows, clamp, strip);
                    ours.Path = path;
                    foreach (int threads in new[] { 1, 2, 3 })
                    {
                        Tensor y = ours.Run(x, threads);
                        Assert.Equal(theirs.shape, y.shape);
                        Assert.InRange(Error(y, theirs), 0, 1e-5);
                        Assert.Equal(first ??= Bits(y), Bits(y));
                    }
                }
            }
        }
    }

    [Fact]
    public void Many_threads_give_the_same_bits_where_they_share_strips_and_where_they_share_outputs()
    {
        using var scope = NewDisposeScope();
        foreach (int positions in new[] { 40, 784 })
        {
            SparseConvolution1x1 layer = SparseConvolution1x1.FromDense(Sparse(4, 0.5, 259, 256), Normal(5, 259), null, 4);
            Assert.True(layer.StoredWeights * positions > WeightStream.OneThread);
            Tensor x = Normal(6, 256, positions);
            float[] one = Bits(layer.Run(x, 1));
            foreach (int threads in new[] { 2, 3, 8 }) Assert.Equal(one, Bits(layer.Run(x, threads)));
        }
    }

    // W = [[0, 2, 0], [0, 0, 0], [1, 0, 3]] by hand: biases stand before the weights of their output; stored columns are 1, 0, 2.
    [Fact]
    public void The_stream_of_a_small_matrix_is_the_one_made_by_hand()
    {
        using var scope = NewDisposeScope();
        SparseConvolution1x1 layer = SparseConvolution1x1.FromDense(tensor(new float[] { 0, 2, 0, 0, 0, 0, 1, 0, 3 }, [3, 3]), tensor(new float[] { 1, -1, 0 }));
        Assert.Equal([1, 2, -1, 0, 1, 3], layer.Stream);
        Assert.Equal([1, 0, 2], layer.Counts);
        Assert.Equal([1, 0, 2], layer.Columns);
        DifferenceStream plan = layer.Plan(5);
        Assert.Equal([-5, 10, -5], plan.Differences);
        Assert.Equal(5, plan.Start);
        Assert.Equal(3, layer.StoredWeights);
    }

    [Fact]
    public void The_differences_lead_back_to_where_they_began_and_the_stream_to_the_weights() => Prop.ForAll(
        Gen.Choose(1, 40).Two().SelectMany(size => Gen.Elements(1, 2, 4).Select(rows => (size, rows))).ToArbitrary(),
        draw =>
        {
            using var scope = NewDisposeScope();
            ((int outputs, int inputs), int rows) = draw;
            Tensor weight = Sparse(outputs + inputs, 0.7, outputs, inputs);
            SparseConvolution1x1 layer = SparseConvolution1x1.FromDense(weight, null, null, rows);
            DifferenceStream plan = layer.Plan(7);
            return plan.Differences.Sum(d => (long)d) == 0 && plan.Differences.Count == layer.Columns.Count && layer.StoredWeights == rows * (long)layer.Columns.Count
                && layer.Counts.Sum() == layer.Columns.Count && layer.ToDense().equal(weight).all().item<bool>();
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Nothing_stored_gives_the_clamped_biases()
    {
        using var scope = NewDisposeScope();
        Tensor bias = tensor(new float[] { -1, 2, 9 });
        Tensor y = SparseConvolution1x1.FromDense(zeros(3, 4), bias, null, 2, ConvolutionClamp.Relu6).Run(Normal(1, 4, 6));
        Assert.True(y.equal(tensor(new float[] { 0, 2, 6 }).view(3, 1).expand(3, 6)).all().item<bool>());
    }

    [Fact]
    public void A_support_says_what_is_stored_zeros_too_and_what_is_outside_does_not_count()
    {
        using var scope = NewDisposeScope();
        Tensor weight = tensor(new float[] { 5, 0, 7, 8 }, [2, 2]);
        SparseConvolution1x1 layer = SparseConvolution1x1.FromDense(weight, null, new Support(2, 2, [0, 1, 2], [1, 0]));
        Assert.Equal([1, 0], layer.Columns);
        Assert.Equal([0, 0, 0, 7], layer.Stream);
        Assert.True(layer.ToDense().equal(tensor(new float[] { 0, 0, 7, 0 }, [2, 2])).all().item<bool>());
    }

    [Fact]
    public void What_is_not_stored_does_not_meet_what_is_not_finite()
    {
        using var scope = NewDisposeScope();
        Tensor x = ones(2, 20);
        (x[0, 3], x[0, 17]) = (float.NaN, float.PositiveInfinity);
        Tensor y = SparseConvolution1x1.FromDense(tensor(new float[] { 0, 1, 2, 1 }, [2, 2]), clamp: ConvolutionClamp.Relu6).Run(x);
        Assert.True(y[0].equal(ones(20)).all().item<bool>());
        Assert.True(float.IsNaN(y[1, 3].item<float>()));
        Assert.Equal(6, y[1, 17].item<float>());
        Assert.Equal(3, y[1, 4].item<float>());
    }

    [Fact]
    public void Views_and_images_of_another_size_are_read_as_they_are()
    {
        using var scope = NewDisposeScope();
        Tensor weight = Sparse(1, 0.5, 6, 8);
        SparseConvolution1x1 layer = SparseConvolution1x1.FromDense(weight);
        foreach (int n in new[] { 33, 7, 33 })
        {
            Tensor x = Normal(n, n, 8).t();
            Assert.False(x.is_contiguous());
            Assert.InRange(Error(layer.Run(x), weight.mm(x)), 0, 1e-5);
        }

        Assert.Equal([6, 0], layer.Run(zeros(8, 0)).shape);
    }

    [Fact]
    public void Bad_input_is_refused_by_name()
    {
        using var scope = NewDisposeScope();
        Tensor weight = ones(4, 4);
        SparseConvolution1x1 layer = SparseConvolution1x1.FromDense(weight);
        Assert.Throws<ArgumentOutOfRangeException>("blockRows", () => SparseConvolution1x1.FromDense(weight, blockRows: 3));
        Assert.Throws<ArgumentOutOfRangeException>("stripPositions", () => SparseConvolution1x1.FromDense(weight, stripPositions: 48));
        Assert.Throws<ArgumentException>("weight", () => SparseConvolution1x1.FromDense(ones(4, 4, 3, 3)));
        Assert.Throws<ArgumentException>("weight", () => SparseConvolution1x1.FromDense(ones([4, 4], dtype: ScalarType.Float64)));
        Assert.Throws<ArgumentException>("weight", () => SparseConvolution1x1.FromDense(full([4, 4], float.NaN)));
        Assert.Throws<ArgumentException>("bias", () => SparseConvolution1x1.FromDense(weight, ones(3)));
        Assert.Throws<ArgumentException>("bias", () => SparseConvolution1x1.FromDense(weight, full([4], float.PositiveInfinity)));
        Assert.Throws<ArgumentException>("support", () => SparseConvolution1x1.FromDense(weight, null, new Support(3, 4, [0, 0, 0, 0], [])));
        Assert.Throws<ArgumentOutOfRangeException>("clamp", () => SparseConvolution1x1.FromDense(weight, clamp: new ConvolutionClamp(1, 0)));
        Assert.Throws<ArgumentOutOfRangeException>("clamp", () => SparseConvolution1x1.FromDense(weight, clamp: new ConvolutionClamp(float.NaN, 0)));
        Assert.Throws<ArgumentOutOfRangeException>(() => layer.Plan(0));
        Assert.Throws<OverflowException>(() => layer.Plan(int.MaxValue));
        Assert.Throws<ArgumentException>("input", () => layer.Run(ones(5, 4)));
        Assert.Throws<ArgumentException>("input", () => layer.Run(ones(4)));
        Assert.Throws<ArgumentException>("input", () => layer.Run(ones([4, 4], dtype: ScalarType.Float64)));
        Assert.Throws<ArgumentOutOfRangeException>("threads", () => layer.Run(ones(4, 4), -1));
        Tensor x = ones(4, 4), both = ones(12, 4);
        Assert.Throws<ArgumentException>("output", () => layer.Run(x, x));
        Assert.Throws<ArgumentException>("output", () => layer.Run(both.narrow(0, 0, 4), both.narrow(0, 2, 4)));
        Assert.Throws<ArgumentException>("output", () => layer.Run(x, ones(4, 5)));
        Assert.Throws<ArgumentException>("output", () => layer.Run(x, ones(4, 4).t().transpose(0, 1).t()));
        Assert.Throws<ArgumentException>("input", () => layer.Run(ones(4, 4).t(), ones(4, 4)));
        layer.Run(both.narrow(0, 0, 4), both.narrow(0, 4, 4));
        Assert.Equal(4, both[5, 1].item<float>());
    }
}
