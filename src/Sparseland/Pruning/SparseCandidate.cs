using Sparseland.Models;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>One sparse network out of a parent, as a search draws it: a choice, without weights of its own.</summary>
public abstract record SparseCandidate
{
    /// <summary>The weights that it keeps, as masks of the parent's.</summary>
    /// <param name="parent">The parent.</param>
    /// <exception cref="ArgumentException">It is not of this parent's shape.</exception>
    public abstract MaskSet Apply(Sequential parent);

    /// <summary>A network of its own with the weights that it inherits; the parent stays.</summary>
    /// <param name="parent">The parent.</param>
    /// <exception cref="ArgumentException">It is not of this parent's shape.</exception>
    public abstract Sequential Build(Sequential parent);

    /// <summary>The linear layers of a multi-layer perceptron, between which nothing has weights.</summary>
    internal static (string Name, Linear Layer)[] LayersOf(Sequential parent)
    {
        ArgumentNullException.ThrowIfNull(parent);
        var layers = new List<(string, Linear)>();
        foreach ((string name, nn.Module module) in parent.named_children())
        {
            if (module is Linear linear) layers.Add((name, linear));
            else if (module is not (ReLU or Flatten)) throw new ArgumentException($"{name} is a {module.GetType().Name}; the parent must be linear layers with ReLU between them, for nodes are not defined otherwise.", nameof(parent));
        }

        if (layers.Count < 2) throw new ArgumentException($"The parent has {layers.Count} linear layers; without two there is no hidden node.", nameof(parent));
        return [.. layers];
    }

    /// <summary>A perceptron of the same kind of layers with given weights and biases, copied.</summary>
    internal static Sequential Perceptron(Sequential parent, IReadOnlyList<(Tensor Weight, Tensor? Bias)> layers)
    {
        using IDisposable off = no_grad();
        var children = new List<(string, nn.Module<Tensor, Tensor>)>();
        int at = 0;
        foreach ((string name, nn.Module module) in parent.named_children())
        {
            if (module is not Linear)
            {
                children.Add((name, module is Flatten ? nn.Flatten() : nn.ReLU()));
                continue;
            }

            (Tensor weight, Tensor? bias) = layers[at++];
            Linear linear = nn.Linear(weight.shape[1], weight.shape[0], hasBias: bias is not null, dtype: weight.dtype, device: weight.device);
            linear.weight!.copy_(weight);
            if (bias is not null) linear.bias!.copy_(bias);
            children.Add((name, linear));
        }

        return nn.Sequential(children);
    }
}

/// <summary>Random weights of a parent: which places of each weight matrix stay.</summary>
/// <param name="Densities">Share kept by the name of the weight.</param>
/// <param name="Seed">Seed of the draw.</param>
public sealed record EdgeMask(LayerDensities Densities, long Seed) : SparseCandidate
{
    /// <inheritdoc/>
    public override MaskSet Apply(Sequential parent) => MaskSet.Random(parent, Densities, Seed);

    /// <summary>A copy of the parent with the other weights zero; train it with <see cref="Apply"/>'s masks of the copy.</summary>
    /// <inheritdoc/>
    public override Sequential Build(Sequential parent)
    {
        Sequential copy = Perceptron(parent, [.. LayersOf(parent).Select(layer => ((Tensor)layer.Layer.weight!, (Tensor?)layer.Layer.bias))]);
        using MaskSet masks = Apply(copy);
        masks.Apply();
        return copy;
    }

    /// <inheritdoc/>
    public override string ToString() => $"EdgeMask, seed {Seed}, {Densities}";
}
