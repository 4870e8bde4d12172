using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// The hidden nodes of a multi-layer perceptron that stay, with all weights between them. A node that goes takes its incoming row, its bias and its outgoing column along.
/// </summary>
public sealed record NodeMask : SparseCandidate
{
    private readonly int[][] _kept;

    /// <summary>Given nodes.</summary>
    /// <param name="layers">For each hidden layer whether a node stays; at least one stays in each.</param>
    /// <exception cref="ArgumentException">No hidden layer, or one without a node.</exception>
    public NodeMask(IReadOnlyList<IReadOnlyList<bool>> layers)
    {
        ArgumentNullException.ThrowIfNull(layers);
        if (layers.Count == 0) throw new ArgumentException("There is no hidden layer.", nameof(layers));
        _kept = [.. layers.Select(layer => Enumerable.Range(0, layer.Count).Where(i => layer[i]).ToArray())];
        Widths = [.. layers.Select(layer => layer.Count)];
        int empty = Array.FindIndex(_kept, kept => kept.Length == 0);
        if (empty >= 0) throw new ArgumentException($"Hidden layer {empty} keeps none of its {Widths[empty]} nodes; at least one must stay.", nameof(layers));
    }

    /// <summary>Nodes of the parent's hidden layers.</summary>
    public IReadOnlyList<int> Widths { get; }

    /// <summary>Kept nodes of each hidden layer, ascending.</summary>
    public IReadOnlyList<IReadOnlyList<int>> Kept => _kept;

    /// <summary>Weights between kept nodes, without biases: d k + k k + k c for two hidden layers.</summary>
    /// <param name="inputs">d.</param>
    /// <param name="classes">c.</param>
    public long Weights(int inputs, int classes) => Product([inputs, .. _kept.Select(k => k.Length), classes]);

    /// <summary>Share of the parent's weights that go: more than the share of its nodes, since a weight needs both its ends.</summary>
    /// <param name="inputs">Inputs of the parent.</param>
    /// <param name="classes">Its classes.</param>
    public double WeightSparsity(int inputs, int classes) => 1 - ((double)Weights(inputs, classes) / Product([inputs, .. Widths, classes]));

    /// <summary>Random nodes: k = max(1, round((1 - s) H)) of the H of each hidden layer, without replacement.</summary>
    /// <param name="widths">H of each hidden layer.</param>
    /// <param name="sparsity">s, from 0 to below 1.</param>
    /// <param name="seed">Seed.</param>
    /// <exception cref="ArgumentException">No hidden layer, a width that is not positive, or s out of its range.</exception>
    public static NodeMask Random(IReadOnlyList<int> widths, double sparsity, long seed)
    {
        ArgumentNullException.ThrowIfNull(widths);
        if (!(sparsity is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, "The share of nodes that go must be from 0 to below 1.");
        if (widths.Any(width => width < 1)) throw new ArgumentException($"The widths are [{string.Join(", ", widths)}]; they must be positive.", nameof(widths));
        return new([.. widths.Select((width, layer) =>
        {
            int[] nodes = new SeededRandom(seed, 600 + layer).Permutation<int>(width);
            bool[] kept = new bool[width];
            foreach (int node in nodes[..CountOf(width, sparsity)]) kept[node] = true;
            return kept;
        })]);
    }

    /// <summary>k = max(1, round((1 - s) H)).</summary>
    internal static int CountOf(int width, double sparsity) => Math.Max(1, (int)Math.Round((1 - sparsity) * width, MidpointRounding.AwayFromZero));

    /// <summary>Masks of the parent's weights. Biases are not masked: that of a node that went changes nothing, for its outgoing column is masked.</summary>
    /// <inheritdoc/>
    public override MaskSet Apply(Sequential parent)
    {
        (string Name, Linear Layer)[] layers = Checked(parent);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        var masks = new Dictionary<string, Tensor>();
        for (int l = 0; l < layers.Length; l++)
        {
            Tensor mask = ones_like(layers[l].Layer.weight!, ScalarType.Bool);
            if (l < _kept.Length) mask = mask.logical_and(Bits(l).unsqueeze(1));
            if (l > 0) mask = mask.logical_and(Bits(l - 1).unsqueeze(0));
            masks[layers[l].Name + ".weight"] = mask;
        }

        return MaskSet.Of(parent, masks);
    }

    /// <summary>The truly smaller network, whose outputs are those of the parent with the other nodes' activations set to zero.</summary>
    /// <param name="parent">The parent; it stays.</param>
    /// <param name="rescale">
    /// Whether weights that lost some of their inputs are multiplied with sqrt(H/k), so that what comes in keeps its variance. Default false: it makes a sparse network look
    /// better initialised, which is another question.
    /// </param>
    /// <exception cref="ArgumentException">Other hidden layers than the parent's, or layers that are not linear or ReLU.</exception>
    public Sequential Shrink(Sequential parent, bool rescale = false)
    {
        (string Name, Linear Layer)[] layers = Checked(parent);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        var small = new List<(Tensor, Tensor?)>();
        for (int l = 0; l < layers.Length; l++)
        {
            Tensor weight = layers[l].Layer.weight!;
            Tensor? bias = layers[l].Layer.bias;
            if (l < _kept.Length) (weight, bias) = (weight.index_select(0, Places(l)), bias?.index_select(0, Places(l)));
            if (l > 0) weight = weight.index_select(1, Places(l - 1));
            if (l > 0 && rescale) weight = weight * Math.Sqrt((double)Widths[l - 1] / _kept[l - 1].Length);
            small.Add((weight, bias));
        }

        Sequential network = Perceptron(parent, small);
        foreach (Parameter parameter in network.parameters()) parameter.DetachFromDisposeScope();
        return network;
    }

    /// <inheritdoc/>
    public override Sequential Build(Sequential parent) => Shrink(parent);

    /// <summary>Whether the same nodes stay.</summary>
    /// <param name="other">Another mask.</param>
    public bool Equals(NodeMask? other) => other is not null && Widths.SequenceEqual(other.Widths) && _kept.Zip(other._kept).All(pair => pair.First.AsSpan().SequenceEqual(pair.Second));

    /// <inheritdoc/>
    public override int GetHashCode() => _kept.SelectMany(k => k).Aggregate(Widths.Count, HashCode.Combine);

    /// <inheritdoc/>
    public override string ToString() => $"NodeMask of {string.Join(", ", _kept.Select((kept, l) => $"{kept.Length} of {Widths[l]}"))} nodes";

    private static long Product(IReadOnlyList<int> widths) => Enumerable.Range(1, widths.Count - 1).Sum(l => (long)widths[l - 1] * widths[l]);

    private Tensor Places(int layer) => tensor(_kept[layer].Select(i => (long)i).ToArray());

    private Tensor Bits(int layer) => tensor(Enumerable.Range(0, Widths[layer]).Select(i => Array.BinarySearch(_kept[layer], i) >= 0).ToArray());

    private (string Name, Linear Layer)[] Checked(Sequential parent)
    {
        (string Name, Linear Layer)[] layers = LayersOf(parent);
        int[] widths = [.. layers.SkipLast(1).Select(layer => (int)layer.Layer.weight!.shape[0])];
        return widths.SequenceEqual(Widths) ? layers
            : throw new ArgumentException($"The mask is of hidden layers of {string.Join(", ", Widths)} nodes, the parent has {string.Join(", ", widths)}.", nameof(parent));
    }
}
