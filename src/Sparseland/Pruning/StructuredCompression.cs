using Sparseland.Models;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using Modules = TorchSharp.Modules;

namespace Sparseland.Pruning;

/// <summary>Outputs of one layer before and after.</summary>
/// <param name="Name">Path of the layer.</param>
/// <param name="Inputs">Inputs before.</param>
/// <param name="Outputs">Outputs before.</param>
/// <param name="InputsLeft">Inputs after.</param>
/// <param name="OutputsLeft">Outputs after.</param>
public sealed record LayerShrinkage(string Name, int Inputs, int Outputs, int InputsLeft, int OutputsLeft);

/// <summary>A smaller network that computes the same.</summary>
/// <param name="Network">It, with parameters of its own.</param>
/// <param name="Layers">What became of each layer with weights.</param>
/// <param name="ParametersBefore">Parameters of the network it came from.</param>
/// <param name="Parameters">Its parameters.</param>
public sealed record CompressedNetwork(Sequential Network, IReadOnlyList<LayerShrinkage> Layers, long ParametersBefore, long Parameters) : IDisposable
{
    /// <summary>Frees the small network; the one it came from stays.</summary>
    public void Dispose() => Network.Dispose();

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Makes the zeros of groups count: rebuilds a network without the outputs whose groups are zero, and without the inputs of the next
/// layer that they fed, through activations, pooling, batch norm and flatten.
/// </summary>
/// <remarks>
/// Nothing is approximated: an output goes only when it is exactly zero on its way to the next layer. Layers: <c>Linear</c>,
/// <c>Conv2d</c> (one group), batch norm, nested <c>Sequential</c>, <see cref="Residual"/>, flatten, pooling, dropout and activations
/// with f(0) = 0; anything else is refused.
/// </remarks>
public static class StructuredCompression
{
    /// <summary>Builds the small network.</summary>
    /// <param name="network">Trained network; it does not change.</param>
    /// <param name="groups">The groups of its layers; layers without any stay whole.</param>
    /// <exception cref="ArgumentException">
    /// A layer is not known, a zero group still says something (a bias or batch norm outside the group), a residual sum would lose a
    /// channel on one side only, a layer or the network's output would vanish, or groups belong to no layer here.
    /// </exception>
    public static CompressedNetwork Shrink(Sequential network, params IReadOnlyList<GroupSpec> groups)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(groups);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        var walk = new Walk(groups);
        (Sequential small, Stream? end) = walk.Through(network, "", null);
        walk.RequireAllUsed();
        if (end is { IsWhole: false })
        {
            throw new ArgumentException(
                $"{end.From} gives the network's output; {end.Total - end.Alive.Length} of its {end.Total} outputs are zero and cannot go without changing it. Leave the last layer out.",
                nameof(groups));
        }

        small.train(network.training);
        return new CompressedNetwork(small, walk.Layers, network.parameters().Sum(p => p.numel()), small.parameters().Sum(p => p.numel()));
    }

    /// <summary>What flows between two layers: which of its features are alive, and who made it.</summary>
    private sealed record Stream(int Total, int[] Alive, string From, bool IsFlat = false)
    {
        public bool IsWhole => Alive.Length == Total;

        /// <summary>The features that a layer with this many inputs sees: each channel is a run of them after flatten.</summary>
        public Stream Fit(int inputs, string layer)
        {
            int run = IsFlat && inputs % Total == 0 ? inputs / Total : 1;
            if (run * Total != inputs)
                throw new ArgumentException($"{layer} takes {inputs} inputs, but {From} gives {Total}{(IsFlat ? " channels, flattened" : "")}.", nameof(layer));
            return run == 1 ? this : new Stream(inputs, [.. Alive.SelectMany(c => Enumerable.Range(c * run, run))], From);
        }

        public static Stream Whole(int total, string from) => new(total, [.. Enumerable.Range(0, total)], from);
    }

    private sealed class Walk(IReadOnlyList<GroupSpec> groups)
    {
        private readonly HashSet<GroupSpec> _used = [];

        public List<LayerShrinkage> Layers { get; } = [];

        public void RequireAllUsed()
        {
            if (groups.FirstOrDefault(spec => !_used.Contains(spec)) is { } stranger)
                throw new ArgumentException($"The groups of {stranger.Name} are not the outputs of a layer of this network.", nameof(groups));
        }

        public (Sequential Small, Stream? Stream) Through(Sequential network, string path, Stream? stream)
        {
            var layers = new List<(string, Module<Tensor, Tensor>)>();
            foreach ((string name, Module layer) in network.named_children())
            {
                (Module<Tensor, Tensor> small, stream) = Layer(layer, path.Length == 0 ? name : $"{path}.{name}", stream);
                layers.Add((name, small));
            }

            return (Sequential(layers), stream);
        }

        private (Module<Tensor, Tensor> Small, Stream? Stream) Layer(Module layer, string path, Stream? stream)
        {
            switch (layer)
            {
                case Linear linear:
                    return Shrink(linear, path, stream);
                case Conv2d convolution:
                    return Shrink(convolution, path, stream);
                case BatchNorm norm:
                    return Shrink(norm, path, stream);
                case Sequential inner:
                    return Through(inner, path, stream);
                case Residual residual:
                    return Shrink(residual, path, stream);
                case Flatten flatten:
                    if (flatten.start_dim != 1 || flatten.end_dim != -1)
                        throw new ArgumentException($"{path} flattens dimensions {flatten.start_dim} to {flatten.end_dim}; only 1 to -1 keeps samples apart and channels together.", nameof(layer));
                    return (Flatten(), stream is null ? null : stream with { IsFlat = true });
                default:
                    return (SameZeros(layer, path), stream);
            }
        }

        private (Module<Tensor, Tensor>, Stream) Shrink(Linear linear, string path, Stream? stream)
        {
            Stream input = (stream ?? Stream.Whole((int)linear.in_features, "the input")).Fit((int)linear.in_features, path);
            Stream output = Outputs(linear.weight, linear.bias, path);
            Linear small = Linear(input.Alive.Length, output.Alive.Length, linear.bias is not null, dtype: linear.weight.dtype);
            Copy(linear.weight, linear.bias, small.weight, small.bias, input, output, path);
            return (small, output);
        }

        private (Module<Tensor, Tensor>, Stream) Shrink(Conv2d layer, string path, Stream? stream)
        {
            if (layer.groups != 1) throw new ArgumentException($"{path} is a convolution in {layer.groups} groups; its inputs and outputs cannot be removed one by one.", nameof(layer));
            Stream input = (stream ?? Stream.Whole((int)layer.in_channels, "the input")).Fit((int)layer.in_channels, path);
            Stream output = Outputs(layer.weight, layer.bias, path);
            (long, long) kernel = (layer.kernel_size[0], layer.kernel_size[1]), stride = (layer.stride[0], layer.stride[1]);
            (long, long) dilation = (layer.dilation[0], layer.dilation[1]);
            bool bias = layer.bias is not null;
            ScalarType type = layer.weight.dtype;
            Conv2d small = layer.padding_type is { } named
                ? Conv2d(input.Alive.Length, output.Alive.Length, kernel, named, stride, dilation, layer.padding_mode, 1, bias, dtype: type)
                : Conv2d(input.Alive.Length, output.Alive.Length, kernel, stride, (layer.padding![0], layer.padding[1]), dilation, layer.padding_mode, 1, bias, dtype: type);
            Copy(layer.weight, layer.bias, small.weight, small.bias, input, output, path);
            return (small, output);
        }

        private static (Module<Tensor, Tensor>, Stream?) Shrink(BatchNorm norm, string path, Stream? stream)
        {
            Stream input = (stream ?? Stream.Whole((int)norm.num_features, "the input")).Fit((int)norm.num_features, path);
            foreach (int dead in Enumerable.Range(0, input.Total).Except(input.Alive))
            {
                // gamma (0 - mean)/sd + beta: whatever is left would reach the next layer.
                if (norm.weight is null || Number(norm.weight, dead) != 0 || Number(norm.bias!, dead) != 0)
                {
                    throw new ArgumentException(
                        $"Output {dead} of {input.From} is zero, but {path} makes a constant of it; put gamma and beta into its group.", nameof(norm));
                }
            }

            int left = input.Alive.Length;
            ScalarType? type = norm.weight?.dtype ?? norm.running_mean?.dtype;
            bool affine = norm.weight is not null, statistics = norm.running_mean is not null;
            BatchNorm small = norm switch
            {
                Modules.BatchNorm1d => BatchNorm1d(left, norm.eps, norm.momentum ?? 0.1, affine, statistics, dtype: type),
                Modules.BatchNorm2d => BatchNorm2d(left, norm.eps, norm.momentum ?? 0.1, affine, statistics, dtype: type),
                _ => throw new ArgumentException($"{path} is a {norm.GetType().Name}, which is not known here.", nameof(norm)),
            };
            Tensor channels = Indices(input.Alive);
            foreach ((Tensor? from, Tensor? to) in new[]
            {
                (norm.weight, small.weight), (norm.bias, small.bias), (norm.running_mean, small.running_mean), (norm.running_var, small.running_var),
            })
            {
                if (from is not null) to!.copy_(from.index_select(0, channels));
            }

            if (statistics) small.num_batches_tracked!.copy_(norm.num_batches_tracked!);
            return (small, input);
        }

        private (Module<Tensor, Tensor>, Stream?) Shrink(Residual residual, string path, Stream? stream)
        {
            (Sequential inner, Stream? output) = Through(residual.Inner, path, stream);
            int[] before = stream?.Alive ?? [.. Enumerable.Range(0, output?.Total ?? 0)], after = output?.Alive ?? [];
            if (output is not null && !before.SequenceEqual(after))
            {
                int channel = before.Except(after).Concat(after.Except(before)).Min();
                throw new ArgumentException(
                    $"{path} adds {output.From} to {stream?.From ?? "the input"}, and channel {channel} is zero on one side of the sum only. Tie the groups of both sides (GroupSpec.Tied), or leave both out.",
                    nameof(groups));
            }

            return (new Residual(inner), output);
        }

        /// <summary>Which outputs of a layer stay: those whose group is not zero.</summary>
        private Stream Outputs(Tensor weight, Tensor? bias, string path)
        {
            int outputs = (int)weight.shape[0];
            nint identity = TensorMemory.Identity(weight);
            GroupSpec[] mine = [.. groups.Where(spec => spec.Covers(identity))];
            if (mine.Length == 0) return Stream.Whole(outputs, path);
            if (mine.Length > 1) throw new ArgumentException($"{path} is in the groups of {mine[0].Name} and of {mine[1].Name}.", nameof(groups));
            GroupSlice[] slices = [.. mine[0].Slices.Where(slice => slice.Identity == identity)];
            long row = weight.numel() / outputs;
            if (slices is not [{ Offset: 0, Blocks: 1 } rows] || rows.Groups != outputs || rows.Stride != row || rows.Length != row)
                throw new ArgumentException($"The groups of {mine[0].Name} are not the outputs of {path}; only whole rows or filters can be removed.", nameof(groups));
            _used.Add(mine[0]);
            double[] norms = mine[0].Norms();
            int[] alive = [.. Enumerable.Range(0, outputs).Where(j => norms[rows.First + j] != 0)];
            if (alive.Length == 0) throw new ArgumentException($"No group of {path} is left; a network cannot be shrunk to nothing.", nameof(groups));
            foreach (int dead in Enumerable.Range(0, outputs).Except(alive))
            {
                if (bias is not null && Number(bias, dead) != 0)
                    throw new ArgumentException($"Output {dead} of {path} has a bias of {Number(bias, dead):G3} outside its group, so it is not zero.", nameof(groups));
            }

            return new Stream(outputs, alive, path);
        }

        private void Copy(Tensor weight, Tensor? bias, Tensor smallWeight, Tensor? smallBias, Stream input, Stream output, string path)
        {
            Tensor rows = Indices(output.Alive);
            smallWeight.copy_(weight.index_select(0, rows).index_select(1, Indices(input.Alive)));
            if (bias is not null) smallBias!.copy_(bias.index_select(0, rows));
            Layers.Add(new LayerShrinkage(path, input.Total, output.Total, input.Alive.Length, output.Alive.Length));
        }

        private static Module<Tensor, Tensor> SameZeros(Module layer, string path) => layer switch
        {
            Modules.ReLU => ReLU(),
            Modules.GELU => GELU(),
            Modules.SiLU => SiLU(),
            Modules.Tanh => Tanh(),
            LeakyReLU leaky => LeakyReLU(leaky.negative_slope),
            Dropout dropout => Dropout(dropout.p),
            MaxPool2d pool => MaxPool2d(pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode),
            AvgPool2d pool => AvgPool2d(pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode, pool.count_include_pad, pool.divisor_override),
            _ => throw new ArgumentException($"{path} is a {layer.GetType().Name}; it is not known to turn zeros into zeros, so nothing before it can be removed.", nameof(layer)),
        };

        private static Tensor Indices(int[] indices) => tensor([.. indices.Select(i => (long)i)]);

        private static double Number(Tensor values, int index) => values[index].to(ScalarType.Float64).item<double>();
    }
}
