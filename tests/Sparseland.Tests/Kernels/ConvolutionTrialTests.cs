using Sparseland.Kernels;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

/// <summary>Convolutions in channel-major layout against five plain loops in float64, with odd sizes, numbers that are not finite and input that does not fit.</summary>
public class ConvolutionTrialTests
{
    /// <summary>[outputs, rows, columns] of one image; weights that are not stored are null.</summary>
    private static double[] Reference(float[] x, int inputs, int high, int wide, Func<int, int, int, int, float?> weight, float[] bias, int outputs, int kh, int kw, int stride, int padding, ConvolutionClamp clamp)
    {
        int rows = ((high + (2 * padding) - kh) / stride) + 1, columns = ((wide + (2 * padding) - kw) / stride) + 1;
        double[] y = new double[outputs * rows * columns];
        for (int o = 0; o < outputs; o++)
        {
            for (int r = 0; r < rows; r++)
            {
                for (int c = 0; c < columns; c++)
                {
                    double sum = bias[o];
                    for (int i = 0; i < inputs; i++)
                    {
                        for (int tr = 0; tr < kh; tr++)
                        {
                            for (int tc = 0; tc < kw; tc++)
                            {
                                if (weight(o, i, tr, tc) is not { } w) continue;
                                int row = (r * stride) + tr - padding, column = (c * stride) + tc - padding;
                                sum += w * (row >= 0 && row < high && column >= 0 && column < wide ? (double)x[(((i * high) + row) * wide) + column] : 0);
                            }
                        }
                    }

                    y[(((o * rows) + r) * columns) + c] = double.IsNaN(sum) ? sum : Math.Min(clamp.Max, Math.Max(clamp.Min, sum));
                }
            }
        }

        return y;
    }

    private static void Close(double[] expected, float[] given, string what)
    {
        Assert.Equal(expected.Length, given.Length);
        for (int i = 0; i < given.Length; i++)
        {
            if (double.IsFinite(expected[i])) Assert.True(Math.Abs(expected[i] - given[i]) < 1e-4, $"{what}, {i}: {given[i]} for {expected[i]}");
            else Assert.True((float)expected[i] == given[i] || (double.IsNaN(expected[i]) && float.IsNaN(given[i])), $"{what}, {i}: {given[i]} for {expected[i]}");
        }
    }

    public static TheoryData<int, int, int, int, int, int, int> Sizes => new()
    {
        // high, wide, kernel rows, kernel columns, stride, padding, outputs
        { 1, 1, 1, 1, 1, 0, 1 }, { 5, 7, 3, 3, 1, 1, 5 }, { 9, 33, 3, 3, 2, 1, 7 }, { 8, 19, 5, 1, 3, 2, 17 }, { 3, 70, 1, 5, 1, 0, 9 }, { 6, 6, 1, 1, 2, 0, 3 }, { 4, 5, 1, 1, 1, 2, 18 }, { 7, 7, 7, 7, 1, 0, 2 },
        { 2, 2, 3, 3, 5, 1, 4 }, { 4, 140, 2, 3, 1, 3, 16 },
    };

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Groups_of_any_size_give_the_loops(int high, int wide, int kh, int kw, int stride, int padding, int outputs)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new((ulong)(high + wide + outputs));
        const int inputs = 3;
        Tensor x = randn([inputs, high, wide], generator: generator), bias = randn([outputs], generator: generator);
        x[1, 0, 0] = float.PositiveInfinity;
        if (wide > 1) x[2, high - 1, wide - 1] = float.NaN;
        foreach (int n in new[] { 1, 2, 4, 8, 16 })
        {
            int blocks = (outputs + n - 1) / n;
            bool[] kept = [.. rand([blocks * inputs], generator: generator).data<float>().ToArray().Select(u => u < 0.6f)];
            Tensor mask = tensor(kept, [blocks, 1, inputs]).expand(blocks, n, inputs).reshape(blocks * n, inputs).narrow(0, 0, outputs).view(outputs, inputs, 1, 1).expand(outputs, inputs, kh, kw);
            Tensor weight = randn([outputs, inputs, kh, kw], generator: generator);
            weight[0, 0, 0, 0] = 0;
            float[] w = weight.data<float>().ToArray();
            foreach (ConvolutionClamp clamp in new[] { ConvolutionClamp.None, ConvolutionClamp.Relu6 })
            {
                double[] expected = Reference(
                    x.data<float>().ToArray(), inputs, high, wide, (o, i, r, c) => kept[((o / n) * inputs) + i] ? w[(((((o * inputs) + i) * kh) + r) * kw) + c] : null, bias.data<float>().ToArray(), outputs, kh, kw, stride, padding, clamp);
                foreach (GroupForm form in n >= 8 ? new[] { GroupForm.Positions, GroupForm.Channels } : [GroupForm.Positions])
                {
                    GroupSparseConvolution layer = GroupSparseConvolution.Pack(weight, mask, n, bias, stride, padding, clamp, form);
                    Assert.True(layer.ToDense().equal(where(mask, weight, zeros(1))).all().item<bool>());
                    foreach (KernelPath path in KernelPaths.All)
                    {
                        layer.Path = path;
                        foreach (int threads in new[] { 1, 2 }) Close(expected, layer.Run(x, threads).data<float>().ToArray(), $"{n}, {form}, {path}, {clamp}");

                        // Two images beside each other in each channel, the second one first.
                        Tensor two = stack([x * 0 + 1, x], 1);
                        Close(expected, layer.Run(two).select(1, 1).contiguous().data<float>().ToArray(), $"two images, {n}, {form}, {path}");
                    }
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Depthwise_and_dense_ones_give_the_loops(int high, int wide, int kh, int kw, int stride, int padding, int channels)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new((ulong)(high + wide + channels));
        Tensor x = randn([channels, high, wide], generator: generator), bias = randn([channels], generator: generator), weight = randn([channels, 1, kh, kw], generator: generator), stem = randn([4, channels, kh, kw], generator: generator);
        x[0, 0, 0] = float.NegativeInfinity;
        float[] w = weight.data<float>().ToArray(), s = stem.data<float>().ToArray(), b = bias.data<float>().ToArray();
        double[] expected = Reference(x.data<float>().ToArray(), channels, high, wide, (o, i, r, c) => o == i ? w[(((o * kh) + r) * kw) + c] : null, b, channels, kh, kw, stride, padding, ConvolutionClamp.Relu);
        double[] dense = Reference(x.data<float>().ToArray(), channels, high, wide, (o, i, r, c) => s[(((((o * channels) + i) * kh) + r) * kw) + c], new float[4], 4, kh, kw, stride, padding, ConvolutionClamp.None);
        DepthwiseConvolution layer = DepthwiseConvolution.FromDense(weight, bias, stride, padding, ConvolutionClamp.Relu);
        StemConvolution whole = StemConvolution.FromDense(stem, null, stride, padding);
        foreach (KernelPath path in KernelPaths.All)
        {
            (layer.Path, whole.Path) = (path, path);
            foreach (int threads in new[] { 1, 2 })
            {
                Close(expected, layer.Run(x, threads).data<float>().ToArray(), $"depthwise, {path}");
                Close(dense, whole.Run(x, threads).data<float>().ToArray(), $"dense, {path}");
            }
        }
    }

    [Fact]
    public void Every_number_of_positions_gives_the_loops_bit_for_bit_on_every_path()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(2);
        Tensor weight = randn([11, 6], generator: generator) * rand([11, 6], generator: generator).lt(0.4), bias = randn([11], generator: generator);
        float[] w = weight.data<float>().ToArray(), b = bias.data<float>().ToArray();
        for (int positions = 0; positions <= 140; positions += positions < 36 ? 1 : 13)
        {
            Tensor x = randn([6, positions], generator: generator);
            float[] from = SparseConvolution1x1Tests.Bits(x);

            // With one output a block the order is that of the stored weights, one rounding each, from the bias.
            int[] expected = new int[11 * positions];
            for (int o = 0; o < 11; o++)
            {
                for (int p = 0; p < positions; p++)
                {
                    float sum = b[o];
                    for (int i = 0; i < 6; i++)
                    {
                        if (w[(o * 6) + i] != 0) sum = MathF.FusedMultiplyAdd(w[(o * 6) + i], from[(i * positions) + p], sum);
                    }

                    expected[(o * positions) + p] = BitConverter.SingleToInt32Bits(sum);
                }
            }

            foreach (int rows in new[] { 1, 2, 4 })
            {
                foreach (int strip in new[] { 16, 32, 64 })
                {
                    SparseConvolution1x1 layer = SparseConvolution1x1.FromDense(weight, bias, null, rows, null, strip);
                    foreach (KernelPath path in KernelPaths.All)
                    {
                        layer.Path = path;
                        Assert.Equal(expected, SparseConvolution1x1Tests.Bits(layer.Run(x)).Select(BitConverter.SingleToInt32Bits));
                    }
                }
            }
        }
    }

    [Fact]
    public void A_weight_outside_the_support_may_be_anything()
    {
        using var scope = NewDisposeScope();
        Tensor weight = tensor(new float[] { float.NaN, 2, float.PositiveInfinity, 3 }, [2, 2]);
        var support = new Support(2, 2, [0, 1, 2], [1, 1]);
        Tensor y = SparseConvolution1x1.FromDense(weight, null, support).Run(ones(2, 5));
        Assert.True(y.equal(tensor(new float[] { 2, 3 }).view(2, 1).expand(2, 5)).all().item<bool>());
        Assert.Throws<ArgumentException>("weight", () => SparseConvolution1x1.FromDense(weight, null, new Support(2, 2, [0, 1, 2], [0, 1])));
        Tensor mask = tensor(new[] { false, true, false, true }, [2, 2]);
        Assert.True(GroupSparseConvolution.Pack(weight, mask, 1).Run(ones(2, 5)).equal(y).all().item<bool>());
    }

    [Fact]
    public void No_inputs_no_outputs_no_positions()
    {
        using var scope = NewDisposeScope();
        Tensor bias = tensor(new float[] { 1, -2 });
        Assert.True(SparseConvolution1x1.FromDense(zeros(2, 0), bias).Run(zeros(0, 5)).equal(bias.view(2, 1).expand(2, 5)).all().item<bool>());
        Assert.Equal([0, 5], SparseConvolution1x1.FromDense(zeros(0, 3)).Run(zeros(3, 5)).shape);
        Assert.Equal([2, 0, 4], SparseConvolution1x1.FromDense(ones(2, 3)).Run(zeros(3, 0, 4)).shape);
        Assert.Equal([2, 0, 4, 4], GroupSparseConvolution.Pack(ones(2, 3, 3, 3), null, 1, padding: 1).Run(zeros(3, 0, 4, 4)).shape);
        GroupSparseConvolution none = GroupSparseConvolution.Pack(zeros(2, 3, 3, 3), null, 2, bias, padding: 1);
        Assert.True(none.Run(full([3, 4, 4], float.NaN)).equal(bias.view(2, 1, 1).expand(2, 4, 4)).all().item<bool>());
        Assert.Equal(1, none.Sparsity);
        Assert.Equal([0, 4, 4], DepthwiseConvolution.FromDense(zeros(0, 1, 3, 3)).Run(zeros(0, 4, 4)).shape);
    }

    [Fact]
    public void What_does_not_fit_is_refused_by_name()
    {
        using var scope = NewDisposeScope();
        Tensor weight = ones(8, 4, 3, 3);
        Assert.Throws<ArgumentNullException>(() => GroupSparseConvolution.Pack(null!));
        Assert.Throws<ArgumentNullException>(() => SparseConvolution1x1.FromDense(null!));
        Assert.Throws<ArgumentNullException>(() => DepthwiseConvolution.FromDense(null!));
        Assert.Throws<ArgumentNullException>(() => StemConvolution.FromDense(null!));
        foreach (int n in new[] { 0, -1, 3, 32 }) Assert.Throws<ArgumentOutOfRangeException>(() => GroupSparseConvolution.Pack(weight, null, n));
        Assert.ThrowsAny<ArgumentException>(() => GroupSparseConvolution.Pack(weight, null, 4, form: (GroupForm)7));
        Assert.ThrowsAny<ArgumentException>(() => GroupSparseConvolution.Pack(weight, null, 16, form: (GroupForm)7));
        Assert.ThrowsAny<ArgumentException>(() => GroupSparseConvolution.Pack(weight, null, 4, stride: 0));
        Assert.ThrowsAny<ArgumentException>(() => GroupSparseConvolution.Pack(weight, null, 4, padding: -1));
        Assert.ThrowsAny<ArgumentException>(() => GroupSparseConvolution.Pack(weight, ones([8, 4, 3, 3]), 4));
        Assert.ThrowsAny<ArgumentException>(() => GroupSparseConvolution.Pack(weight, ones([8, 4], dtype: ScalarType.Bool), 4));
        GroupSparseConvolution layer = GroupSparseConvolution.Pack(weight, null, 8);
        Assert.ThrowsAny<ArgumentException>(() => layer.Run(ones(4, 2, 2)));
        Assert.ThrowsAny<ArgumentException>(() => layer.Run(ones(4, 9)));
        Assert.ThrowsAny<ArgumentException>(() => layer.Run(ones(3, 9, 9)));
        Assert.ThrowsAny<ArgumentException>(() => layer.Run(ones([4, 9, 9], dtype: ScalarType.Float64)));
        Assert.ThrowsAny<ArgumentException>(() => layer.Run(ones(4, 9, 9), -1));
        Assert.ThrowsAny<ArgumentException>(() => layer.Run(ones(4, 9, 9), ones(8, 7, 8)));
        Assert.ThrowsAny<ArgumentException>(() => layer.Run(ones(4, 9, 9), ones(8, 7, 7).permute(0, 2, 1)));
        Assert.ThrowsAny<ArgumentException>(() => layer.Run(ones(9, 4, 9).permute(1, 0, 2), ones(8, 7, 7)));
        Tensor shared = ones(2000);
        Assert.ThrowsAny<ArgumentException>(() => layer.Run(shared.narrow(0, 0, 324).view(4, 9, 9), shared.narrow(0, 300, 392).view(8, 7, 7)));
        Assert.ThrowsAny<ArgumentException>(() => layer.Run(null!));

        // Views are copied, gradients not recorded.
        Tensor x = randn(9, 4, 9);
        Assert.True(layer.Run(x.permute(1, 0, 2)).equal(layer.Run(x.permute(1, 0, 2).contiguous())).all().item<bool>());
        Assert.False(layer.Run(ones([4, 9, 9], requires_grad: true)).requires_grad);
    }
}
