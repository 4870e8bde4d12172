using Sparseland.Models;
using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// Which weights count as prunable: those of linear layers and convolutions; not biases, norms and embeddings. Of language models and encoders the matrices of
/// the blocks alone, so that no head is among them.
/// </summary>
public static class Prunable
{
    /// <summary>Names of the prunable weights in the order of the network.</summary>
    /// <param name="model">The network.</param>
    public static IReadOnlyList<string> Names(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (model is LanguageModel or BertEncoder) return [.. LinearSlots.Of(model).Where(s => s.Module is Linear).Select(s => $"{s.Name}.weight")];
        HashSet<string> layers = [.. model.named_modules().Where(m => m.Item2 is Linear or Convolution).Select(m => $"{m.Item1}.weight")];
        return [.. model.named_parameters().Select(p => p.name).Where(layers.Contains)];
    }

    /// <summary>The parameters of some names.</summary>
    /// <param name="model">The network.</param>
    /// <param name="names">Their names; null for all prunable ones.</param>
    /// <exception cref="ArgumentException">There is no such parameter, or none at all.</exception>
    internal static (string Name, Parameter Parameter)[] Parameters(nn.Module model, IReadOnlyList<string>? names)
    {
        names ??= Names(model);
        if (names.Count == 0) throw new ArgumentException("The network has no linear layer and no convolution; there is nothing to prune.", nameof(model));
        Dictionary<string, Parameter> all = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        return [.. names.Select(name => (name, all.GetValueOrDefault(name) ?? throw new ArgumentException($"There is no parameter \"{name}\".", nameof(names))))];
    }
}
