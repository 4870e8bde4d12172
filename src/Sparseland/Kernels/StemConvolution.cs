using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>A dense k x k convolution in channel-major layout, such as the first layer of a network: the stream of <see cref="GroupSparseConvolution"/> with every group stored.</summary>
public sealed class StemConvolution : ChannelMajorConvolution
{
    private readonly GroupSparseConvolution _all;

    private StemConvolution(GroupSparseConvolution all)
        : base(all.Inputs, all.Outputs, all.KernelHeight, all.KernelWidth, all.Stride, all.Padding, all.Clamp) => _all = all;

    /// <inheritdoc/>
    public override long StoredWeights => _all.StoredWeights;

    /// <inheritdoc/>
    public override long Bytes => _all.Bytes;

    /// <summary>Takes the weights of a layer; zeros are multiplied like others.</summary>
    /// <param name="weight">[outputs, inputs, rows, columns] or [outputs, inputs], Float32, on the CPU, finite.</param>
    /// <param name="bias">[outputs]; null for zeros.</param>
    /// <param name="stride">Step. Default 1.</param>
    /// <param name="padding">Zeros on each side. Default 1.</param>
    /// <param name="clamp">Where outputs are cut; null, the default, for nowhere.</param>
    /// <exception cref="ArgumentException">A shape, type, device or number does not fit.</exception>
    public static StemConvolution FromDense(Tensor weight, Tensor? bias = null, int stride = 1, int padding = 1, ConvolutionClamp? clamp = null)
    {
        RequireFloats(weight, nameof(weight));
        using DisposeScope scope = NewDisposeScope();
        Tensor every = ones(weight.shape, dtype: ScalarType.Bool);
        return new(GroupSparseConvolution.Pack(weight, every, 4, bias, stride, padding, clamp));
    }

    internal override long ScratchLength(int images, int height, int width) => _all.ScratchLength(images, height, width);

    internal override void Run(Planes input, Planes output, nint scratch, int threads)
    {
        _all.Path = Path;
        _all.Run(input, output, scratch, threads);
    }
}
