using Sparseland.Evaluation;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.IsoFlop;

/// <summary>How masks are searched while a sparse network is trained.</summary>
public enum MaskSearch
{
    /// <summary>They stay.</summary>
    Static,

    /// <summary>The smallest weights are dropped, as many grow at random.</summary>
    Set,

    /// <summary>The smallest weights are dropped, as many grow where the gradient is largest.</summary>
    RigL,
}

/// <summary>Settings of <see cref="IsoFlopTraining.Run"/>: those of the dense network, which are not changed for the sparse one. SGD with Nesterov's momentum, a climb, half a cosine to 0.</summary>
public sealed record IsoFlopTrainingOptions
{
    /// <summary>How often each sample is seen, positive. Default 4.</summary>
    public int Epochs { get; init; } = 4;

    /// <summary>Samples of a mini-batch, at least 2 for the batch norms; a smaller last one of an epoch is left out. Default 64.</summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>Highest learning rate. Default 0.1.</summary>
    public double LearningRate { get; init; } = 0.1;

    /// <summary>Share of the steps in which it climbs, from 0 to below 1. Default 0.1.</summary>
    public double WarmUp { get; init; } = 0.1;

    /// <summary>Momentum, above 0 and below 1. Default 0.9.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>Decay of all parameters, not negative. Default 5e-4.</summary>
    public double WeightDecay { get; init; } = 5e-4;

    /// <summary>How masks are searched. Default RigL.</summary>
    public MaskSearch Search { get; init; } = MaskSearch.RigL;

    /// <summary>Steps between two moves of the masks, positive. Default 50.</summary>
    public long Interval { get; init; } = 50;

    /// <summary>Share of a layer's active weights that the first move drops; along half a cosine to 0 at three quarters of the steps. Default 0.3.</summary>
    public double Alpha { get; init; } = 0.3;

    /// <summary>Seed of the order of the samples and of random growth. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        Schedule.Validate();
        ArgumentOutOfRangeException.ThrowIfLessThan(BatchSize, 2);
        if (!(Momentum is > 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Momentum), Momentum, "Momentum must lie above 0 and below 1.");
        if (!Enum.IsDefined(Search)) throw new ArgumentOutOfRangeException(nameof(Search), Search, "Search is Static, Set or RigL.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Interval);
        if (!(Alpha is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(Alpha), Alpha, "Alpha must be a share from 0 to 1.");
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    internal SparseTrainingOptions Schedule => new() { Epochs = Epochs, BatchSize = BatchSize, LearningRate = LearningRate, WarmUp = WarmUp, WeightDecay = WeightDecay, Seed = Seed };
}

/// <summary>What a training left behind.</summary>
/// <param name="Training">Losses, rates, time.</param>
/// <param name="Exploration">Share of all places of the masks that have been active until a step; a single 1 for a dense network.</param>
/// <param name="Updates">All moves of the masks.</param>
/// <param name="Cost">Multiply-adds of all steps for one sample of each, RigL's dense gradients included.</param>
/// <param name="RelativeCost">The same over as many steps of the dense network.</param>
public sealed record IsoFlopTrainingResult(TrainingResult Training, IReadOnlyList<ExplorationPoint> Exploration, IReadOnlyList<TopologyReport> Updates, double Cost, double RelativeCost)
{
    /// <summary>Share of all places that were ever active.</summary>
    public double ExplorationRate => Exploration[^1].Rate;

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>Trains a network of sparse iso-FLOP layers while its masks are searched.</summary>
public static class IsoFlopTraining
{
    /// <summary>Trains in place by cross-entropy; masks move after a step, as in the trials that the settings come from.</summary>
    /// <param name="network">The network.</param>
    /// <param name="X">Samples [n, inputs]; stays the caller's.</param>
    /// <param name="labels">Class numbers.</param>
    /// <param name="options">Settings; null, the default, for the record's.</param>
    /// <param name="hooks">Evaluation and callbacks; null, the default, for none.</param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <exception cref="ArgumentException">An option is out of its range, samples and labels do not fit, a label is no class of the network, or masks would move less than once.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; the network is that of the last whole step.</exception>
    public static IsoFlopTrainingResult Run(
        IsoFlopNetwork network, Tensor X, Tensor labels, IsoFlopTrainingOptions? options = null, TrainingHooks? hooks = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(X);
        options ??= new();
        options.Validate();
        Accuracy.CheckClasses(network.Model, X, labels);
        long steps = options.Schedule.StepsFor(X.shape[0]);
        SparseMethod method = options.Search switch
        {
            MaskSearch.RigL => SparseTraining.RigL(steps, options.Interval, options.Alpha, options.Seed),
            MaskSearch.Set => SparseTraining.Set(steps, options.Interval, options.Alpha, options.Seed),
            _ => SparseTraining.Static,
        };
        SgdOptimizer inner = new(network.Model, options.Momentum, options.WeightDecay, nesterov: true);
        using IOptimizer optimizer = network.Masks is null ? inner
            : new SparseOptimizer(inner, network.Masks, method.Topology is null ? null : method.Topology with { Order = UpdateOrder.AfterStep }, method.Drop, method.Grow);
        var sparse = optimizer as SparseOptimizer;
        List<ExplorationPoint> exploration = [new(0, sparse?.Fired.Rate ?? 1)];
        List<TopologyReport> updates = [];
        if (sparse is not null) sparse.OnUpdate = report =>
        {
            updates.Add(report);
            exploration.Add(new(report.Step, sparse.Fired.Rate));
        };
        TrainingHooks plan = sparse?.Hooks(hooks) ?? hooks ?? new();
        SampleBatches batches = new(X, labels, options.BatchSize, options.Seed, whole: true);
        using TrainingLoop loop = new(network.Model, batches, Losses.CrossEntropy(network.Model), options.Schedule.ForLoop(steps), plan, optimizer);
        TrainingResult result = loop.Run(progress, cancel);
        int dense = method.NeedsDenseGradient ? updates.Count : 0;
        double cost = ((steps - dense) * TrainingCost.Sparse(network.Cost)) + (dense * TrainingCost.DenseGradient(network.Cost, network.FullCost));
        return new(result, exploration, updates, cost, cost / (steps * TrainingCost.Sparse(network.DenseCost)));
    }
}
