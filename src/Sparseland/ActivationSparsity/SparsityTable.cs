using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>The sparsity of the inputs of one layer.</summary>
/// <param name="Layer">Path of the layer.</param>
/// <param name="Inputs">Inputs.</param>
/// <param name="Outputs">Outputs.</param>
/// <param name="Sparsity">Share of the inputs that a token drops, in [0, 1).</param>
public sealed record LayerSparsity(string Layer, int Inputs, int Outputs, double Sparsity)
{
    /// <summary>Weights of the layer.</summary>
    public long Weights => (long)Inputs * Outputs;
}

/// <summary>One raise of a greedy allocation.</summary>
/// <param name="Block">Block, from 0.</param>
/// <param name="Layer">Path of the layer that was raised.</param>
/// <param name="Sparsity">Its sparsity after the raise.</param>
/// <param name="BlockSparsity">Sparsity of the block after it, weighed by weights.</param>
/// <param name="Error">Squared change of the block's output after it, over its squared size.</param>
public sealed record SparsityStep(int Block, string Layer, double Sparsity, double BlockSparsity, double Error);

/// <summary>A sparsity for each linear layer of a decoder.</summary>
/// <param name="Layers">The layers in the order of the network.</param>
/// <param name="Path">The raises that led here, block after block; empty where the sparsities were given.</param>
public sealed record SparsityTable(IReadOnlyList<LayerSparsity> Layers, IReadOnlyList<SparsityStep> Path)
{
    /// <summary>Sparsity of the model: the mean over layers, weighed by their number of weights. Embeddings, head and norms are not counted.</summary>
    public double Sparsity => Layers.Sum(l => l.Weights * l.Sparsity) / Layers.Sum(l => (double)l.Weights);

    /// <summary>The sparsity of a layer.</summary>
    /// <param name="layer">Path of the layer.</param>
    /// <exception cref="ArgumentException">There is no such layer.</exception>
    public double this[string layer] => Layers.FirstOrDefault(l => l.Layer == layer)?.Sparsity ?? throw NoLayer(layer);

    /// <summary>The same with another sparsity of one layer.</summary>
    /// <param name="layer">Path of the layer.</param>
    /// <param name="sparsity">In [0, 1).</param>
    /// <exception cref="ArgumentException">No such layer, or a sparsity outside.</exception>
    public SparsityTable With(string layer, double sparsity)
    {
        ActivationBudget.Checked(sparsity);
        if (!Layers.Any(l => l.Layer == layer)) throw NoLayer(layer);
        return new([.. Layers.Select(l => l.Layer == layer ? l with { Sparsity = sparsity } : l)], []);
    }

    /// <summary>The allocation that the same greedy search gives for a lower target: it lies on the way to this one.</summary>
    /// <param name="target">Sparsity of each block, in [0, 1).</param>
    /// <exception cref="ArgumentException">The target is outside, or the path ends below it.</exception>
    /// <exception cref="InvalidOperationException">The table has no path.</exception>
    public SparsityTable At(double target)
    {
        ActivationBudget.Checked(target, nameof(target));
        if (Path.Count == 0) throw new InvalidOperationException("This table was not made by a greedy search; it has no path to read other targets from.");
        Dictionary<string, double> reached = Layers.ToDictionary(l => l.Layer, _ => 0.0);
        var taken = new List<SparsityStep>();
        foreach (IGrouping<int, SparsityStep> block in Path.GroupBy(step => step.Block))
        {
            double at = 0;
            foreach (SparsityStep step in block)
            {
                if (at >= target - 1e-9) break;
                (reached[step.Layer], at) = (step.Sparsity, step.BlockSparsity);
                taken.Add(step);
            }

            if (at < target - 1e-9)
                throw new ArgumentOutOfRangeException(nameof(target), target, FormattableString.Invariant($"The path of block {block.Key} ends at a sparsity of {at:G4}; search for the higher target."));
        }

        return new([.. Layers.Select(l => l with { Sparsity = reached[l.Layer] })], taken);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    /// <summary>The layers of a model with nothing dropped.</summary>
    internal static SparsityTable Dense(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        LayerSparsity[] layers = [.. LinearSlots.Of(model).Select(slot => slot.Module is Linear linear
            ? new LayerSparsity(slot.Name, (int)linear.weight.shape[1], (int)linear.weight.shape[0], 0)
            : throw new ArgumentException($"{slot} is not linear; start from the dense model.", nameof(model)))];
        return layers.Length > 0 ? new(layers, []) : throw new ArgumentException("The model has no linear layers.", nameof(model));
    }

    /// <summary>Refuses a table of another model.</summary>
    internal void RequireFor(nn.Module model)
    {
        SparsityTable own = Dense(model);
        if (own.Layers.Count != Layers.Count) throw new ArgumentException($"The table has {Layers.Count} layers, the model {own.Layers.Count}: it is of another model.", "table");
        foreach ((LayerSparsity mine, LayerSparsity given) in own.Layers.Zip(Layers))
        {
            if ((mine.Layer, mine.Inputs, mine.Outputs) != (given.Layer, given.Inputs, given.Outputs))
                throw new ArgumentException($"The table has {given.Layer} [{given.Outputs}, {given.Inputs}] where the model has {mine.Layer} [{mine.Outputs}, {mine.Inputs}]: it is of another model.", "table");
            ActivationBudget.Checked(given.Sparsity, $"sparsity of {given.Layer}");
        }
    }

    private ArgumentException NoLayer(string layer) => new($"There is no layer \"{layer}\"; there are {string.Join(", ", Layers.Select(l => l.Layer))}.", nameof(layer));
}
