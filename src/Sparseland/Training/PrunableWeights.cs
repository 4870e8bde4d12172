using Sparseland.Models;
using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// The weights that count as prunable unless a method says otherwise: those of linear layers and convolutions, without biases, norms and embeddings. Of language
/// models and text encoders the matrices of the blocks alone, so that no head is among them.
/// </summary>
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

    /// <summary>Names of the prunable weights, in the order of the modules.</summary>
    /// <param name="model">The network.</param>
    /// <exception cref="ArgumentException">There is no linear layer and no convolution.</exception>
    public static IReadOnlyList<string> Names(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return [.. LayersOf(model).Select(layer => layer.Name)];
    }

    /// <summary>The parameters of some names.</summary>
    /// <param name="model">The network.</param>
    /// <param name="names">Their names; null for all prunable ones.</param>
    /// <exception cref="ArgumentException">There is no such parameter, or none at all.</exception>
    internal static (string Name, Parameter Parameter)[] Named(nn.Module model, IReadOnlyList<string>? names)
    {
        if (names is null) return [.. LayersOf(model).Select(layer => (layer.Name, layer.Weight))];
        Dictionary<string, Parameter> all = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        return [.. names.Select(name => (name, all.GetValueOrDefault(name) ?? throw new ArgumentException($"There is no parameter \"{name}\".", nameof(names))))];
    }

    /// <summary>The same with their layers.</summary>
    internal static IReadOnlyList<(string Name, nn.Module<Tensor, Tensor> Layer, Parameter Weight)> LayersOf(nn.Module model)
    {
        var found = new List<(string, nn.Module<Tensor, Tensor>, Parameter)>();
        IEnumerable<(string, nn.Module)> modules = model is LanguageModel or BertEncoder ? LinearSlots.Of(model).Select(slot => (slot.Name, (nn.Module)slot.Module)) : model.named_modules();
        foreach ((string name, nn.Module module) in modules)
        {
            string parameter = name.Length == 0 ? "weight" : name + ".weight";
            if (module is Linear linear && linear.weight is not null) found.Add((parameter, linear, linear.weight));
            else if (module is Convolution convolution && convolution.weight is not null) found.Add((parameter, convolution, convolution.weight));
        }

        if (found.Count == 0) throw new ArgumentException("The network has no linear layer and no convolution; there is nothing to prune.", nameof(model));
        return found;
    }
}
