using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>While it lives, no parameter of a network but the given ones asks for a gradient.</summary>
internal sealed class TrainedOnly : IDisposable
{
    private readonly List<Parameter> _stopped = [];

    public TrainedOnly(nn.Module model, IReadOnlyCollection<Parameter> trained)
    {
        HashSet<nint> those = [.. trained.Select(p => TensorMemory.Identity(p))];
        foreach ((_, Parameter parameter) in model.named_parameters())
        {
            if (!parameter.requires_grad || those.Contains(TensorMemory.Identity(parameter))) continue;
            parameter.requires_grad = false;
            _stopped.Add(parameter);
        }
    }

    public void Dispose()
    {
        foreach (Parameter parameter in _stopped) parameter.requires_grad = true;
    }
}
