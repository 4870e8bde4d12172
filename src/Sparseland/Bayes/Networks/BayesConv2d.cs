using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Bayes.Networks;

/// <summary>
/// A convolution of normal weights. Its noise is drawn for each output pixel by itself, although pixels share weights: an approximation beyond that of the linear layer, and the usual one.
/// </summary>
public sealed class BayesConv2d : BayesLayer
{
    private readonly long[] _stride, _padding, _dilation;
    private readonly long _groups;

    /// <summary>The means are a convolution's weights.</summary>
    /// <param name="convolution">The convolution, padded with zeros; copied.</param>
    /// <param name="sigma">First deviation of all weights, positive. Default 0.02.</param>
    /// <exception cref="ArgumentException">The deviation is not positive and finite, or the padding is not of zeros.</exception>
    public BayesConv2d(Conv2d convolution, double sigma = 0.02)
        : base(nameof(BayesConv2d), (convolution ?? throw new ArgumentNullException(nameof(convolution))).weight, convolution.bias, sigma)
    {
        if (convolution.padding_type is not null || convolution.padding_mode != PaddingModes.Zeros)
            throw new ArgumentException($"The convolution has {convolution.padding_mode} {convolution.padding_type?.ToString() ?? "padding"}; zeros of a given number are known here.", nameof(convolution));
        (_stride, _padding, _dilation, _groups) = ([.. convolution.stride ?? [1, 1]], [.. convolution.padding ?? [0, 0]], [.. convolution.dilation ?? [1, 1]], convolution.groups);
    }

    /// <inheritdoc/>
    public override string ToString() => $"BayesConv2d [{string.Join(", ", Mu.shape)}]";

    private protected override Tensor Apply(Tensor input, Tensor weight, Tensor? bias) => nn.functional.conv2d(input, weight, bias, _stride, _padding, _dilation, _groups);
}
