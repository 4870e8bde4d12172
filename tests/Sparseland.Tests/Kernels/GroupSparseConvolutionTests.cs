using Sparseland.Kernels;
using TorchSharp;
using static Sparseland.Tests.Kernels.SparseConvolution1x1Tests;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

public class GroupSparseConvolutionTests
{
    /// <summary>A mask of whole groups of n outputs, one input and the kernel.</summary>
    internal static Tensor GroupMask(long seed, int n, double sparsity, long outputs, long inputs, long high, long wide)
    {
        using var generator = new Generator((ulong)seed);
        Tensor groups = rand([(outputs + n - 1) / n, inputs], generator: generator).ge(sparsity);
        return groups.repeat_interleave(n, 0).narrow(0, 0, outputs).view(outputs, inputs, 1, 1).expand(outputs, inputs, high, wide).contiguous();
    }

    [Theory]
    [InlineData(1, 1, 1, 1, 0)]
    [InlineData(4, 1, 1, 1, 0)]
    [InlineData(8, 1, 1, 1, 0)]
    [InlineData(16, 1, 1, 1, 0)]
    [InlineData(16, 1, 1, 2, 0)]
    [InlineData(8, 1, 1, 1, 1)]
    [InlineData(4, 3, 3, 1, 1)]
    [InlineData(8, 3, 3, 2, 1)]
    [InlineData(16, 3, 3, 2, 0)]
    [InlineData(16, 5, 5, 1, 2)]
    [InlineData(8, 3, 5, 3, 2)]
    [InlineData(2, 2, 2, 2, 0)]
    public void Both_forms_are_libtorchs_convolution_with_masked_weights(int n, int high, int wide, int stride, int padding)
    {
        using var scope = NewDisposeScope();

        // 37 outputs: the last group of any N above 1 is short.
        const int outputs = 37, inputs = 11;
        Tensor mask = GroupMask(1, n, 0.6, outputs, inputs, high, wide), dense = Normal(2, outputs, inputs, high, wide), weight = dense.masked_fill(mask.logical_not(), 0), bias = Normal(3, outputs);
        foreach ((int images, int rows, int columns) in new[] { (1, 7, 7), (2, 9, 30), (1, 6, 70), (3, 5, 5) })
        {
            Tensor x = Normal(4, inputs, images, rows, columns);
            Tensor theirs = nn.functional.conv2d(x.permute(1, 0, 2, 3), weight, bias, [stride, stride], [padding, padding]).permute(1, 0, 2, 3).clamp(0, 2);
            float[]? first = null;
            foreach (GroupForm form in n < 8 ? [GroupForm.Positions] : Enum.GetValues<GroupForm>())
            {
                GroupSparseConvolution packed = GroupSparseConvolution.Pack(dense, mask, n, bias, stride, padding, new(0, 2), form);
                Assert.True(packed.ToDense().equal(weight).all().item<bool>());
                foreach (KernelPath path in KernelPaths.All)
                {
                    packed.Path = path;
                    foreach (int threads in new[] { 1, 2 })
                    {
                        Tensor y = packed.Run(x, threads);
                        Assert.Equal(theirs.shape, y.shape);
                        Assert.InRange(Error(y, theirs), 0, 1e-5);
                        Assert.Equal(first ??= Bits(y), Bits(y));
                    }
                }
            }
        }
    }

    [Theory]
    [InlineData(GroupForm.Positions, 28)]
    [InlineData(GroupForm.Channels, 28)]
    [InlineData(GroupForm.Channels, 6)]
    public void Many_threads_give_the_same_bits(GroupForm form, int side)
    {
        using var scope = NewDisposeScope();
        GroupSparseConvolution packed = GroupSparseConvolution.Pack(Normal(1, 132, 96, 3, 3), GroupMask(2, 16, 0.5, 132, 96, 3, 3), 16, padding: 1, form: form);
        Tensor x = Normal(3, 96, side, side);
        Assert.True(packed.StoredWeights * side * side > WeightStream.OneThread);
        float[] one = Bits(packed.Run(x, 1));
        foreach (int threads in new[] { 2, 3, 8 }) Assert.Equal(one, Bits(packed.Run(x, threads)));
    }

    // Two blocks of 4 outputs (the second short by two), three inputs.
    [Fact]
    public void The_packed_form_of_a_small_matrix_is_the_one_made_by_hand()
    {
        using var scope = NewDisposeScope();
        Tensor weight = zeros(6, 3);
        for (int row = 0; row < 4; row++) weight[row, 1] = row + 1f;
        (weight[4, 0], weight[5, 2]) = (7f, 9f);
        GroupSparseConvolution packed = GroupSparseConvolution.Pack(weight, null, 4);
        Assert.Equal([1, 2], packed.Counts);
        Assert.Equal([1, 0, 2], packed.InputChannels.Select(i => (int)i));
        Assert.Equal(12, packed.StoredWeights);
        Assert.Equal(1 - (8 / 18.0), packed.Sparsity, 12);
        Assert.True(packed.ToDense().view(6, 3).equal(weight).all().item<bool>());
    }

    [Fact]
    public void The_dense_stem_multiplies_zeros_too()
    {
        using var scope = NewDisposeScope();
        Tensor weight = Sparse(1, 0.5, 10, 3, 3, 3), bias = Normal(2, 10), x = Normal(3, 3, 2, 17, 20);
        StemConvolution stem = StemConvolution.FromDense(weight, bias, 2, 1, ConvolutionClamp.Relu);
        Assert.Equal(12 * 27, stem.StoredWeights);
        foreach (KernelPath path in KernelPaths.All)
        {
            stem.Path = path;
            Assert.InRange(Error(stem.Run(x), nn.functional.conv2d(x.permute(1, 0, 2, 3), weight, bias, [2, 2], [1, 1]).relu().permute(1, 0, 2, 3)), 0, 1e-5);
        }
    }

    [Theory]
    [InlineData(3, 1, 1)]
    [InlineData(3, 2, 1)]
    [InlineData(5, 1, 2)]
    [InlineData(5, 2, 2)]
    [InlineData(3, 3, 0)]
    public void A_depthwise_convolution_is_libtorchs(int kernel, int stride, int padding)
    {
        using var scope = NewDisposeScope();
        Tensor weight = Normal(1, 7, 1, kernel, kernel), bias = Normal(2, 7);
        foreach ((int images, int rows, int columns) in new[] { (1, 28, 28), (2, 14, 14), (3, 7, 9), (1, 5, 40) })
        {
            Tensor x = Normal(3, 7, images, rows, columns);
            Tensor theirs = nn.functional.conv2d(x.permute(1, 0, 2, 3), weight, bias, [stride, stride], [padding, padding], groups: 7).clamp(0, 6).permute(1, 0, 2, 3);
            float[]? first = null;
            DepthwiseConvolution layer = DepthwiseConvolution.FromDense(weight, bias, stride, padding, ConvolutionClamp.Relu6);
            foreach (KernelPath path in KernelPaths.All)
            {
                layer.Path = path;
                foreach (int threads in new[] { 1, 2 })
                {
                    Tensor y = layer.Run(x, threads);
                    Assert.InRange(Error(y, theirs), 0, 1e-5);
                    Assert.Equal(first ??= Bits(y), Bits(y));
                }
            }
        }
    }

    [Fact]
    public void Bad_input_is_refused_by_name()
    {
        using var scope = NewDisposeScope();
        Tensor weight = ones(8, 4, 3, 3), mask = ones([8, 4, 3, 3], dtype: ScalarType.Bool);
        mask[5, 2, 1, 1] = false;
        ArgumentException part = Assert.Throws<ArgumentException>("mask", () => GroupSparseConvolution.Pack(weight, mask, 4));
        Assert.Contains("outputs 4 to 7 and input 2", part.Message);
        Assert.Throws<ArgumentException>("mask", () => GroupSparseConvolution.Pack(weight, ones([8, 4], dtype: ScalarType.Bool)));
        Assert.Throws<ArgumentException>("mask", () => GroupSparseConvolution.Pack(weight, ones(8, 4, 3, 3)));
        Assert.Throws<ArgumentOutOfRangeException>("groupOutputs", () => GroupSparseConvolution.Pack(weight, null, 5));
        Assert.Throws<ArgumentException>("form", () => GroupSparseConvolution.Pack(weight, null, 4, form: GroupForm.Channels));
        Assert.Throws<ArgumentException>("weight", () => GroupSparseConvolution.Pack(ones(4)));
        Assert.Throws<ArgumentException>("weight", () => DepthwiseConvolution.FromDense(weight));
        Assert.Throws<ArgumentOutOfRangeException>("stride", () => GroupSparseConvolution.Pack(weight, stride: 0));
        Assert.Throws<ArgumentOutOfRangeException>("padding", () => DepthwiseConvolution.FromDense(ones(4, 1, 3, 3), padding: -1));
        GroupSparseConvolution packed = GroupSparseConvolution.Pack(weight);
        Assert.Throws<ArgumentException>("input", () => packed.Run(ones(4, 2, 2)));
        Assert.Throws<ArgumentException>("input", () => packed.Run(ones(4, 20)));
        Assert.Throws<ArgumentException>("input", () => packed.Run(ones(1, 3, 20, 20)));
    }
}
