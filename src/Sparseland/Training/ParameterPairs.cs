using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>The parameters of two networks of one structure, side by side.</summary>
internal static class ParameterPairs
{
    /// <summary>Pairs in the order of the second network; a tied parameter stands once.</summary>
    /// <param name="before">The one.</param>
    /// <param name="after">The other.</param>
    /// <exception cref="ArgumentException">A parameter is missing in one of them, or has another shape; the message says both.</exception>
    public static (string Name, Parameter Before, Parameter After)[] Of(nn.Module before, nn.Module after)
    {
        ArgumentNullException.ThrowIfNull(before);
        ArgumentNullException.ThrowIfNull(after);
        Dictionary<string, Parameter> first = before.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        (string Name, Parameter Parameter)[] second = [.. after.named_parameters().Select(p => (p.name, p.parameter))];
        if (second.FirstOrDefault(p => !first.ContainsKey(p.Name)).Name is { } extra) throw new ArgumentException($"The network after has {extra}, the one before has not; they must have the same structure.", nameof(after));
        if (first.Keys.Except(second.Select(p => p.Name)).FirstOrDefault() is { } missing) throw new ArgumentException($"The network before has {missing}, the one after has not; they must have the same structure.", nameof(after));
        if (second.FirstOrDefault(p => !first[p.Name].shape.SequenceEqual(p.Parameter.shape)) is { Name: not null } other)
            throw new ArgumentException($"{other.Name} is [{string.Join(", ", first[other.Name].shape)}] before and [{string.Join(", ", other.Parameter.shape)}] after; they must have the same structure.", nameof(after));
        HashSet<nint> seen = [];
        return [.. second.Where(p => seen.Add(TensorMemory.Identity(p.Parameter))).Select(p => (p.Name, first[p.Name], p.Parameter))];
    }
}
