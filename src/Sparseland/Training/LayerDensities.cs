using System.Collections;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Sparseland.Training;

/// <summary>One round of the solution of an allocation.</summary>
/// <param name="Epsilon">The factor between the raw value of a layer and its density.</param>
/// <param name="Saturated">Layers whose density would pass 1 with it, which are dense from the next round on; empty in the last round.</param>
public sealed record AllocationRound(double Epsilon, IReadOnlyList<string> Saturated)
{
    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"epsilon {Epsilon:G6}, saturated: {(Saturated.Count == 0 ? "none" : string.Join(", ", Saturated))}");
}

/// <summary>
/// One density for each layer, as an <see cref="LayerAllocation"/> gives them for a total: a dictionary by the name of the weight, which
/// <see cref="MaskSet.Random(TorchSharp.torch.nn.Module, IReadOnlyDictionary{string, double}, long)"/> takes.
/// </summary>
public sealed class LayerDensities : IReadOnlyDictionary<string, double>
{
    private readonly Dictionary<string, double> _densities;

    internal LayerDensities(string allocation, IReadOnlyList<LayerShape> layers, double total, IReadOnlyList<double> densities, IReadOnlyList<AllocationRound> rounds)
    {
        (Allocation, Layers, Total, Rounds) = (allocation, [.. layers], total, rounds);
        _densities = layers.Select((layer, i) => (layer.Name, densities[i])).ToDictionary(pair => pair.Name, pair => pair.Item2);
        for (int i = 0; i < layers.Count; i++)
        {
            if (CountOf(layers[i]) > 0) continue;
            double least = total * (1.0 / layers[i].Size) / Math.Max(densities[i], double.Epsilon);
            throw new ArgumentException(
                string.Create(CultureInfo.InvariantCulture, $"{allocation} at a total density of {total:G4} leaves none of the {layers[i].Size} weights of {layers[i].Name} (density {densities[i]:G3}); one weight needs a layer density of {1.0 / layers[i].Size:G3}{(densities[i] > 0 && least <= 1 ? $", a total of about {least:G3}" : "")}."),
                nameof(total));
        }
    }

    /// <summary>Name of the allocation.</summary>
    public string Allocation { get; }

    /// <summary>The layers, in order.</summary>
    public IReadOnlyList<LayerShape> Layers { get; }

    /// <summary>The total density that was asked for.</summary>
    public double Total { get; }

    /// <summary>How it was solved; empty where no equation was.</summary>
    public IReadOnlyList<AllocationRound> Rounds { get; }

    /// <summary>Weights kept of each layer: density times size, rounded to the nearest.</summary>
    public IReadOnlyDictionary<string, long> Counts => Layers.ToDictionary(layer => layer.Name, CountOf);

    /// <summary>Weights kept in all.</summary>
    public long Kept => Layers.Sum(CountOf);

    /// <summary>Weights of all layers.</summary>
    public long Size => Layers.Sum(layer => layer.Size);

    /// <summary>Layers that are dense.</summary>
    public IReadOnlyList<string> Saturated => [.. Layers.Where(layer => CountOf(layer) == layer.Size).Select(layer => layer.Name)];

    /// <summary>Multiplications with an addition for one sample where zeros cost nothing: kept weights times their positions.</summary>
    public long MultiplyAdds => Layers.Sum(layer => CountOf(layer) * layer.Positions);

    /// <summary>The same over that of the dense network.</summary>
    public double MultiplyAddShare => (double)MultiplyAdds / Layers.Sum(layer => layer.MultiplyAdds);

    /// <inheritdoc/>
    public IEnumerable<string> Keys => Layers.Select(layer => layer.Name);

    /// <inheritdoc/>
    public IEnumerable<double> Values => Layers.Select(layer => _densities[layer.Name]);

    /// <inheritdoc/>
    public int Count => Layers.Count;

    /// <summary>Density of a layer.</summary>
    /// <param name="key">Name of its weight.</param>
    /// <exception cref="ArgumentException">There is no such layer.</exception>
    public double this[string key] => _densities.TryGetValue(key, out double density) ? density : throw new ArgumentException($"There is no layer {key}; there are {string.Join(", ", Keys)}.", nameof(key));

    /// <inheritdoc/>
    public bool ContainsKey(string key) => _densities.ContainsKey(key);

    /// <inheritdoc/>
    public bool TryGetValue(string key, [MaybeNullWhen(false)] out double value) => _densities.TryGetValue(key, out value);

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, double>> GetEnumerator() => Layers.Select(layer => KeyValuePair.Create(layer.Name, _densities[layer.Name])).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Allocation}: {Kept} of {Size} weights ({(double)Kept / Size:0.##%}), {MultiplyAddShare:0.##%} of the multiply-adds; {string.Join(", ", this.Select(d => string.Create(CultureInfo.InvariantCulture, $"{d.Key} {d.Value:0.####}")))}");

    private long CountOf(LayerShape layer) => (long)Math.Round(_densities[layer.Name] * layer.Size, MidpointRounding.AwayFromZero);
}
