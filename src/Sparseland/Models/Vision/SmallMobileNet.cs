using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models.Vision;

/// <summary>Sizes of a <see cref="SmallMobileNet"/>.</summary>
public sealed record SmallMobileNetOptions
{
    /// <summary>Channels of the images. Default 3.</summary>
    public int Channels { get; init; } = 3;

    /// <summary>Classes. Default 10.</summary>
    public int Classes { get; init; } = 10;

    /// <summary>Factor of all widths, which are then rounded to multiples of 4, and at least 4. Default 1.</summary>
    public double Width { get; init; } = 1;

    /// <summary>Filters of the first convolution. Default 32.</summary>
    public int Stem { get; init; } = 32;

    /// <summary>Step of the first convolution. Default 2.</summary>
    public int Stride { get; init; } = 2;

    /// <summary>Outputs of each block. Default 64, 128, 128, 256, 256, 256.</summary>
    public IReadOnlyList<int> Blocks { get; init; } = [64, 128, 128, 256, 256, 256];

    /// <summary>Steps of the blocks. Default 1, 2, 1, 2, 1, 1.</summary>
    public IReadOnlyList<int> Strides { get; init; } = [1, 2, 1, 2, 1, 1];

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentException">A number is out of its range, or blocks and strides are not as many.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Channels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Classes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Stem);
        Finite.Positive(Width);
        if (Stride is not (1 or 2)) throw new ArgumentOutOfRangeException(nameof(Stride), Stride, $"{nameof(Stride)} must be 1 or 2.");
        if (Blocks is null || Blocks.Count == 0 || Blocks.Any(b => b < 1)) throw new ArgumentException($"{nameof(Blocks)} are [{string.Join(", ", Blocks ?? [])}]; they must be one or more positive numbers.", nameof(Blocks));
        if (Strides is null || Strides.Count != Blocks.Count || Strides.Any(s => s is not (1 or 2)))
            throw new ArgumentException($"{nameof(Strides)} are [{string.Join(", ", Strides ?? [])}]; there must be one for each block, 1 or 2.", nameof(Strides));
    }

    internal int Wide(int channels) => Math.Max(4, (int)Math.Round(channels * Width / 4) * 4);
}

/// <summary>
/// A small network of depthwise-separable convolutions (MobileNet, Howard et al. 2017): a 3 x 3 stem, then blocks of a 3 x 3 depthwise and a 1 x 1 convolution, each with batch norm and ReLU, the mean over the places
/// and a linear head. Nearly all its weights stand in the 1 x 1 convolutions.
/// </summary>
public static class SmallMobileNet
{
    /// <summary>Layers stem, stem_bn, stem_relu, block1 (dw, dw_bn, dw_relu, pw, pw_bn, pw_relu), ..., mean, flatten, head, with the first weights of <see cref="SmallClassifiers"/>.</summary>
    /// <param name="options">Sizes; null for the defaults.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentException">A size is out of its range.</exception>
    public static Sequential Of(SmallMobileNetOptions? options = null, long seed = 1)
    {
        options ??= new();
        options.Validate();
        int from = options.Wide(options.Stem);
        var layers = new List<(string, Module<Tensor, Tensor>)>
        {
            ("stem", Conv2d(options.Channels, from, 3, stride: options.Stride, padding: 1, bias: false)), ("stem_bn", BatchNorm2d(from)), ("stem_relu", ReLU()),
        };
        for (int i = 0; i < options.Blocks.Count; i++)
        {
            int to = options.Wide(options.Blocks[i]);
            layers.Add(($"block{i + 1}", Sequential(
                ("dw", Conv2d(from, from, 3, stride: options.Strides[i], padding: 1, groups: from, bias: false)), ("dw_bn", BatchNorm2d(from)), ("dw_relu", ReLU()),
                ("pw", Conv2d(from, to, 1, bias: false)), ("pw_bn", BatchNorm2d(to)), ("pw_relu", ReLU()))));
            from = to;
        }

        layers.Add(("mean", AdaptiveAvgPool2d(1)));
        layers.Add(("flatten", Flatten()));
        layers.Add(("head", Linear(from, options.Classes)));
        return SmallClassifiers.Start(new ImageSequential([.. layers]), seed);
    }

    /// <summary>Names of the 1 x 1 convolutions' weights: what is pruned.</summary>
    /// <param name="network">A network of <see cref="Of"/>.</param>
    public static IReadOnlyList<string> Pointwise(Sequential network)
    {
        ArgumentNullException.ThrowIfNull(network);
        return [.. network.named_parameters().Where(p => p.name.EndsWith(".pw.weight", StringComparison.Ordinal)).Select(p => p.name)];
    }
}
