using System.Globalization;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Random masks beside those of <see cref="MaskSet.Random(nn.Module, IReadOnlyDictionary{string, double}, long)"/>, which has exact counts.</summary>
public static class RandomMasks
{
    /// <summary>
    /// Each weight is kept by a draw of its own, as in the published code of random pruning: the number kept has the standard deviation <see cref="Deviation"/>.
    /// </summary>
    /// <param name="model">The network.</param>
    /// <param name="densities">Probability of staying by name, above 0 and at most 1.</param>
    /// <param name="seed">Seed of the draw.</param>
    /// <exception cref="ArgumentException">A density out of range, an unknown or tied parameter, or a layer that lost all its weights in this draw.</exception>
    public static MaskSet Bernoulli(nn.Module model, IReadOnlyDictionary<string, double> densities, long seed)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(densities);
        Dictionary<string, TorchSharp.Modules.Parameter> parameters = OptimizerState.Trainable(model).ToDictionary(p => p.Name, p => p.Parameter);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        var masks = new Dictionary<string, Tensor>();
        long stream = 0;
        foreach ((string name, double density) in densities)
        {
            if (!(density is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(densities), density, $"The density of {name} must lie above 0 and not above 1.");
            if (!parameters.TryGetValue(name, out TorchSharp.Modules.Parameter? parameter)) throw new ArgumentException($"No trainable parameter is \"{name}\"; there are {string.Join(", ", parameters.Keys)}.", nameof(densities));

            // Uniform on [0, 1): with density 1 every weight stays.
            masks[name] = TopologyContext.RandomScores(parameter.shape, seed, 9_500 + stream++).lt(density);
            if (MaskSet.TrueIn(masks[name]) == 0)
                throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"This draw with a density of {density:G3} left none of the {parameter.numel()} weights of {name}; take exact counts, or a higher density."), nameof(densities));
        }

        return MaskSet.Of(model, masks);
    }

    /// <summary>Standard deviation of the number that <see cref="Bernoulli"/> keeps: the root of the sum of n d (1 - d) over the layers.</summary>
    /// <param name="densities">The densities.</param>
    public static double Deviation(LayerDensities densities)
    {
        ArgumentNullException.ThrowIfNull(densities);
        return Math.Sqrt(densities.Layers.Sum(layer => layer.Size * densities[layer.Name] * (1 - densities[layer.Name])));
    }
}
