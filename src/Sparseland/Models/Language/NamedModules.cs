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
}
