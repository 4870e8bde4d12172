using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>How a two-dimensional convolution with zeros beyond the edge moves over its input: for layers that compute with weights of their own.</summary>
internal sealed record ConvolutionKernel(long[] Strides, long[] Padding, long[] Dilation, long Groups)
{
    /// <summary>That of a layer.</summary>
    /// <exception cref="ArgumentException">Another kind of padding.</exception>
    public static ConvolutionKernel Of(Conv2d layer)
    {
        if (layer.padding_type is not null || layer.padding_mode != PaddingModes.Zeros)
            throw new ArgumentException($"The convolution has {layer.padding_mode} {layer.padding_type?.ToString() ?? "padding"}; zeros of a given number are known here.", nameof(layer));
        return new([.. layer.stride ?? [1, 1]], [.. layer.padding ?? [0, 0]], [.. layer.dilation ?? [1, 1]], layer.groups);
    }

    /// <summary>A convolution like this one, with other numbers of channels.</summary>
    public Conv2d Layer(long inputs, long outputs, long[] weightShape, bool bias = false, ScalarType? type = null, Device? device = null) => nn.Conv2d(
        inputs, outputs, (weightShape[2], weightShape[3]), (Strides[0], Strides[^1]), (Padding[0], Padding[^1]), (Dilation[0], Dilation[^1]), groups: Groups, bias: bias, device: device, dtype: type);

    public Tensor Apply(Tensor input, Tensor weight, Tensor? bias) => nn.functional.conv2d(input, weight, bias, Strides, Padding, Dilation, Groups);
}
