using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>Exact unlearning: a new network with the same masks, trained from its first weights on what stays. What all others are measured against.</summary>
public sealed record Retrain : IUnlearner
{
    /// <summary>The training. Default 20 epochs from rate 0.1.</summary>
    public MaskedSgdOptions Training { get; init; } = new() { Epochs = 20 };

    /// <inheritdoc/>
    public string Name => "Retrain";

    /// <inheritdoc/>
    public Unlearned Run(
        Func<nn.Module<Tensor, Tensor>> create, SparseSnapshot original, UnlearnData data, long seed = 1, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        TrainingUnlearner.Check(create, original, data);
        ArgumentNullException.ThrowIfNull(Training);
        using nn.Module<Tensor, Tensor> workbench = create();
        using MaskSet? masks = original.Masks.Count == 0 ? null : MaskSet.Of(workbench, original.Masks);
        return TrainingUnlearner.Run(Name, workbench, masks, data.Retain, data.Split.Retain, Training, seed, (loss, _) => loss, null, progress, cancel);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
