using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Models;

/// <summary>A layer in the place of a linear one that computes with W by other means (factors, blocks, a sparse part) and can become that linear layer again.</summary>
public interface IMergeableLinear
{
    /// <summary>W [out, in] as the layer computes with it; the caller disposes it.</summary>
    Tensor EffectiveWeight();

    /// <summary>A plain linear layer with this weight, and with the bias; it belongs to the caller. This layer stays as it is.</summary>
    Linear Merge();

    /// <summary>Numbers that the layer holds, frozen ones and the bias among them.</summary>
    long ParameterCount { get; }

    /// <summary>Multiply-adds of the forward pass for one token; the bias does not count.</summary>
    long MacsPerToken { get; }
}
