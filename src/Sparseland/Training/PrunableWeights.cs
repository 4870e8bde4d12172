using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>The weights that count as prunable unless a method says otherwise: those of linear layers and convolutions, without biases, norms and embeddings.</summary>
public static class PrunableWeights
{
    /// <summary>Names and weights, in the order of the modules. The weights are the network's own.</summary>
    /// <param name="model">The network.</param>
    /// <exception cref="ArgumentException">There is no linear layer and no convolution.</exception>
    public static IReadOnlyDictionary<string, Parameter> Of(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return LayersOf(model).ToDictionary(layer => layer.Name, layer => layer.Weight);
    }

    /// <summary>The same with their layers.</summary>
    internal static IReadOnlyList<(string Name, nn.Module<Tensor, Tensor> Layer, Parameter Weight)> LayersOf(nn.Module model)
    {
        var found = new List<(string, nn.Module<Tensor, Tensor>, Parameter)>();
        foreach ((string name, nn.Module module) in model.named_modules())
        {
            string parameter = name.Length == 0 ? "weight" : name + ".weight";
            if (module is Linear linear && linear.weight is not null) found.Add((parameter, linear, linear.weight));
            else if (module is Convolution convolution && convolution.weight is not null) found.Add((parameter, convolution, convolution.weight));
        }

        if (found.Count == 0) throw new ArgumentException("The network has no linear layer and no convolution; there is nothing to prune.", nameof(model));
        return found;
    }
}
