using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models;

/// <summary>Small classifiers whose weights depend on a seed alone: normal with variance 2/inputs (He et al. 2015), biases 0.</summary>
public static class SmallClassifiers
{
    /// <summary>Multi-layer perceptron: fc1, relu1, fc2, ..., head.</summary>
    /// <param name="widths">Inputs, hidden widths, classes; at least two numbers.</param>
    /// <param name="seed">Seed of the weights.</param>
    /// <param name="batchNorm">Whether a batch norm stands behind each hidden layer: fc1, bn1, relu1, .... Default false.</param>
    /// <exception cref="ArgumentException">Fewer than two widths, or one that is not positive.</exception>
    public static Sequential Mlp(IReadOnlyList<int> widths, long seed, bool batchNorm = false)
    {
        ArgumentNullException.ThrowIfNull(widths);
        if (widths.Count < 2 || widths.Any(w => w < 1))
            throw new ArgumentException($"widths are [{string.Join(", ", widths)}]; they must be two or more positive numbers.", nameof(widths));
        var layers = new List<(string, Module<Tensor, Tensor>)>();
        for (int i = 1; i < widths.Count; i++)
        {
            bool last = i == widths.Count - 1;
            layers.Add((last ? "head" : $"fc{i}", Linear(widths[i - 1], widths[i])));
            if (!last && batchNorm) layers.Add(($"bn{i}", BatchNorm1d(widths[i])));
            if (!last) layers.Add(($"relu{i}", ReLU()));
        }

        return Start(Sequential(layers), seed);
    }

    /// <summary>
    /// Convolutional network for one-channel square images: per block a 3 x 3 convolution without bias, batch norm, ReLU and 2 x 2
    /// max-pooling (conv1, bn1, relu1, pool1, ...), then flatten and head.
    /// </summary>
    /// <param name="side">Rows and columns of an image.</param>
    /// <param name="channels">Filters of each block.</param>
    /// <param name="classes">Classes.</param>
    /// <param name="seed">Seed of the weights.</param>
    /// <exception cref="ArgumentException">A number is not positive, or the image is too small for the pooling.</exception>
    public static Sequential Cnn(int side, IReadOnlyList<int> channels, int classes, long seed)
    {
        ArgumentNullException.ThrowIfNull(channels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(classes);
        if (channels.Count == 0 || channels.Any(c => c < 1))
            throw new ArgumentException($"channels are [{string.Join(", ", channels)}]; they must be one or more positive numbers.", nameof(channels));
        if (side >> channels.Count < 1) throw new ArgumentOutOfRangeException(nameof(side), side, $"side must be at least {1 << channels.Count} for {channels.Count} poolings.");
        var layers = new List<(string, Module<Tensor, Tensor>)>();
        for (int i = 1; i <= channels.Count; i++)
        {
            layers.Add(($"conv{i}", Conv2d(i == 1 ? 1 : channels[i - 2], channels[i - 1], 3, padding: 1, bias: false)));
            layers.Add(($"bn{i}", BatchNorm2d(channels[i - 1])));
            layers.Add(($"relu{i}", ReLU()));
            layers.Add(($"pool{i}", MaxPool2d(2)));
        }

        int left = side >> channels.Count;
        layers.Add(("flatten", Flatten()));
        layers.Add(("head", Linear(channels[^1] * left * left, classes)));
        return Start(new ImageSequential([.. layers]), seed);
    }

    /// <summary>A layer by its name.</summary>
    /// <typeparam name="T">Type of the layer.</typeparam>
    /// <param name="network">The network.</param>
    /// <param name="name">Name of a child, "fc1", or path to one further down, "stage1.block2.conv1".</param>
    /// <exception cref="ArgumentException">There is no such layer, or it is of another type.</exception>
    public static T Layer<T>(this Module network, string name)
        where T : Module
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(name);
        Module at = network;
        string above = "";
        foreach (string part in name.Split('.'))
        {
            Module? next = at.named_children().FirstOrDefault(child => child.name == part).module;
            if (next is null)
                throw new ArgumentException($"There is no layer {name}; {(above.Length == 0 ? "there are" : $"in {above} there are")} {string.Join(", ", at.named_children().Select(c => c.name))}.", nameof(name));
            (at, above) = (next, above.Length == 0 ? part : $"{above}.{part}");
        }

        return at as T ?? throw new ArgumentException($"{name} is a {at.GetType().Name}, not a {typeof(T).Name}.", nameof(name));
    }

    /// <summary>Gives the weights their first values, in the order of their names' registration.</summary>
    internal static T Start<T>(T network, long seed)
        where T : Module
    {
        using Generator generator = new(unchecked((ulong)seed));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        foreach ((string name, Parameter parameter) in network.named_parameters())
        {
            if (parameter.dim() > 1)
            {
                double inputs = (double)parameter.numel() / parameter.shape[0];
                parameter.copy_(randn(parameter.shape, generator: generator).mul_(Math.Sqrt(2 / inputs)));
            }
            else if (name.EndsWith("bias", StringComparison.Ordinal))
            {
                parameter.zero_();
            }
        }

        return network;
    }
}
