using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>Score |w|: Han et al. 2015.</summary>
public static class MagnitudeScore
{
    /// <summary>Scores of a weight.</summary>
    /// <param name="weight">Any shape.</param>
    /// <returns>Of its shape and type; the caller disposes it.</returns>
    public static Tensor Of(Tensor weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        using IDisposable off = no_grad();
        return weight.abs();
    }

    /// <summary>Scores of some parameters of a network, to be ranked under one pattern.</summary>
    /// <param name="model">The network.</param>
    /// <param name="names">Names of the parameters; null, the default, for those of <see cref="Prunable"/>.</param>
    /// <returns>By name; the caller disposes them.</returns>
    public static IReadOnlyDictionary<string, Tensor> Of(nn.Module model, IReadOnlyList<string>? names = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        return Prunable.Parameters(model, names).ToDictionary(p => p.Name, p => Of(p.Parameter));
    }
}
