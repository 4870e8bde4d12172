using static TorchSharp.torch.nn;

namespace Sparseland.Models.Language;

/// <summary>A level of names: modules under the names that a checkpoint has for them.</summary>
internal sealed class NamedModules : Module
{
    public NamedModules(params (string Name, Module Module)[] modules)
        : base(nameof(NamedModules))
    {
        foreach ((string name, Module module) in modules) register_module(name, module);
    }

    /// <summary>A level of linear layers that may be replaced, with other modules behind them.</summary>
    public static NamedModules Of((string Name, LinearPlace Place)[] places, params (string Name, Module Module)[] others) =>
        LayerPlace.Bind(new NamedModules([.. places.Select(p => (p.Name, (Module)p.Place.Current)), .. others]), [.. places.Select(p => (p.Name, (LayerPlace)p.Place))]);
}
