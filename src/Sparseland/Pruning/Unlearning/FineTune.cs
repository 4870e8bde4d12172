using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>FT: some epochs more on what stays, in the hope that the rest is forgotten.</summary>
public sealed record FineTune : IUnlearner
{
    /// <summary>Epochs over D_r, positive. Default 10.</summary>
    public int Epochs { get; init; } = 10;

    /// <summary>Learning rate, positive. Default 0.01.</summary>
    public double Rate { get; init; } = 0.01;

    /// <summary>Weight decay, not negative. Default 5e-4.</summary>
    public double WeightDecay { get; init; } = 5e-4;

    /// <summary>Images of a mini-batch, at least 2. Default 128.</summary>
    public int BatchSize { get; init; } = 128;

    /// <summary>Called after each epoch (from 1) with the network as it is, which lives for the call; its time is not counted. Default null.</summary>
    public Action<int, SparseSnapshot>? OnEpoch { get; init; }

    /// <inheritdoc/>
    public string Name => "FT";

    /// <inheritdoc/>
    public Unlearned Run(
        Func<nn.Module<Tensor, Tensor>> create, SparseSnapshot original, UnlearnData data, long seed = 1, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        TrainingUnlearner.Check(create, original, data);
        return TrainingUnlearner.Continue(Name, create, original, data.Retain, data.Split.Retain, TrainingUnlearner.Constant(Epochs, Rate, WeightDecay, BatchSize), seed, _ => (loss, _) => loss, OnEpoch, progress, cancel);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
