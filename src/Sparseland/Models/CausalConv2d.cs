using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Models;

/// <summary>
/// A convolution over images whose rows are times and whose columns are places: a row sees itself and the rows above it, (kernel - 1) dilation of them at most; columns are filled up with zeros
/// on both sides. The image keeps its size (the causal form of the convolutions of SEA, Lee et al. 2024, and of WaveNet in one more dimension).
/// </summary>
public sealed class CausalConv2d : nn.Module<Tensor, Tensor>
{
    // Named as registered: conversions replace registered fields.
    private readonly Parameter weight;
    private readonly Parameter bias;

    /// <summary>Draws the weights: uniform up to 1 / sqrt(inChannels kernel^2) on both sides of 0; biases are 0.</summary>
    /// <param name="inChannels">Channels of the input, positive.</param>
    /// <param name="outChannels">Channels of the output, positive.</param>
    /// <param name="kernel">Rows and columns of the kernel, positive and odd. Default 3.</param>
    /// <param name="dilation">Rows and columns from one of its cells to the next, positive. Default 1.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentException">A size is out of its range.</exception>
    public CausalConv2d(int inChannels, int outChannels, int kernel = 3, int dilation = 1, long seed = 1)
        : base(nameof(CausalConv2d))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inChannels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outChannels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(dilation);
        if (kernel < 1 || kernel % 2 == 0) throw new ArgumentOutOfRangeException(nameof(kernel), kernel, "kernel must be positive and odd, so that columns have as many neighbours on both sides.");
        (InChannels, OutChannels, Kernel, Dilation) = (inChannels, outChannels, kernel, dilation);
        using var generator = new Generator(unchecked((ulong)seed));
        using DisposeScope scope = NewDisposeScope();
        double reach = 1 / Math.Sqrt((double)inChannels * kernel * kernel);
        weight = new Parameter(rand(new long[] { outChannels, inChannels, kernel, kernel }, generator: generator).mul_(2 * reach).sub_(reach).DetachFromDisposeScope());
        bias = new Parameter(zeros(outChannels).DetachFromDisposeScope());
        weight.DetachFromDisposeScope();
        bias.DetachFromDisposeScope();
        RegisterComponents();
    }

    /// <summary>Channels of the input.</summary>
    public int InChannels { get; }

    /// <summary>Channels of the output.</summary>
    public int OutChannels { get; }

    /// <summary>Rows and columns of the kernel.</summary>
    public int Kernel { get; }

    /// <summary>Rows and columns from one of its cells to the next.</summary>
    public int Dilation { get; }

    /// <summary>The convolved images.</summary>
    /// <param name="input">[batch, inChannels, times, places].</param>
    /// <returns>[batch, outChannels, times, places].</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() != 4 || input.shape[1] != InChannels || input.numel() == 0)
            throw new ArgumentException($"input must be [batch, {InChannels}, times, places] and not empty, but is [{string.Join(", ", input.shape)}].", nameof(input));
        using DisposeScope scope = NewDisposeScope();
        long above = (Kernel - 1L) * Dilation;
        Tensor padded = above == 0 ? input : nn.functional.pad(input, [0, 0, above, 0]);
        return scope.MoveToOuter(nn.functional.conv2d(padded, weight, bias, padding: [0, above / 2], dilation: [Dilation, Dilation]));
    }
}
