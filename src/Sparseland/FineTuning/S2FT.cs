using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>A layer of which a slice is trained, in a network.</summary>
/// <param name="Name">Path in the network.</param>
/// <param name="Layer">The layer.</param>
public sealed record SlicedLayer(string Name, SliceLinear Layer)
{
    /// <inheritdoc/>
    public override string ToString() => Tensors.Readable.Of(this);
}

/// <summary>
/// Structured sparse fine-tuning (S2FT; Yang et al. 2024): of coupled structures a few channels or heads are selected, and of each matrix only their slice is trained, as a dense piece.
/// </summary>
public static class S2FT
{
    /// <summary>Puts layers with trained slices into a decoder; every other parameter stays fixed until the end.</summary>
    /// <param name="model">The decoder.</param>
    /// <param name="selections">What is trained, at most one selection per matrix.</param>
    /// <exception cref="ArgumentException">No selection, one for other sizes, two of one matrix, or a layer that is not linear any more or tied to another; nothing has changed then.</exception>
    public static S2FTModel Attach(TinyLM model, params IReadOnlyList<StructureSelection> selections)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(selections);
        if (selections.Count == 0) throw new ArgumentException("There is no selection; nothing would be trained.", nameof(selections));
        if (selections.GroupBy(s => s.Matrix).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new ArgumentException($"There are two selections for {twice.Key}; their channels could be the same ones.", nameof(selections));
        var made = new Dictionary<string, SliceLinear>();
        var owners = new WeightOwners(model);
        try
        {
            foreach (StructureSelection selection in selections)
            {
                selection.CheckFor(model.Config, nameof(selections));
                LinearSlot[] slots = StructureScores.SlotsOf(model, selection.Matrix);
                for (int layer = 0; layer < slots.Length; layer++)
                {
                    int[] indices = selection.IndicesOf(layer, model.Config);
                    if (indices.Length == 0) continue;
                    string name = slots[layer].Name;
                    if (slots[layer].Module is not Linear linear) throw new ArgumentException($"{name} is a {slots[layer].Module.GetType().Name}, no linear layer; a slice is attached once.", nameof(model));
                    if (owners.Others(linear.weight, name + ".weight") is { Count: > 0 } others) throw new ArgumentException($"{name} is tied: its weight is also {string.Join(" and ", others)}. Leave it out.", nameof(model));
                    made.Add(name, new SliceLinear(linear, selection.Matrix.SideOf(), indices, name));
                }
            }
        }
        catch
        {
            foreach (SliceLinear layer in made.Values) layer.Dispose();
            throw;
        }

        return new(model, LinearSlots.Replace(model, (name, _) => made.GetValueOrDefault(name)));
    }
}

/// <summary>A decoder in S2FT, until it ends by <see cref="Merge"/> or by <see cref="Dispose"/> alone, which leaves the base as it was.</summary>
public sealed class S2FTModel : IDisposable
{
    private readonly IReadOnlyList<ReplacedLayer> _replaced;
    private readonly TrainedOnly _only;
    private bool _ended;

    internal S2FTModel(TinyLM model, IReadOnlyList<ReplacedLayer> replaced)
    {
        (Model, _replaced) = (model, replaced);
        Layers = [.. replaced.Select(r => new SlicedLayer(r.Slot.Name, (SliceLinear)r.After))];
        _only = new(model, [.. Layers.Select(l => l.Layer.Delta)]);
    }

    /// <summary>The decoder; it is the caller's.</summary>
    public TinyLM Model { get; }

    /// <summary>The layers with a slice, in the order of the network.</summary>
    public IReadOnlyList<SlicedLayer> Layers { get; }

    /// <summary>Numbers that are trained.</summary>
    public long TrainableParameters => Layers.Sum(l => l.Layer.TrainedCount);

    /// <summary>Numbers per token that are kept for the gradients of the slices, over all layers.</summary>
    public long SavedActivationsPerToken => Layers.Sum(l => l.Layer.SavedActivationsPerToken);

    /// <summary>The update as it is now, apart from the network.</summary>
    /// <exception cref="ObjectDisposedException">Merged or disposed.</exception>
    public SliceAdapter Adapter()
    {
        ObjectDisposedException.ThrowIf(_ended, this);
        return new(new("s2ft", AdapterMeaning.Added,
        [
            .. Layers.Select(l => new SparseUpdate(
                l.Name + ".weight", l.Layer.Weight.shape, l.Layer.Side == SliceSide.Input ? UpdateForm.Columns : UpdateForm.Rows, [.. l.Layer.Indices.Select(i => (long)i)], l.Layer.Delta, SparseUpdate.HashOf(l.Layer.Weight))),
        ]));
    }

    /// <summary>Adds the slices to the weights and puts the ordinary layers back; once.</summary>
    /// <exception cref="ObjectDisposedException">Merged or disposed before.</exception>
    public void Merge()
    {
        ObjectDisposedException.ThrowIf(_ended, this);
        using (DisposeScope scope = NewDisposeScope())
        using (IDisposable off = no_grad())
            foreach (SlicedLayer one in Layers) one.Layer.Weight.copy_(one.Layer.EffectiveWeight());
        Dispose();
    }

    /// <summary>Puts the ordinary layers back and lets other parameters be trained again.</summary>
    public void Dispose()
    {
        if (_ended) return;
        _ended = true;
        LinearSlots.Restore(_replaced);
        _only.Dispose();
        foreach (SlicedLayer one in Layers) one.Layer.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"S2FTModel of {Layers.Count} layers, {TrainableParameters} numbers trained";
}
