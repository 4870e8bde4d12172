using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training.ArchitectureSearch;

/// <summary>An operation that a layer may be: channels and size stay. Parametric ones are ReLU, convolutions with learned masks, batch norm, in this order (DARTS, Liu et al. 2019, arXiv 1806.09055).</summary>
/// <param name="Name">Name, unique in a space.</param>
/// <param name="Weights">Weights of its convolutions, from the number of channels; 0 for skip and pooling.</param>
/// <param name="Make">Makes one, from channels, whether its batch norm has a gain and shift, and the generator of its first weights.</param>
public sealed record SearchOperation(string Name, Func<int, int> Weights, Func<int, bool, Generator, nn.Module<Tensor, Tensor>> Make)
{
    /// <summary>Nothing: the input itself.</summary>
    public static SearchOperation Skip { get; } = new("skip", _ => 0, (_, _, _) => nn.Identity());

    /// <summary>The largest of 3 x 3, then batch norm.</summary>
    public static SearchOperation MaxPool { get; } = new("max pool", _ => 0, (channels, affine, _) => nn.Sequential(nn.MaxPool2d(3, 1, 1), Norm(channels, affine)));

    /// <summary>The mean of 3 x 3, then batch norm.</summary>
    public static SearchOperation AveragePool { get; } = new("average pool", _ => 0, (channels, affine, _) => nn.Sequential(nn.AvgPool2d(3, 1, 1), Norm(channels, affine)));

    /// <summary>A full convolution: the operation that enters a space because it can be sparse.</summary>
    /// <param name="size">Rows and columns of the kernel, odd.</param>
    public static SearchOperation Convolution(int size) => new(
        $"conv {size}x{size}", channels => channels * channels * size * size, (channels, affine, generator) => nn.Sequential(nn.ReLU(), new ScoredConv2d(channels, channels, size, generator), Norm(channels, affine)));

    /// <summary>One convolution within each channel and one that mixes them; dilated where asked for.</summary>
    /// <param name="size">Rows and columns of the kernel, odd.</param>
    /// <param name="dilation">Steps between taps. Default 1.</param>
    public static SearchOperation Separable(int size, int dilation = 1) => new(
        $"{(dilation > 1 ? "dilated " : "")}separable {size}x{size}", channels => (channels * size * size) + (channels * channels),
        (channels, affine, generator) => nn.Sequential(
            nn.ReLU(), new ScoredConv2d(channels, channels, size, generator, groups: channels, dilation: dilation), new ScoredConv2d(channels, channels, 1, generator), Norm(channels, affine)));

    /// <inheritdoc/>
    public override string ToString() => Name;

    private static BatchNorm2d Norm(int channels, bool affine) => nn.BatchNorm2d(channels, affine: affine);
}
