using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training.IsoFlop;

/// <summary>Sparse Parallel's convolution, from [samples, channels, rows, columns]; <see cref="IsoFlopConvolution.Of"/> makes it.</summary>
public sealed class ParallelConvolution : ParallelLayer
{
    private readonly ConvolutionKernel _kernel;
    private readonly long[] _shape;

    internal ParallelConvolution(ConvolutionKernel kernel, long[] weight, int branches, InnerActivation inner)
        : base(nameof(ParallelConvolution), weight, branches, inner, n => nn.BatchNorm2d(n)) => (_kernel, _shape) = (kernel, weight);

    /// <summary>One convolution that computes the same at inference, the norms' scales and shifts folded in. k masks of density 1 - s leave it a density of about 1 - s^k: smaller than the branches.</summary>
    /// <returns>A new convolution with bias; the caller disposes it.</returns>
    /// <exception cref="InvalidOperationException">There is a ReLU in each branch: the sum is no linear map.</exception>
    public Conv2d Fold() => FoldInto((type, device) => _kernel.Layer(_shape[1], _shape[0], _shape, bias: true, type, device), layer => (layer.weight, layer.bias!));

    private protected override Tensor Product(Tensor input, Tensor weight) => _kernel.Apply(input, weight, null);
}
