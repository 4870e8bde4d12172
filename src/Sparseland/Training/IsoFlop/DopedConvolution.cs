using static TorchSharp.torch;

namespace Sparseland.Training.IsoFlop;

/// <summary>Sparse Doped's convolution: W and U have the kernel, V is 1 x 1; <see cref="IsoFlopConvolution.Of"/> makes it.</summary>
public sealed class DopedConvolution : DopedLayer
{
    private readonly ConvolutionKernel _kernel;

    internal DopedConvolution(ConvolutionKernel kernel, long[] weight, int rank)
        : base(nameof(DopedConvolution), weight, rank) => _kernel = kernel;

    private protected override Tensor Product(Tensor input, Tensor weight) => _kernel.Apply(input, weight, null);

    private protected override Tensor Back(Tensor inner, Tensor weight) => nn.functional.conv2d(inner, weight);
}
