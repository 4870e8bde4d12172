using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Models;

/// <summary>Linear layers of a given weight.</summary>
internal static class LinearOf
{
    /// <summary>A new layer with a copy of a weight [out, in] and of a bias, in their type and on their device.</summary>
    public static Linear Weight(Tensor weight, Tensor? bias)
    {
        using IDisposable off = no_grad();
        Linear linear = nn.Linear(weight.shape[1], weight.shape[0], hasBias: bias is not null, dtype: weight.dtype, device: weight.device);
        linear.weight!.copy_(weight);
        if (bias is not null) linear.bias!.copy_(bias);
        foreach (Parameter parameter in linear.parameters()) parameter.DetachFromDisposeScope();
        return linear;
    }

    /// <summary>A parameter on the memory of a tensor, which stays as it is: trained or frozen here alone. No scope disposes it.</summary>
    public static Parameter Shared(Tensor value, bool trained = false) => Owned(value.detach(), trained);

    /// <summary>A parameter of a new tensor, which it takes over. No scope disposes it.</summary>
    public static Parameter Owned(Tensor value, bool trained = true)
    {
        var parameter = new Parameter(value.DetachFromDisposeScope(), requires_grad: trained);
        parameter.DetachFromDisposeScope();
        return parameter;
    }
}
