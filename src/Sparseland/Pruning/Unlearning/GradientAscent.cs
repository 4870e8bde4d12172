using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>GA: gradient ascent on what is to be forgotten; what stays is not looked at.</summary>
public sealed record GradientAscent : IUnlearner
{
    /// <summary>Epochs over D_f, positive. Default 5.</summary>
    public int Epochs { get; init; } = 5;

    /// <summary>Learning rate, positive. Default 1e-4.</summary>
    public double Rate { get; init; } = 1e-4;

    /// <summary>Weight decay, not negative. Default 5e-4.</summary>
    public double WeightDecay { get; init; } = 5e-4;

    /// <summary>Images of a mini-batch, at least 2. Default 128.</summary>
    public int BatchSize { get; init; } = 128;

    /// <inheritdoc/>
    public string Name => "GA";

    /// <inheritdoc/>
    public Unlearned Run(
        Func<nn.Module<Tensor, Tensor>> create, SparseSnapshot original, UnlearnData data, long seed = 1, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        TrainingUnlearner.Check(create, original, data);
        return TrainingUnlearner.Continue(Name, create, original, data.Forget, data.Split.Forget, TrainingUnlearner.Constant(Epochs, Rate, WeightDecay, BatchSize), seed, _ => (loss, _) => loss.neg(), null, progress, cancel);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
