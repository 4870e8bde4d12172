using System.Reflection;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using Module = TorchSharp.torch.nn.Module;

namespace Sparseland.Models;

/// <summary>A place of a network that takes a linear layer, or another in its stead.</summary>
public sealed class LinearSlot
{
    private readonly Func<Module<Tensor, Tensor>> _get;
    private readonly Action<Module<Tensor, Tensor>> _put;

    internal LinearSlot(string name, Func<Module<Tensor, Tensor>> get, Action<Module<Tensor, Tensor>> put) => (Name, _get, _put) = (name, get, put);

    /// <summary>Path in the network, "model.layers.0.self_attn.q_proj".</summary>
    public string Name { get; }

    /// <summary>The layer that stands here.</summary>
    public Module<Tensor, Tensor> Module => _get();

    /// <summary>Puts another layer here; the one before stays alive and belongs to the caller.</summary>
    /// <param name="layer">From [..., in] to [..., out], as the linear layer.</param>
    public void Put(Module<Tensor, Tensor> layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        _put(layer);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name}: {Module.GetType().Name}";
}

/// <summary>A layer that was put in another's place.</summary>
/// <param name="Slot">The place.</param>
/// <param name="Before">What stood there; it belongs to the caller, who puts it back or disposes it.</param>
/// <param name="After">What stands there.</param>
public sealed record ReplacedLayer(LinearSlot Slot, Module<Tensor, Tensor> Before, Module<Tensor, Tensor> After);

/// <summary>
/// The linear layers of any network here, by the type of module and not by names of layers, and their replacement by others: pruned, factored, sparse,
/// quantised. Decoders, encoders and vision transformers give the matrices of their blocks (not embeddings and heads); a Sequential and a residual network give their own.
/// </summary>
public static class LinearSlots
{
    private static readonly FieldInfo? s_layers = typeof(Sequential).GetField("_modules", BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public);

    /// <summary>All slots, in the order of the network.</summary>
    /// <param name="model">The network.</param>
    public static IReadOnlyList<LinearSlot> Of(Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var slots = new List<LinearSlot>();
        foreach ((string name, Module module) in model.named_modules().Prepend(("", model)).DistinctBy(m => m.Item2, ReferenceEqualityComparer.Instance))
        {
            if (module is ILinearPlaces places)
            {
                slots.AddRange(places.Places.Select(p => InPlace(Join(name, p.Path), p.Place)));
            }
            else if (module is Sequential sequential)
            {
                foreach ((string child, Module layer) in sequential.named_children())
                {
                    if (layer is Linear _ or IMergeableLinear) slots.Add(InSequential(Join(name, child), sequential, (Module<Tensor, Tensor>)layer));
                }
            }
        }

        return slots;
    }

    /// <summary>The places of the two-dimensional convolutions of residual networks and of all Sequentials of a network, in its order; another layer from [samples, in, rows, columns] may stand there.</summary>
    /// <param name="model">The network.</param>
    public static IReadOnlyList<LinearSlot> ConvolutionsOf(Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return [.. model.named_modules().Prepend(("", model)).DistinctBy(m => m.Item2, ReferenceEqualityComparer.Instance)
            .SelectMany(m => m.Item2 switch
            {
                IConvolutionPlaces places => places.Places.Where(p => p.Place.Current is Conv2d).Select(p => InPlace(Join(m.Item1, p.Path), p.Place)),
                Sequential sequential => sequential.named_children().Where(c => c.module is Conv2d).Select(c => InSequential(Join(m.Item1, c.name), sequential, (Conv2d)c.module)),
                _ => [],
            })];
    }

    /// <summary>The slot of a name.</summary>
    /// <param name="model">The network.</param>
    /// <param name="name">Path of the layer.</param>
    /// <exception cref="ArgumentException">There is none of this name.</exception>
    public static LinearSlot Find(Module model, string name)
    {
        IReadOnlyList<LinearSlot> slots = Of(model);
        return slots.FirstOrDefault(s => s.Name == name) ?? throw new ArgumentException($"There is no linear layer \"{name}\"; there are {string.Join(", ", slots.Select(s => s.Name))}.", nameof(name));
    }

    /// <summary>Replaces linear layers.</summary>
    /// <param name="model">The network.</param>
    /// <param name="replacement">From name and layer to what takes its place; null leaves it. Layers that are no longer linear are passed over.</param>
    /// <returns>What was replaced, for <see cref="Restore"/>; the layers before belong to the caller now.</returns>
    public static IReadOnlyList<ReplacedLayer> Replace(Module model, Func<string, Linear, Module<Tensor, Tensor>?> replacement)
    {
        ArgumentNullException.ThrowIfNull(replacement);
        return ReplaceAny(model, (name, layer) => layer is Linear linear ? replacement(name, linear) : null);
    }

    /// <summary>Makes replaced layers linear again, so that the network saves as a folder of its architecture.</summary>
    /// <param name="model">The network.</param>
    /// <param name="merge">From name and layer, one that is not linear, to a linear layer of the same shape; null leaves it.</param>
    /// <returns>What was replaced; the layers before belong to the caller now.</returns>
    public static IReadOnlyList<ReplacedLayer> Merge(Module model, Func<string, Module<Tensor, Tensor>, Linear?> merge)
    {
        ArgumentNullException.ThrowIfNull(merge);
        return ReplaceAny(model, (name, layer) => layer is Linear ? null : merge(name, layer));
    }

    /// <summary>Makes every replaced layer that knows how (<see cref="IMergeableLinear"/>) a linear one again.</summary>
    /// <param name="model">The network.</param>
    /// <returns>What was replaced; the layers before belong to the caller now.</returns>
    /// <exception cref="ArgumentException">There is no such layer: nothing would change.</exception>
    public static IReadOnlyList<ReplacedLayer> MergeAll(Module model)
    {
        IReadOnlyList<ReplacedLayer> merged = Merge(model, (_, layer) => (layer as IMergeableLinear)?.Merge());
        return merged.Count > 0 ? merged : throw new ArgumentException("No linear layer of the network has been replaced by one that merges; nothing would change.", nameof(model));
    }

    /// <summary>Puts back what stood in the places; what had replaced it stays alive and belongs to the caller.</summary>
    /// <param name="replaced">What <see cref="Replace"/> gave.</param>
    public static void Restore(IEnumerable<ReplacedLayer> replaced)
    {
        ArgumentNullException.ThrowIfNull(replaced);
        foreach (ReplacedLayer one in replaced) one.Slot.Put(one.Before);
    }

    private static List<ReplacedLayer> ReplaceAny(Module model, Func<string, Module<Tensor, Tensor>, Module<Tensor, Tensor>?> replacement)
    {
        var replaced = new List<ReplacedLayer>();
        foreach (LinearSlot slot in Of(model))
        {
            Module<Tensor, Tensor> before = slot.Module;
            if (replacement(slot.Name, before) is not { } after || ReferenceEquals(after, before)) continue;
            after.train(before.training);
            slot.Put(after);
            replaced.Add(new(slot, before, after));
        }

        return replaced;
    }

    private static LinearSlot InPlace(string name, LayerPlace place) => new(name, () => place.Current, place.Put);

    private static LinearSlot InSequential(string name, Sequential owner, Module<Tensor, Tensor> layer)
    {
        // TorchSharp's Sequential has no setter; its list of layers is what its forward pass walks.
        if (s_layers?.GetValue(owner) is not List<IModule<Tensor, Tensor>> layers) throw new NotSupportedException("This version of TorchSharp keeps the layers of a Sequential elsewhere; they cannot be replaced.");
        int at = layers.FindIndex(other => ReferenceEquals(other, layer));
        return new(name, () => (Module<Tensor, Tensor>)layers[at], other => layers[at] = other);
    }

    private static string Join(string path, string name) => path.Length == 0 ? name : $"{path}.{name}";
}
