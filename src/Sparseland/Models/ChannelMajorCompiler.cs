using Sparseland.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using Modules = TorchSharp.Modules;

namespace Sparseland.Models;

/// <summary>A kernel with a name.</summary>
internal sealed record NamedKernel(string Name, ChannelMajorConvolution Layer);

/// <summary>A step of a compiled network: kernels to choose from, or another function of one or two streams.</summary>
/// <param name="Name">Path of its module.</param>
/// <param name="Kind">What it is, where it has no kernels.</param>
/// <param name="Inputs">Numbers of its inputs' buffers.</param>
/// <param name="Output">Number of its buffer.</param>
/// <param name="Kernels">Kernels, the preferred one first.</param>
/// <param name="Weights">Weights of the layer, stored or not.</param>
/// <param name="Shape">From channels, rows and columns of the first input to those of the output.</param>
/// <param name="IsFlat">Whether the output counts as [images, features].</param>
internal sealed record CompiledStep(
    string Name, string Kind, IReadOnlyList<int> Inputs, int Output, IReadOnlyList<NamedKernel> Kernels, long Weights, Func<int, int, int, (int, int, int)> Shape, bool IsFlat)
{
    /// <summary>What it does without kernels.</summary>
    public Action<Planes, Planes, Planes>? Other { get; init; }
}

/// <summary>Turns the steps of a network into kernels: each convolution with the batch norm and the clamp behind it.</summary>
internal sealed class ChannelMajorCompiler
{
    private readonly IReadOnlyList<TraceStep> _trace;
    private readonly IReadOnlyDictionary<string, Tensor> _masks;
    private readonly HashSet<string> _used = [];
    private readonly List<CompiledStep> _compiled = [];
    private readonly int[] _readers;
    private readonly int[] _place;
    private readonly bool[] _flat;

    public ChannelMajorCompiler(NetworkTrace trace, IReadOnlyDictionary<string, Tensor> masks)
    {
        (_trace, _masks) = (trace.Steps, masks);
        _readers = new int[_trace.Count];
        foreach (int input in _trace.SelectMany(step => step.Inputs)) _readers[input]++;
        (_place, _flat) = (new int[_trace.Count], new bool[_trace.Count]);
    }

    /// <summary>Channels of the images.</summary>
    public int Inputs { get; private set; }

    public List<CompiledStep> Compile()
    {
        Inputs = _trace.Select(step => step.Layer).OfType<Conv2d>().Select(c => (int)c.in_channels).FirstOrDefault();
        if (Inputs == 0) throw new ArgumentException("The network has no convolution; there is nothing to compile.", "network");
        for (int i = 1; i < _trace.Count; i++)
        {
            TraceStep step = _trace[i];
            switch (step.Kind)
            {
                case TraceKind.Convolution:
                    i = Convolution(i, (Conv2d)step.Layer!);
                    break;
                case TraceKind.Linear:
                    i = Linear(i, (Linear)step.Layer!);
                    break;
                case TraceKind.Pool:
                    Pool(i, step);
                    break;
                case TraceKind.Mean:
                    Add(i, step, "mean", (channels, _, _) => (channels, 1, 1), false, (from, _, to) => ChannelPooling.Mean(from, to));
                    break;
                case TraceKind.Add:
                    i = Sum(i, step);
                    break;
                case TraceKind.Flatten:
                    (_place[i], _flat[i]) = (_place[step.Inputs[0]], true);
                    break;
                case TraceKind.Pointwise when step.Layer is Modules.Identity or Modules.Dropout or Modules.Dropout2d:
                    (_place[i], _flat[i]) = (_place[step.Inputs[0]], _flat[step.Inputs[0]]);
                    break;
                case TraceKind.Norm:
                    throw new ArgumentException($"{step.Path} is batch norm that does not stand right behind a convolution, so it cannot be folded.", "network");
                case TraceKind.Clamp:
                    Add(i, step, "clamp", (channels, rows, columns) => (channels, rows, columns), _flat[step.Inputs[0]], (from, _, to) => ChannelPooling.Clamp(from, to, step.Clamp));
                    break;
                default:
                    throw new ArgumentException($"{step.Path} is a {step.Layer!.GetType().Name}, for which there is no channel-major kernel.", "network");
            }
        }

        if (_masks.Keys.FirstOrDefault(name => !_used.Contains(name)) is { } stranger) throw new ArgumentException($"There is no convolution or linear layer with the weight {stranger}.", "masks");
        return _compiled;
    }

    private int Convolution(int at, Conv2d layer)
    {
        string path = _trace[at].Path;
        bool depthwise = layer.groups != 1 && layer.groups == layer.in_channels && layer.in_channels == layer.out_channels;
        if (layer.groups != 1 && !depthwise) throw new ArgumentException($"{path} is a convolution in {layer.groups} groups; only one group and depthwise are known here.", "network");
        if (layer.dilation is { } dilation && dilation.Any(d => d != 1)) throw new ArgumentException($"{path} has a dilation of {string.Join(" x ", dilation)}; only 1 is known here.", "network");
        if (layer.stride![0] != layer.stride[1]) throw new ArgumentException($"{path} has a stride of {string.Join(" x ", layer.stride)}; both must be the same.", "network");
        if (layer.padding_type is not null || layer.padding_mode != PaddingModes.Zeros || layer.padding![0] != layer.padding[1])
            throw new ArgumentException($"{path} has another padding than the same number of zeros on each side.", "network");
        (Tensor weight, Tensor bias) = (Masked(path, layer.weight), layer.bias ?? zeros(layer.out_channels));
        (int last, weight, bias) = Folded(at, weight, bias);
        (last, ConvolutionClamp clamp) = Clamped(last);
        (int stride, int padding) = ((int)layer.stride[0], (int)layer.padding[0]);
        List<NamedKernel> kernels = depthwise
            ? [new("depthwise", DepthwiseConvolution.FromDense(weight, bias, stride, padding, clamp))]
            : Choices(path, weight, bias, stride, padding, clamp);
        Done(at, last, new(
            path, "convolution", [_place[_trace[at].Inputs[0]]], _compiled.Count + 1, kernels, weight.numel(), (_, rows, columns) => Size(kernels[0].Layer, rows, columns), false));
        return last;
    }

    private int Linear(int at, Linear layer)
    {
        string path = _trace[at].Path;
        (int last, ConvolutionClamp clamp) = Clamped(at);
        List<NamedKernel> kernels = Choices(path, Masked(path, layer.weight).view(layer.out_features, layer.in_features, 1, 1), layer.bias ?? zeros(layer.out_features), 1, 0, clamp);
        int inputs = (int)layer.in_features;
        Done(at, last, new(path, "linear", [_place[_trace[at].Inputs[0]]], _compiled.Count + 1, kernels, layer.weight.numel(), (channels, rows, columns) =>
            rows * columns == 1 && channels == inputs
                ? (kernels[0].Layer.Outputs, 1, 1)
                : throw new ArgumentException($"{path} takes {inputs} inputs, but gets {channels} channels of {rows} x {columns}; only channels of one place can go into a linear layer here.", "network"), true));
        return last;
    }

    private void Pool(int at, TraceStep step)
    {
        (long[]? kernel, long[]? stride, long[]? padding, bool largest, bool plain) = step.Layer switch
        {
            Modules.MaxPool2d pool => (pool.kernel_size, pool.stride, pool.padding, true, !pool.ceil_mode && (pool.dilation is null || pool.dilation.All(d => d == 1))),
            Modules.AvgPool2d pool => (pool.kernel_size, pool.stride, pool.padding, false, !pool.ceil_mode && pool.divisor_override is null or 0),
            _ => throw new ArgumentException($"{step.Path} is a {step.Layer!.GetType().Name}, which is not known here.", "network"),
        };
        stride ??= kernel;
        if (!plain || kernel is null || kernel.Distinct().Count() > 1 || stride!.Distinct().Count() > 1 || (padding is not null && padding.Any(p => p != 0)))
            throw new ArgumentException($"{step.Path} pools with padding, dilation, ceiling or unequal sides; only plain square windows are known here.", "network");
        (int k, int s) = ((int)kernel[0], (int)stride![0]);
        Add(
            at, step, largest ? "max pooling" : "mean pooling", (channels, rows, columns) => (channels, PaddedPlanes.Outputs(rows, k, s, 0), PaddedPlanes.Outputs(columns, k, s, 0)), false,
            (from, _, to) => ChannelPooling.Windows(from, to, k, s, largest));
    }

    private int Sum(int at, TraceStep step)
    {
        (int last, ConvolutionClamp clamp) = Clamped(at);
        Done(at, last, new(
            step.Path, "sum", [.. step.Inputs.Select(input => _place[input])], _compiled.Count + 1, [], 0, (channels, rows, columns) => (channels, rows, columns), false)
        {
            Other = (left, right, to) =>
            {
                if ((left.Channels, left.Height, left.Width) != (right.Channels, right.Height, right.Width))
                    throw new ArgumentException($"{step.Path} adds {left.Channels} x {left.Height} x {left.Width} and {right.Channels} x {right.Height} x {right.Width} numbers.", "network");
                ChannelPooling.Add(left, right, to, clamp);
            },
        });
        return last;
    }

    private void Add(int at, TraceStep step, string kind, Func<int, int, int, (int, int, int)> shape, bool flat, Action<Planes, Planes, Planes> run) =>
        Done(at, at, new(step.Path, kind, [_place[step.Inputs[0]]], _compiled.Count + 1, [], 0, shape, flat) { Other = run });

    private void Done(int from, int to, CompiledStep step)
    {
        _compiled.Add(step);
        for (int i = from; i <= to; i++) (_place[i], _flat[i]) = (_compiled.Count, step.IsFlat);
    }

    /// <summary>Kernels that give the same numbers: sparse in the largest blocks that the zeros allow first, dense last.</summary>
    private static List<NamedKernel> Choices(string path, Tensor weight, Tensor bias, int stride, int padding, ConvolutionClamp clamp)
    {
        try
        {
            var choices = new List<NamedKernel>();
            bool pointwise = weight.shape[2] == 1 && weight.shape[3] == 1 && stride == 1 && padding == 0;
            if (weight.eq(0).any().item<bool>())
            {
                int block = new[] { 16, 8, 4, 2, 1 }.First(n => GroupSparseConvolution.IsUniform(weight, n));
                if (block >= 8 || !pointwise)
                {
                    choices.Add(new($"groups of {block}", GroupSparseConvolution.Pack(weight, null, block, bias, stride, padding, clamp)));
                    if (block >= 8) choices.Add(new($"groups of {block}, channels in a vector", GroupSparseConvolution.Pack(weight, null, block, bias, stride, padding, clamp, GroupForm.Channels)));
                }

                if (pointwise) choices.Add(new($"sparse, M = {Math.Min(4, block)}", SparseConvolution1x1.FromDense(weight, bias, null, Math.Min(4, block), clamp)));
            }

            choices.Add(new("dense", StemConvolution.FromDense(weight, bias, stride, padding, clamp)));
            return choices;
        }
        catch (ArgumentException error)
        {
            throw new ArgumentException($"{path}: {error.Message}", "network", error);
        }
    }

    private Tensor Masked(string path, Tensor weight)
    {
        string name = path.Length == 0 ? "weight" : $"{path}.weight";
        _used.Add(name);
        Tensor values = weight.detach().to(ScalarType.Float32).cpu();
        if (!_masks.TryGetValue(name, out Tensor? mask)) return values;
        if (mask is null || mask.dtype != ScalarType.Bool || !mask.shape.SequenceEqual(weight.shape))
            throw new ArgumentException($"The mask of {name} must be Bool [{string.Join(", ", weight.shape)}]{(mask is null ? "" : $", but is {mask.dtype} [{string.Join(", ", mask.shape)}]")}.", "masks");
        return values.masked_fill(mask.cpu().logical_not(), 0);
    }

    /// <summary>gamma (w x + b - mean) / sd + beta: a scale of each filter, so that zeros stay zeros, and another bias.</summary>
    private (int Last, Tensor Weight, Tensor Bias) Folded(int at, Tensor weight, Tensor bias)
    {
        if (Next(at, TraceKind.Norm) is not { Layer: Modules.BatchNorm norm } step) return (at, weight, bias);
        if (norm.training) throw new ArgumentException($"{step.Path} is in training mode, where its numbers change with every batch; call eval() first.", "network");
        if (norm.running_mean is null || norm.running_var is null) throw new ArgumentException($"{step.Path} keeps no running statistics, so it cannot be folded.", "network");
        Tensor scale = norm.running_var.to(ScalarType.Float64).add(norm.eps).rsqrt();
        if (norm.weight is not null) scale *= norm.weight.detach();
        Tensor shift = (bias.detach().to(ScalarType.Float64) - norm.running_mean) * scale;
        if (norm.bias is not null) shift += norm.bias.detach();
        return (at + 1, (weight.to(ScalarType.Float64) * scale.view(-1, 1, 1, 1)).to(ScalarType.Float32), shift.to(ScalarType.Float32));
    }

    private (int Last, ConvolutionClamp Clamp) Clamped(int at) => Next(at, TraceKind.Clamp) is { } step ? (at + 1, step.Clamp) : (at, ConvolutionClamp.None);

    /// <summary>The next step if it is of a kind and the only one to read this one.</summary>
    private TraceStep? Next(int at, TraceKind kind) => at + 1 < _trace.Count && _trace[at + 1].Kind == kind && _trace[at + 1].Inputs[0] == at && _readers[at] == 1 ? _trace[at + 1] : null;

    private static (int, int, int) Size(ChannelMajorConvolution layer, int rows, int columns) =>
        (layer.Outputs, PaddedPlanes.Outputs(rows, layer.KernelHeight, layer.Stride, layer.Padding), PaddedPlanes.Outputs(columns, layer.KernelWidth, layer.Stride, layer.Padding));
}
