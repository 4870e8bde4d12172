using System.Globalization;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// From a total density to one density per layer. Each rule gives a raw value to each layer; densities are proportional to it, and a layer that would pass 1
/// is dense, with its surplus going to the others (Mocanu et al. 2018; Evci et al. 2020), so that the total always holds.
/// </summary>
/// <param name="Name">Short name.</param>
public abstract record LayerAllocation(string Name)
{
    /// <summary>The share of the last linear layer that <see cref="UniformPlus"/> keeps at least (Gale et al. 2019).</summary>
    public const double LastLayerOfUniformPlus = 0.2;

    /// <summary>Every layer has the total's density.</summary>
    public static LayerAllocation Uniform { get; } = new Proportional("uniform", _ => 1, LastDense: false);

    /// <summary>Uniform, with the first convolution dense and the last linear layer at least 20 % dense; the other layers are solved so that the total holds.</summary>
    public static LayerAllocation UniformPlus { get; } = new UniformWithEnds();

    /// <summary>Erdős-Rényi: proportional to (inputs + outputs) / (inputs outputs), channels only.</summary>
    public static LayerAllocation Er { get; } = new Proportional("ER", layer => (double)(layer.FanIn + layer.FanOut) / (layer.FanIn * layer.FanOut), LastDense: false);

    /// <summary>Erdős-Rényi with kernels: proportional to the sum of all dimensions of the weight over their product. The same as <see cref="Er"/> on linear layers.</summary>
    public static LayerAllocation Erk { get; } = new Proportional("ERK", layer => (double)layer.Dimensions.Sum() / layer.Size, LastDense: false);

    /// <summary><see cref="Erk"/> with the last linear layer dense; the total is the same.</summary>
    public static LayerAllocation ErkPlus { get; } = new Proportional("ERK+", layer => (double)layer.Dimensions.Sum() / layer.Size, LastDense: true);

    /// <summary>All rules, from the simplest.</summary>
    public static IReadOnlyList<LayerAllocation> All { get; } = [Uniform, UniformPlus, Er, Erk, ErkPlus];

    /// <summary>Solves for the density of each layer.</summary>
    /// <param name="layers">The layers; see <see cref="LayerShape.Of"/>.</param>
    /// <param name="density">Share of all their weights that is kept, above 0 and at most 1.</param>
    /// <exception cref="ArgumentException">
    /// A density out of its range, or below what layers need that the rule keeps dense (the least is named); no layer, an empty one, one name twice; or a layer that
    /// would lose all its weights, which is named.
    /// </exception>
    public LayerDensities Solve(IReadOnlyList<LayerShape> layers, double density)
    {
        CheckInput(layers, density);
        return Densities(layers, density);
    }

    /// <summary>The densities that a global ranking of scores gives each layer, without the places: what is left of a method when its choice within layers is drawn at random.</summary>
    /// <param name="name">Name of the method.</param>
    /// <param name="layers">The layers.</param>
    /// <param name="scores">A score for each weight of each layer, higher is kept, by the name of the weight.</param>
    /// <param name="density">Share of all weights that is kept, above 0 and at most 1.</param>
    /// <exception cref="ArgumentException">As for <see cref="Solve"/>; a layer without scores, scores of another shape, or one that is not finite.</exception>
    public static LayerDensities FromScores(string name, IReadOnlyList<LayerShape> layers, IReadOnlyDictionary<string, Tensor> scores, double density)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        CheckInput(layers, density);
        ArgumentNullException.ThrowIfNull(scores);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor[] parts = [.. layers.Select(layer => Flat(layer, scores))];
        Support kept = Select.TopK(cat(parts), Budget.Global(checked((int)PruningPattern.Kept(layers.Sum(layer => layer.Size), 1 - density))));
        Tensor[] masks = kept.ToMask().split([.. layers.Select(layer => layer.Size)]);
        return new(name, layers, density, [.. layers.Select((layer, i) => (double)MaskSet.TrueIn(masks[i]) / layer.Size)], []);
    }

    /// <summary>Solves with arguments that were checked.</summary>
    private protected abstract LayerDensities Densities(IReadOnlyList<LayerShape> layers, double density);

    /// <summary>The loop that all proportional rules share.</summary>
    private static LayerDensities Proportionally(string name, IReadOnlyList<LayerShape> layers, double density, Func<LayerShape, double> raw, HashSet<string> dense)
    {
        long size = layers.Sum(layer => layer.Size), forced = layers.Where(layer => dense.Contains(layer.Name)).Sum(layer => layer.Size);
        if (density < 1 && density * size <= forced) throw TooFew(name, density, (double)forced / size, string.Join(", ", dense));
        double[] values = [.. layers.Select(raw)];
        var rounds = new List<AllocationRound>();
        double epsilon = 0;
        while (dense.Count < layers.Count)
        {
            double weighted = 0, left = density * size;
            for (int i = 0; i < layers.Count; i++)
            {
                if (dense.Contains(layers[i].Name)) left -= layers[i].Size;
                else weighted += values[i] * layers[i].Size;
            }

            epsilon = left / weighted;
            double largest = layers.Select((layer, i) => dense.Contains(layer.Name) ? 0 : values[i]).Max();
            string[] saturated = largest * epsilon > 1 ? [.. layers.Where((layer, i) => !dense.Contains(layer.Name) && values[i] == largest).Select(layer => layer.Name)] : [];
            rounds.Add(new(epsilon, saturated));
            if (saturated.Length == 0) break;
            dense.UnionWith(saturated);
        }

        return new(name, layers, density, [.. layers.Select((layer, i) => dense.Contains(layer.Name) ? 1 : Math.Min(1, epsilon * values[i]))], rounds);
    }

    private static ArgumentException TooFew(string name, double density, double least, string which) => new(
        string.Create(CultureInfo.InvariantCulture, $"{name} keeps {which}, which alone needs a total density of {least:G4}; {density:G4} is too little."), nameof(density));

    private static string? LastLinear(IReadOnlyList<LayerShape> layers) => layers.LastOrDefault(layer => !layer.IsConvolution)?.Name;

    private static Tensor Flat(LayerShape layer, IReadOnlyDictionary<string, Tensor> scores)
    {
        if (!scores.TryGetValue(layer.Name, out Tensor? values)) throw new ArgumentException($"{layer.Name} has no scores; there are those of {string.Join(", ", scores.Keys)}.", nameof(scores));
        if (!values.shape.SequenceEqual(layer.Dimensions))
            throw new ArgumentException($"The scores of {layer.Name} are [{string.Join(", ", values.shape)}], its weight is [{string.Join(", ", layer.Dimensions)}].", nameof(scores));
        if (!TensorInput.IsFinite(values)) throw new ArgumentException($"A score of {layer.Name} is not finite.", nameof(scores));
        return values.detach().cpu().to(ScalarType.Float64).flatten();
    }

    private static void CheckInput(IReadOnlyList<LayerShape> layers, double density)
    {
        ArgumentNullException.ThrowIfNull(layers);
        if (!(density is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(density), density, "A density must lie above 0 and not above 1.");
        if (layers.Count == 0) throw new ArgumentException("There are no layers to share out weights among.", nameof(layers));
        foreach (LayerShape layer in layers)
        {
            if (layer is null || layer.Dimensions.Count < 2 || layer.Dimensions.Any(size => size < 1))
                throw new ArgumentException($"{layer?.Name ?? "A layer"} is [{string.Join(", ", layer?.Dimensions ?? [])}]; a weight has two or more dimensions, none of them 0.", nameof(layers));
        }

        if (layers.GroupBy(layer => layer.Name).FirstOrDefault(group => group.Count() > 1) is { } twice) throw new ArgumentException($"{twice.Key} stands twice among the layers.", nameof(layers));
    }

    private sealed record Proportional(string Name, Func<LayerShape, double> Raw, bool LastDense) : LayerAllocation(Name)
    {
        private protected override LayerDensities Densities(IReadOnlyList<LayerShape> layers, double density) =>
            Proportionally(Name, layers, density, Raw, LastDense && LastLinear(layers) is { } last ? [last] : []);

        public override string ToString() => Name;
    }

    private sealed record UniformWithEnds() : LayerAllocation("uniform+")
    {
        private protected override LayerDensities Densities(IReadOnlyList<LayerShape> layers, double density)
        {
            string? first = layers.FirstOrDefault(layer => layer.IsConvolution)?.Name, last = LastLinear(layers);
            double size = layers.Sum(layer => layer.Size), fixedWeights = 0, rest = size;
            double[] densities = new double[layers.Count];
            void Fix(string? name, double to)
            {
                if (name is null) return;
                int at = layers.Select((layer, i) => (layer, i)).First(pair => pair.layer.Name == name).i;
                densities[at] = to;
                (fixedWeights, rest) = (fixedWeights + (to * layers[at].Size), rest - layers[at].Size);
            }

            Fix(first, 1);

            // Where the first convolution is all there is, no other layer makes up for it.
            double share = rest == 0 ? density < 1 ? 0 : 1 : ((density * size) - fixedWeights) / rest;
            if (share < LastLayerOfUniformPlus && last is not null)
            {
                Fix(last, LastLayerOfUniformPlus);
                share = rest == 0 ? 0 : ((density * size) - fixedWeights) / rest;
            }

            if (!(share > 0)) throw TooFew(Name, density, fixedWeights / size, $"{first ?? "no convolution"} dense and a fifth of {last ?? "no linear layer"}");
            return new(Name, layers, density, [.. densities.Select(d => d > 0 ? d : Math.Min(1, share))], []);
        }

        public override string ToString() => Name;
    }
}
