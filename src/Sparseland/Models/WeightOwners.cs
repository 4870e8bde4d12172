using Sparseland.Tensors;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models;

/// <summary>Which parameters of a network are one: a matrix of two owners would be two matrices once a layer is replaced.</summary>
internal sealed class WeightOwners
{
    private readonly ILookup<nint, string> _owners;

    public WeightOwners(Module model) => _owners = model.named_modules().Prepend(("", model)).DistinctBy(m => m.Item2, ReferenceEqualityComparer.Instance)
        .SelectMany(m => m.Item2.named_parameters(recurse: false).Select(p => (Key: TensorMemory.Identity(p.parameter), Name: $"{m.Item1}.{p.name}".TrimStart('.'))))
        .ToLookup(p => p.Key, p => p.Name);

    /// <summary>Names of a weight besides its own; none where it is not tied.</summary>
    public IReadOnlyList<string> Others(Tensor weight, string name) => [.. _owners[TensorMemory.Identity(weight)].Where(other => other != name)];
}
