using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models;

/// <summary>
/// The place of a layer in a block, where another layer may come to stand (<see cref="LinearSlots"/>). A block keeps its layers in places and not in
/// fields of its own: TorchSharp takes a module in any field for a part of the block, also one that has been replaced.
/// </summary>
internal class LayerPlace
{
    private Module? _owner;

    public LayerPlace(Module<Tensor, Tensor> first) => Current = first;

    /// <summary>Name within the owner.</summary>
    public string Name { get; private set; } = "";

    /// <summary>What stands there.</summary>
    public Module<Tensor, Tensor> Current { get; private set; }

    /// <summary>What stands there, as the layer that it was made for.</summary>
    /// <exception cref="InvalidOperationException">It has been replaced by a layer of another kind.</exception>
    public T As<T>()
        where T : Module<Tensor, Tensor> =>
        Current as T ?? throw new InvalidOperationException($"{Name} is no longer a {typeof(T).Name}: a {Current.GetType().Name} stands in its place. Ask LinearSlots for it.");

    /// <summary>Registers the places with the module whose children they are.</summary>
    public static T Bind<T>(T owner, params ReadOnlySpan<(string Name, LayerPlace Place)> places)
        where T : Module
    {
        foreach ((string name, LayerPlace place) in places) (place._owner, place.Name) = (owner, name);
        return owner;
    }

    public Tensor call(Tensor input) => Current.call(input);

    /// <summary>Puts another layer here, in the same order of the owner's children; the one before stays alive.</summary>
    public void Put(Module<Tensor, Tensor> layer)
    {
        (string Name, Module Module)[] children = [.. _owner!.named_children()];
        int at = Array.FindIndex(children, c => c.Name == Name);
        foreach ((string name, _) in children[at..]) _owner.register_module(name, null!);
        _owner.register_module(Name, layer);
        foreach ((string name, Module module) in children[(at + 1)..]) _owner.register_module(name, module);
        Current = layer;
    }
}

/// <summary>A module with convolutions that may be replaced.</summary>
internal interface IConvolutionPlaces
{
    /// <summary>The places, with their paths below the module.</summary>
    IEnumerable<(string Path, LayerPlace Place)> Places { get; }
}
