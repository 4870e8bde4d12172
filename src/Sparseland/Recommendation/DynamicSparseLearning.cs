using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Recommendation;

/// <summary>Settings of <see cref="DynamicSparseLearning"/>; the defaults are those of the published code for LightGCN.</summary>
public sealed record DynamicSparseLearningOptions
{
    /// <summary>d: share of each parameter that is active, above 0 and at most 1. Default 0.5.</summary>
    public double Density { get; init; } = 0.5;

    /// <summary>a0: share of the active weights that the first explorations move, from 0 to 1. Default 0.5.</summary>
    public double UpdateRatio { get; init; } = 0.5;

    /// <summary>eta: the share at the end, from 0 to 1. Default 0.005.</summary>
    public double FinalRatio { get; init; } = 0.005;

    /// <summary>T: steps between explorations, at most the steps of the training: what scales is the number of explorations. Default 3000.</summary>
    public long Interval { get; init; } = 3000;

    /// <summary>What is pruned. Default the smallest magnitude.</summary>
    public IDropScore Prune { get; init; } = new DropMagnitude();

    /// <summary>What grows. Default the largest gradient of the mini-batch.</summary>
    public IGrowScore Grow { get; init; } = new GrowGradient();

    /// <summary>Moments of inactive and new weights. Default kept, as the published code has it: they run on with dense gradients.</summary>
    public MomentRule Moments { get; init; } = MomentRule.Keep;

    /// <summary>Parameters that are masked; null, the default, for all of two and more dimensions. The published code masks biases too.</summary>
    public IReadOnlyList<string>? Names { get; init; }

    /// <summary>Seed of the first masks and of growth at random. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <param name="steps">S: steps of the training.</param>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate(long steps)
    {
        if (!(Density is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(Density), Density, "Density must lie above 0 and not above 1.");
        if (!(UpdateRatio is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(UpdateRatio), UpdateRatio, "UpdateRatio must be from 0 to 1.");
        if (!(FinalRatio is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(FinalRatio), FinalRatio, "FinalRatio must be from 0 to 1.");
        if (Interval < 1 || Interval > steps)
            throw new ArgumentOutOfRangeException(nameof(Interval), Interval, $"Interval must be from 1 to the {steps} steps of the training; with more nothing would ever be explored.");
        ArgumentNullException.ThrowIfNull(Prune);
        ArgumentNullException.ThrowIfNull(Grow);
    }

    /// <summary>The same in the words of <see cref="SparseOptimizer"/>: explorations at each multiple of T up to the last step, ratios rounded up.</summary>
    /// <param name="steps">S: steps of the training.</param>
    public TopologyOptions Topology(long steps) => new()
    {
        Interval = Interval, End = steps + 1, Length = steps, Schedule = DropSchedule.CosineTo(UpdateRatio, FinalRatio), RoundUp = true, Moments = Moments, Seed = Seed,
    };
}

/// <summary>What one exploration did, over all parameters.</summary>
/// <param name="Step">The step, counted from 1.</param>
/// <param name="RatioUsed">a_t.</param>
/// <param name="Pruned">Weights pruned.</param>
/// <param name="Grown">Weights grown, as many.</param>
/// <param name="Regrown">Weights pruned and grown at once.</param>
/// <param name="EverActive">Share of places that have been active so far.</param>
public sealed record ExplorationReport(long Step, double RatioUsed, int Pruned, int Grown, int Regrown, double EverActive);

/// <summary>
/// Dynamic sparse learning of recommenders (Wang, Sui, Wu, Zheng and Xiong, WSDM 2024, arXiv 2402.02855): a model that is sparse from its first step to
/// its last. Every T steps the smallest weights of each parameter are pruned and as many grown where the gradient is largest; the share a_t falls along
/// a cosine. The number of active weights never changes, but rows of a table exchange them.
/// </summary>
/// <remarks>
/// Where the published code draws each entry of the first mask by itself, prunes by a threshold and breaks no ties, the counts here are exact and ties
/// go to the lower index. The model stays dense in memory: what sparse storage would save <see cref="SparseEmbedding"/> tells.
/// </remarks>
public sealed class DynamicSparseLearning : IDisposable
{
    private readonly List<ExplorationReport> _explorations = [];

    /// <summary>Prepares a training with libtorch's gradients.</summary>
    /// <param name="model">The recommender; its inactive weights become zero now.</param>
    /// <param name="batches">The data.</param>
    /// <param name="loss">From a mini-batch to its mean loss.</param>
    /// <param name="training">Steps, rate and the rest of the loop; the rule is Adam with its decays.</param>
    /// <param name="options">Density, interval, ratios; null, the default, for those of the record.</param>
    /// <param name="hooks">Evaluation and callbacks; null, the default, for none.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or the density keeps no weight of a parameter.</exception>
    public DynamicSparseLearning(
        nn.Module model, IBatchSource batches, Func<Batch, Tensor> loss, TrainingOptions training, DynamicSparseLearningOptions? options = null, TrainingHooks? hooks = null)
        : this(model, training, options)
    {
        ArgumentNullException.ThrowIfNull(loss);
        Loop = new(model, batches, loss, training, Optimizer.Hooks(hooks), Optimizer);
    }

    /// <summary>Prepares a training of a model that knows its gradients by hand.</summary>
    /// <param name="model">The recommender; its inactive weights become zero now.</param>
    /// <param name="batches">The data.</param>
    /// <param name="gradients">Adds a weight times the gradient of a mini-batch's loss to what the parameters hold, and returns that loss.</param>
    /// <param name="training">Steps, rate and the rest of the loop; the rule is Adam with its decays.</param>
    /// <param name="options">Density, interval, ratios; null, the default, for those of the record.</param>
    /// <param name="hooks">Evaluation and callbacks; null, the default, for none.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or the density keeps no weight of a parameter.</exception>
    public DynamicSparseLearning(
        nn.Module model, IBatchSource batches, Func<Batch, double, double> gradients, TrainingOptions training, DynamicSparseLearningOptions? options = null,
        TrainingHooks? hooks = null)
        : this(model, training, options)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        Loop = new(model, batches, gradients, training, Optimizer.Hooks(hooks), Optimizer);
    }

    private DynamicSparseLearning(nn.Module model, TrainingOptions training, DynamicSparseLearningOptions? options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(training);
        Options = options ?? new();
        training.Validate();
        Options.Validate(training.Steps);
        Masks = MaskSet.Random(model, Options.Density, Options.Seed, Options.Names);
        Optimizer = new(
            new AdamWOptimizer(model, training.WeightDecay, training.Beta1, training.Beta2, training.Epsilon, training.DecayAll), Masks, Options.Topology(training.Steps),
            Options.Prune, Options.Grow);
        Optimizer.OnUpdate = report => _explorations.Add(ReportOf(report, Optimizer.Fired.Rate));
        Loop = null!;
    }

    /// <summary>Density, interval, ratios.</summary>
    public DynamicSparseLearningOptions Options { get; }

    /// <summary>The masks as they are now.</summary>
    public MaskSet Masks { get; }

    /// <summary>Adam on the active weights, with the explorations.</summary>
    public SparseOptimizer Optimizer { get; }

    /// <summary>The training loop: its checkpoints keep masks and moments, and it resumes from them.</summary>
    public TrainingLoop Loop { get; }

    /// <summary>Explorations of this process so far.</summary>
    public IReadOnlyList<ExplorationReport> Explorations => _explorations;

    /// <summary>One training step.</summary>
    /// <param name="cancel">Checked before it.</param>
    /// <returns>Its exploration; null where it had none.</returns>
    public ExplorationReport? Step(CancellationToken cancel = default)
    {
        int before = _explorations.Count;
        Loop.Step(cancel);
        return _explorations.Count > before ? _explorations[^1] : null;
    }

    /// <summary>Makes the remaining steps.</summary>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    public TrainingResult Run(IProgress<ProgressReport>? progress = null, CancellationToken cancel = default) => Loop.Run(progress, cancel);

    /// <summary>The exploration alone, on one tensor: what falls and what grows. Nothing changes.</summary>
    /// <param name="weight">The masked weights.</param>
    /// <param name="mask">Boolean, of the same shape.</param>
    /// <param name="gradient">Gradient of the mini-batch at the masked weights, of the same shape.</param>
    /// <param name="ratio">a_t; ceil(a_t n) of n active weights move.</param>
    /// <exception cref="ArgumentException">A shape or type differs, the ratio is out of its range, or a gradient is not finite.</exception>
    public static TopologyChange Explore(Tensor weight, Tensor mask, Tensor gradient, double ratio)
    {
        ArgumentNullException.ThrowIfNull(mask);
        if (!(ratio is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(ratio), ratio, "ratio must be from 0 to 1.");
        TopologyContext layer = new() { Layer = nameof(weight), Weight = weight, Mask = mask, Gradient = gradient, Fraction = ratio };
        long count = new TopologyOptions { RoundUp = true }.CountOf(ratio, MaskSet.TrueIn(mask));
        return TopologyUpdate.Apply(layer, new DropMagnitude(), new GrowGradient(), count);
    }

    /// <summary>
    /// Work with weights in a training step over that of the dense model: d, and the inactive share 1 - d once in T steps, for the gradient that growth
    /// looks at.
    /// </summary>
    /// <param name="density">d.</param>
    /// <param name="interval">T.</param>
    public static double DenseWorkShare(double density, long interval)
    {
        if (!(density is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(density), density, "density must be from 0 to 1.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(interval);
        return density + ((1 - density) / interval);
    }

    /// <summary>Frees optimizer, loop and masks; the model stays.</summary>
    public void Dispose()
    {
        Loop?.Dispose();
        Optimizer.Dispose();
        Masks.Dispose();
    }

    private static ExplorationReport ReportOf(TopologyReport report, double rate) => new(
        report.Step, report.Fraction, report.Changes.Values.Sum(c => c.Dropped.Count), report.Changes.Values.Sum(c => c.Grown.Count), report.Changes.Values.Sum(c => c.Regrown.Count), rate);
}
