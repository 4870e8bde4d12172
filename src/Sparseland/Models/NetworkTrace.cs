using Sparseland.Kernels;
using Sparseland.Models.Vision;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;
using Modules = TorchSharp.Modules;

namespace Sparseland.Models;

/// <summary>What a step of a network does.</summary>
internal enum TraceKind
{
    /// <summary>The images.</summary>
    Input,

    /// <summary>A two-dimensional convolution.</summary>
    Convolution,

    /// <summary>Batch norm.</summary>
    Norm,

    /// <summary>Cuts each number to an interval.</summary>
    Clamp,

    /// <summary>Another function of each number, or none.</summary>
    Pointwise,

    /// <summary>Pooling by windows.</summary>
    Pool,

    /// <summary>The mean over all places.</summary>
    Mean,

    /// <summary>Channels and places in a row.</summary>
    Flatten,

    /// <summary>A linear layer.</summary>
    Linear,

    /// <summary>The sum of two streams.</summary>
    Add,

    /// <summary>A module that is not known here.</summary>
    Unknown,
}

/// <summary>A step of a network.</summary>
/// <param name="Kind">What it does.</param>
/// <param name="Path">Name of its module, or of the module that does it.</param>
/// <param name="Inputs">Steps whose results it takes.</param>
/// <param name="Layer">Its module, where it has one.</param>
/// <param name="Clamp">The interval of a <see cref="TraceKind.Clamp"/>.</param>
internal sealed record TraceStep(TraceKind Kind, string Path, int[] Inputs, Module? Layer = null, ConvolutionClamp Clamp = default);

/// <summary>
/// The steps of a network in order, read off its modules: nested <c>Sequential</c>s, <see cref="Residual"/>, <see cref="ResNet"/> and <see cref="ResNetBlock"/>, convolutions, linear layers, batch norm, activations,
/// pooling, flatten. A module of another type is one unknown step.
/// </summary>
internal sealed class NetworkTrace
{
    private readonly List<TraceStep> _steps = [new(TraceKind.Input, "the input", [])];

    private NetworkTrace()
    {
    }

    /// <summary>The steps; the first is the input, the last gives the output.</summary>
    public IReadOnlyList<TraceStep> Steps => _steps;

    public static NetworkTrace Of(Module network)
    {
        ArgumentNullException.ThrowIfNull(network);
        var trace = new NetworkTrace();
        trace.Walk(network, "", 0);
        return trace;
    }

    private int Walk(Module module, string path, int input)
    {
        switch (module)
        {
            case Sequential layers:
                return layers.named_children().Aggregate(input, (at, child) => Walk(child.module, Join(path, child.name), at));
            case Residual residual:
                return Add(TraceKind.Add, path, null, default, input, Walk(residual.Inner, Join(path, "inner"), input));
            case ResNet network:
                return Walk(network, path, input);
            case ResNetBlock block:
                return Walk(block, path, input);
            case Modules.Conv2d:
                return Add(TraceKind.Convolution, path, module, default, input);
            case Modules.BatchNorm2d or Modules.BatchNorm1d:
                return Add(TraceKind.Norm, path, module, default, input);
            case Modules.ReLU:
                return Add(TraceKind.Clamp, path, module, ConvolutionClamp.Relu, input);
            case Modules.ReLU6:
                return Add(TraceKind.Clamp, path, module, ConvolutionClamp.Relu6, input);
            case Modules.Identity or Modules.Dropout or Modules.Dropout2d or Modules.GELU or Modules.SiLU or Modules.Tanh or Modules.LeakyReLU or Modules.Sigmoid:
                return Add(TraceKind.Pointwise, path, module, default, input);
            case Modules.MaxPool2d or Modules.AvgPool2d:
                return Add(TraceKind.Pool, path, module, default, input);
            case Modules.AdaptiveAvgPool2d pool when pool.output_size is { } sizes && sizes.All(size => size == 1):
                return Add(TraceKind.Mean, path, module, default, input);
            case Modules.Flatten { start_dim: 1, end_dim: -1 }:
                return Add(TraceKind.Flatten, path, module, default, input);
            case Modules.Linear:
                return Add(TraceKind.Linear, path, module, default, input);
            default:
                return Add(TraceKind.Unknown, path.Length == 0 ? "the network" : path, module, default, input);
        }
    }

    private int Walk(ResNet network, string path, int input)
    {
        int at = input;
        foreach ((string name, Module child) in network.named_children())
        {
            if (name == "head") at = Add(TraceKind.Mean, Join(path, "mean"), null, default, at);
            at = Walk(child, Join(path, name), at);
            if (name == "bn") at = Add(TraceKind.Clamp, Join(path, "relu"), null, ConvolutionClamp.Relu, at);
        }

        return at;
    }

    private int Walk(ResNetBlock block, string path, int input)
    {
        int at = input;
        for (int i = 0; i < 2; i++)
        {
            (LayerPlace convolution, LayerPlace norm) = block.Pairs[i];
            at = Walk(norm.Current, Join(path, norm.Name), Walk(convolution.Current, Join(path, convolution.Name), at));
            if (i == 0) at = Add(TraceKind.Clamp, Join(path, "relu1"), null, ConvolutionClamp.Relu, at);
        }

        int around = block.Around is not { } way ? input : Walk(way.Norm.Current, Join(path, way.Norm.Name), Walk(way.Convolution.Current, Join(path, way.Convolution.Name), input));
        return Add(TraceKind.Clamp, Join(path, "relu2"), null, ConvolutionClamp.Relu, Add(TraceKind.Add, path, null, default, at, around));
    }

    private int Add(TraceKind kind, string path, Module? layer, ConvolutionClamp clamp, params int[] inputs)
    {
        _steps.Add(new(kind, path, inputs, layer, clamp));
        return _steps.Count - 1;
    }

    private static string Join(string path, string name) => path.Length == 0 ? name : $"{path}.{name}";
}
