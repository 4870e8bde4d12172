using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>What an allocation of weights must know of a layer: the shape of its weight, and how often each weight is used for one sample.</summary>
/// <param name="Name">Name of the weight as a parameter of the network, "conv1.weight".</param>
/// <param name="Dimensions">[outputs, inputs] of a linear layer; [outputs, inputs / groups, height, width] of a convolution, so that grouped ones need no case of their own.</param>
/// <param name="Positions">How often each weight is used for one sample: output pixels of a convolution. Default 1.</param>
public sealed record LayerShape(string Name, IReadOnlyList<long> Dimensions, long Positions = 1)
{
    /// <summary>Weights.</summary>
    public long Size => Dimensions.Aggregate(1L, (product, size) => checked(product * size));

    /// <summary>Output units or channels.</summary>
    public long FanOut => Dimensions[0];

    /// <summary>Input units or channels that one output sees: inputs over groups.</summary>
    public long FanIn => Dimensions[1];

    /// <summary>Whether the weight has a kernel.</summary>
    public bool IsConvolution => Dimensions.Count > 2;

    /// <summary>Multiplications with an addition for one sample where nothing is pruned.</summary>
    public long MultiplyAdds => checked(Size * Positions);

    /// <summary>The linear layers and convolutions of a network, in the order of its modules; a layer is found by its type, whatever its name.</summary>
    /// <param name="model">The network.</param>
    /// <param name="sampleShape">Shape of one sample without the batch dimension: one sample of zeros goes through for the positions.</param>
    /// <exception cref="ArgumentException">The shape is empty or not positive, there is no such layer, or one is never called or called twice.</exception>
    public static IReadOnlyList<LayerShape> Of(nn.Module<Tensor, Tensor> model, params IReadOnlyList<long> sampleShape)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(sampleShape);
        if (sampleShape.Count == 0 || sampleShape.Any(size => size < 1))
            throw new ArgumentException($"A sample's shape is not [{string.Join(", ", sampleShape)}]; it must be positive.", nameof(sampleShape));
        (string Name, nn.Module<Tensor, Tensor> Layer, Tensor Weight)[] layers = [.. PrunableWeights.LayersOf(model)];
        long[] positions = new long[layers.Length];
        int[] calls = new int[layers.Length];
        var hooks = new List<nn.Module<Tensor, Tensor>.HookRemover>();
        bool training = model.training;
        try
        {
            for (int i = 0; i < layers.Length; i++)
            {
                int at = i;
                hooks.Add(layers[i].Layer.register_forward_hook((_, _, output) =>
                {
                    positions[at] = output.numel() / layers[at].Weight.shape[0];
                    calls[at]++;
                    return output;
                }));
            }

            model.eval();
            using DisposeScope scope = NewDisposeScope();
            using IDisposable off = no_grad();
            model.call(zeros([1, .. sampleShape], dtype: layers[0].Weight.dtype, device: layers[0].Weight.device));
        }
        finally
        {
            foreach (var hook in hooks) hook.remove();
            model.train(training);
        }

        int wrong = Array.FindIndex(calls, count => count != 1);
        if (wrong >= 0) throw new ArgumentException($"{layers[wrong].Name} was called {calls[wrong]} times for one sample; its positions are not known.", nameof(model));
        return [.. layers.Select((layer, i) => new LayerShape(layer.Name, layer.Weight.shape, positions[i]))];
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
