using System.Globalization;

namespace Sparseland.Training.IsoFlop;

/// <summary>The density at which a whole network has the multiply-adds of a dense one: layers of fixed density and rounded widths leave a layer's own formula behind.</summary>
public static class IsoFlopSolver
{
    /// <summary>(F - fixed) / rest: the one density of all other layers.</summary>
    /// <param name="layers">Layers of the enlarged network.</param>
    /// <param name="denseCost">F, multiply-adds of the dense network's forward pass.</param>
    /// <param name="fixedLayers">Names of layers that stay dense: stem, head.</param>
    /// <exception cref="ArgumentException">Fixed layers alone exceed the budget, which names them; the density would be above 1; an unknown name; no layer is left.</exception>
    public static double Density(IReadOnlyList<LayerShape> layers, long denseCost, IReadOnlyCollection<string> fixedLayers)
    {
        ArgumentNullException.ThrowIfNull(layers);
        ArgumentNullException.ThrowIfNull(fixedLayers);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(denseCost);
        if (fixedLayers.Except(layers.Select(l => l.Name)).FirstOrDefault() is { } strange)
            throw new ArgumentException($"There is no layer {strange}; there are {string.Join(", ", layers.Select(l => l.Name))}.", nameof(fixedLayers));
        long always = layers.Where(l => fixedLayers.Contains(l.Name)).Sum(l => l.MultiplyAdds), rest = layers.Sum(l => l.MultiplyAdds) - always;
        if (rest == 0) throw new ArgumentException("All layers are fixed; none is left to be sparse.", nameof(fixedLayers));
        double density = (double)(denseCost - always) / rest;
        if (density <= 0)
            throw new ArgumentException($"{string.Join(", ", fixedLayers)} alone take {always} multiply-adds of a budget of {denseCost}; nothing is left for the others.", nameof(fixedLayers));
        return density <= 1 + 1e-9 ? Math.Min(1, density) : throw new ArgumentException(
            string.Create(CultureInfo.InvariantCulture, $"The network would need a density of {density:G4} to have the {denseCost} multiply-adds of the dense one; it is too small."), nameof(denseCost));
    }
}
