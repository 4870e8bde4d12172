using System.Globalization;
using Sparseland.Models;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>A layer whose mask is learned, in a network.</summary>
/// <param name="Name">Path in the network.</param>
/// <param name="Layer">The layer.</param>
public sealed record LearnedMaskLayer(string Name, LearnedMaskLinear Layer)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>What <see cref="PstModel.Merge"/> left in the network.</summary>
/// <param name="Zeros">Weights of the merged layers that are exactly zero.</param>
/// <param name="Weights">All weights of the merged layers.</param>
/// <param name="Warning">What is to be known before the network is used; null for nothing.</param>
public sealed record PstExport(long Zeros, long Weights, string? Warning)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// A network some of whose linear layers learn their masks, in place: PST, magnitude pruning and LoRA by <see cref="PstOptions"/>, movement pruning by
/// <see cref="MovementOptions"/>. It ends by <see cref="Merge"/>, which leaves ordinary sparse layers, or by <see cref="Dispose"/> alone, which puts the dense ones back.
/// </summary>
public sealed class PstModel : IDisposable
{
    private readonly IReadOnlyList<ReplacedLayer> _replaced;
    private readonly TrainedOnly _only;
    private bool _merged, _disposed;

    private PstModel(nn.Module module, IReadOnlyList<ReplacedLayer> replaced, TrainedOnly only)
    {
        (Module, _replaced, _only) = (module, replaced, only);
        Layers = [.. replaced.Select(r => new LearnedMaskLayer(r.Slot.Name, (LearnedMaskLinear)r.After))];
    }

    /// <summary>The network; it is the caller's.</summary>
    public nn.Module Module { get; }

    /// <summary>The layers, in the order of the network.</summary>
    public IReadOnlyList<LearnedMaskLayer> Layers { get; }

    /// <summary>v of the layers. 0 at first.</summary>
    public double Sparsity { get; private set; }

    /// <summary>The sparsity that a training is on its way to; null before one.</summary>
    public double? Target { get; internal set; }

    /// <summary>Numbers that are trained: of the layers and of what else was named, such as a head.</summary>
    public long TrainableParameters => Module.parameters().Where(p => p.requires_grad).Sum(p => p.numel());

    /// <summary>Puts PST layers in place of linear ones.</summary>
    /// <param name="module">The network.</param>
    /// <param name="layers">Which of <see cref="LinearSlots"/>, by name; null for all.</param>
    /// <param name="options">Ranks and factors, for all layers.</param>
    /// <param name="train">
    /// Which other parameters are trained too, by name ("head.weight"), of those that require a gradient; weights and biases of the converted layers are none of them. Null,
    /// the default, for none. The rest stays fixed until the end.
    /// </param>
    /// <exception cref="ArgumentException">
    /// No layer is named, or no other parameter where some are asked for, one has been converted already, is tied to another or has no linear layer any more, or a rank is above a layer's smaller side (named); nothing has changed then.
    /// </exception>
    public static PstModel Convert(nn.Module module, Func<string, bool>? layers, PstOptions options, Func<string, bool>? train = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        return Convert(module, layers, train, (name, linear, index) => new PstLinear(linear.weight!, linear.bias, options, name, index));
    }

    /// <summary>Puts layers of movement pruning in place of linear ones.</summary>
    /// <param name="module">The network.</param>
    /// <param name="layers">Which of <see cref="LinearSlots"/>, by name; null for all.</param>
    /// <param name="options">How often masks are chosen.</param>
    /// <param name="train">As for the other form.</param>
    /// <exception cref="ArgumentException">As for the other form.</exception>
    public static PstModel Convert(nn.Module module, Func<string, bool>? layers, MovementOptions options, Func<string, bool>? train = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        return Convert(module, layers, train, (name, linear, _) => new MovementLinear(linear.weight!, linear.bias, options, name));
    }

    /// <summary>Sets v in all layers.</summary>
    /// <param name="sparsity">From 0 to below 1.</param>
    /// <exception cref="ArgumentException">As for <see cref="LearnedMaskLinear.SetSparsity"/>; the layers before the one that is named have it already.</exception>
    /// <exception cref="ObjectDisposedException">Merged or disposed.</exception>
    public void SetSparsity(double sparsity)
    {
        ObjectDisposedException.ThrowIf(_merged || _disposed, this);
        foreach (LearnedMaskLayer layer in Layers) layer.Layer.SetSparsity(sparsity);
        Sparsity = sparsity;
    }

    /// <summary>Puts an ordinary layer with hard zeros in place of each; the network then saves and runs as any other, and nothing that was trained for the scores is left.</summary>
    /// <returns>The zeros, with a warning where the sparsity is not yet the one that the training is on its way to.</returns>
    /// <exception cref="ObjectDisposedException">Merged or disposed before.</exception>
    public PstExport Merge()
    {
        ObjectDisposedException.ThrowIf(_merged || _disposed, this);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Linear[] merged = [.. Layers.Select(l => l.Layer.ToLinear())];
        long zeros = 0, weights = 0;
        for (int i = 0; i < merged.Length; i++)
        {
            merged[i].train(Layers[i].Layer.training);
            _replaced[i].Slot.Put(merged[i]);
            weights += merged[i].weight!.numel();
            zeros += merged[i].weight!.eq(0).sum().item<long>();
        }

        _merged = true;
        string? warning = Target is { } target && Sparsity < target
            ? string.Create(CultureInfo.InvariantCulture, $"The sparsity is {Sparsity:0.####} and not yet the final {target:0.####}; the training was not finished.")
            : null;
        return new(zeros, weights, warning);
    }

    /// <summary>Lets other parameters be trained again. Puts the dense layers back, if the network was not merged; frees the layers that are no longer in it.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        if (!_merged) LinearSlots.Restore(_replaced);
        HashSet<nint> alive = _merged ? [.. Module.parameters().Select(TensorMemory.Identity)] : [];
        foreach (ReplacedLayer one in _replaced)
        {
            // A bias that another layer of the network shares lives on there.
            if (_merged && !one.Before.parameters().Any(p => alive.Contains(TensorMemory.Identity(p)))) one.Before.Dispose();
            one.After.Dispose();
        }

        _only.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"PstModel of {Layers.Count} layers ({Layers[0].Layer.GetType().Name}), sparsity {Sparsity:0.###}, {TrainableParameters:N0} parameters trained");

    private static PstModel Convert(nn.Module module, Func<string, bool>? layers, Func<string, bool>? train, Func<string, Linear, int, LearnedMaskLinear> make)
    {
        ArgumentNullException.ThrowIfNull(module);
        LinearSlot[] slots = [.. LinearSlots.Of(module).Where(slot => layers is null || layers(slot.Name))];
        if (slots.Length == 0) throw new ArgumentException("No linear layer of the network is named; LinearSlots lists those that there are.", nameof(layers));
        CheckSlots(module, slots);
        string[] own = [.. slots.SelectMany(slot => new[] { slot.Name + ".weight", slot.Name + ".bias" })], others = [.. module.named_parameters().Select(p => p.name).Except(own)];
        if (train is not null && !others.Any(train))
        {
            string fixedOne = own.FirstOrDefault(train) is { } name ? $"{name} belongs to a layer that is converted and stays as it is" : "No parameter is trained besides the layers by that name";
            throw new ArgumentException($"{fixedOne}; there are {string.Join(", ", others)}.", nameof(train));
        }

        var made = new List<LearnedMaskLinear>();
        try
        {
            foreach (LinearSlot slot in slots) made.Add(make(slot.Name, (Linear)slot.Module, made.Count));
        }
        catch
        {
            foreach (LearnedMaskLinear layer in made) layer.Dispose();
            throw;
        }

        var replaced = new List<ReplacedLayer>();
        foreach ((LinearSlot slot, LearnedMaskLinear layer) in slots.Zip(made))
        {
            layer.train(slot.Module.training);
            replaced.Add(new(slot, slot.Module, layer));
            slot.Put(layer);
        }

        Parameter[] trained = [.. made.SelectMany(layer => layer.parameters()), .. module.named_parameters().Where(p => train is not null && train(p.name)).Select(p => p.parameter)];
        return new(module, replaced, new TrainedOnly(module, trained));
    }

    private static void CheckSlots(nn.Module module, LinearSlot[] slots)
    {
        var owners = new WeightOwners(module);
        var seen = new HashSet<nint>();
        foreach (LinearSlot slot in slots)
        {
            if (slot.Module is LearnedMaskLinear) throw new ArgumentException($"{slot.Name} is a {slot.Module.GetType().Name} already; a layer is converted once.", nameof(slots));
            if (slot.Module is not Linear linear) throw new ArgumentException($"{slot.Name} is a {slot.Module.GetType().Name}, not a linear layer; merge it first.", nameof(slots));
            IReadOnlyList<string> others = owners.Others(linear.weight!, slot.Name + ".weight");
            if (!seen.Add(TensorMemory.Identity(linear.weight!)) || others.Count > 0) throw new ArgumentException($"{slot.Name} is tied: its weight is also {string.Join(" and ", others)}. Leave it out.", nameof(slots));
        }
    }
}
