using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>How the strength of the l1 penalty goes over the epochs.</summary>
public enum PenaltySchedule
{
    /// <summary>gamma (1 - t/E): the best of the three in the paper.</summary>
    Decreasing,

    /// <summary>gamma throughout.</summary>
    Constant,

    /// <summary>gamma t/E.</summary>
    Increasing,
}

/// <summary>
/// l1-sparse unlearning: fine-tuning on what stays with gamma_t times the l1 norm of all parameters. The penalty acts as a subgradient, so weights become small and not
/// exactly zero.
/// </summary>
public sealed record L1Sparse : IUnlearner
{
    /// <summary>gamma, not negative; 0 is <see cref="FineTune"/>. Default 5e-4.</summary>
    public double Gamma { get; init; } = 5e-4;

    /// <summary>How it goes over the epochs. Default decreasing.</summary>
    public PenaltySchedule Schedule { get; init; } = PenaltySchedule.Decreasing;

    /// <summary>E, epochs over D_r, positive. Default 10.</summary>
    public int Epochs { get; init; } = 10;

    /// <summary>Learning rate, positive. Default 0.01.</summary>
    public double Rate { get; init; } = 0.01;

    /// <summary>Weight decay, not negative. Default 5e-4.</summary>
    public double WeightDecay { get; init; } = 5e-4;

    /// <summary>Images of a mini-batch, at least 2. Default 128.</summary>
    public int BatchSize { get; init; } = 128;

    /// <inheritdoc/>
    public string Name => "l1-sparse";

    /// <summary>gamma_t.</summary>
    /// <param name="epoch">t, from 0 to below <see cref="Epochs"/>.</param>
    public double GammaAt(int epoch) => Schedule switch
    {
        PenaltySchedule.Decreasing => Gamma * (1 - ((double)epoch / Epochs)),
        PenaltySchedule.Increasing => Gamma * epoch / Epochs,
        _ => Gamma,
    };

    /// <inheritdoc/>
    public Unlearned Run(
        Func<nn.Module<Tensor, Tensor>> create, SparseSnapshot original, UnlearnData data, long seed = 1, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        TrainingUnlearner.Check(create, original, data);
        Finite.NotNegative(Gamma);
        if (!Enum.IsDefined(Schedule)) throw new ArgumentOutOfRangeException(nameof(Schedule), Schedule, "Schedule must be one of the named forms.");
        return TrainingUnlearner.Continue(Name, create, original, data.Retain, data.Split.Retain, TrainingUnlearner.Constant(Epochs, Rate, WeightDecay, BatchSize), seed, Penalised, null, progress, cancel);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private Func<Tensor, int, Tensor> Penalised(nn.Module<Tensor, Tensor> network)
    {
        Tensor[] all = [.. network.parameters()];
        return (loss, epoch) => GammaAt(epoch) is var gamma && gamma == 0 ? loss : loss + (all.Select(p => p.abs().sum()).Aggregate((a, b) => a + b) * gamma);
    }
}
