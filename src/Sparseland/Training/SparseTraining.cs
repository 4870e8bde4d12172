using Sparseland.Evaluation;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Trainings in which a network is sparse from the first step or becomes so, by their names, and the one function that runs them. The same in other loops: a <see cref="SparseOptimizer"/> around any optimizer.
/// </summary>
public static class SparseTraining
{
    /// <summary>No masks.</summary>
    public static SparseMethod Dense { get; } = new("dense");

    /// <summary>Masks drawn before the training, which stay.</summary>
    public static SparseMethod Static { get; } = new("static");

    /// <summary>
    /// SET in the form of ITOP (Liu et al. 2021): after the step the smallest weights are dropped, as many grow anywhere, from zero; the share falls along half a cosine until three quarters of the steps.
    /// </summary>
    /// <param name="steps">Steps of the training.</param>
    /// <param name="interval">Steps between two updates, at most <paramref name="steps"/>. Default 20.</param>
    /// <param name="alpha">Share dropped at the start. Default 0.3.</param>
    /// <param name="seed">Seed of growth. Default 1.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static SparseMethod Set(long steps, long interval = 20, double alpha = 0.3, long seed = 1) => new("SET")
    {
        Topology = Cosine(steps, interval, alpha, seed, UpdateOrder.AfterStep), Drop = new DropMagnitude(), Grow = new GrowRandom(),
    };

    /// <summary>
    /// SET as first published (Mocanu et al. 2018): once an epoch, but not after the last, the same share of the positive and of the negative weights nearest to zero is dropped; new weights are normal.
    /// </summary>
    /// <param name="steps">Steps of the training.</param>
    /// <param name="epoch">Steps of an epoch, at most <paramref name="steps"/>.</param>
    /// <param name="zeta">Share dropped. Default 0.3.</param>
    /// <param name="deviation">Of new weights. Default 0.1.</param>
    /// <param name="seed">Seed of growth. Default 1.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static SparseMethod Set2018(long steps, long epoch, double zeta = 0.3, double deviation = 0.1, long seed = 1) => new("SET 2018")
    {
        Topology = new() { Interval = Period(steps, epoch, nameof(epoch)), End = steps, Schedule = DropSchedule.Constant(zeta), NewWeights = NewWeight.Normal(deviation), Seed = seed },
        Drop = new DropSignWise(), Grow = new GrowRandom(),
    };

    /// <summary>RigL (Evci et al. 2020): in place of a step the smallest weights are dropped, and as many grow where the gradient of the mini-batch is largest.</summary>
    /// <param name="steps">Steps of the training.</param>
    /// <param name="interval">Steps between two updates, at most <paramref name="steps"/>. Default 20.</param>
    /// <param name="alpha">Share dropped at the start. Default 0.3.</param>
    /// <param name="seed">Seed; growth draws nothing. Default 1.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static SparseMethod RigL(long steps, long interval = 20, double alpha = 0.3, long seed = 1) => new("RigL")
    {
        Topology = Cosine(steps, interval, alpha, seed, UpdateOrder.ReplacesStep), Drop = new DropMagnitude(), Grow = new GrowGradient(),
    };

    /// <summary>SNFS (Dettmers and Zettlemoyer 2019): grows where the average of the raw gradients is largest; it needs a dense gradient in every step.</summary>
    /// <param name="steps">Steps of the training.</param>
    /// <param name="interval">Steps between two updates. Default 20.</param>
    /// <param name="alpha">Share dropped at the start. Default 0.3.</param>
    /// <param name="redistribute">Whether layers exchange their budgets by the mean size of that average, as the paper does. Default true.</param>
    /// <param name="seed">Seed; growth draws nothing. Default 1.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static SparseMethod Snfs(long steps, long interval = 20, double alpha = 0.3, bool redistribute = true, long seed = 1) => new("SNFS")
    {
        Topology = Cosine(steps, interval, alpha, seed, UpdateOrder.AfterStep) with { Redistribute = redistribute }, Drop = new DropMagnitude(), Grow = new GrowMomentum(),
    };

    /// <summary>MEST (Yuan et al. 2021): drops by |w| + lambda |g|, grows anywhere.</summary>
    /// <param name="steps">Steps of the training.</param>
    /// <param name="interval">Steps between two updates. Default 20.</param>
    /// <param name="alpha">Share dropped at the start. Default 0.3.</param>
    /// <param name="lambda">Weight of the gradient. Default 1.</param>
    /// <param name="softBound">Whether the budget is exceeded between two updates. Default false.</param>
    /// <param name="seed">Seed of growth. Default 1.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static SparseMethod Mest(long steps, long interval = 20, double alpha = 0.3, double lambda = 1, bool softBound = false, long seed = 1) => new("MEST")
    {
        Topology = Cosine(steps, interval, alpha, seed, UpdateOrder.AfterStep) with { SoftBound = softBound }, Drop = new DropMest(lambda), Grow = new GrowRandom(),
    };

    /// <summary>ITOP (Liu et al. 2021): updates to the very end, half of the weights at first, the share falling to 0.005; far apart, so that new weights are trained before they are judged.</summary>
    /// <param name="steps">Steps of the training.</param>
    /// <param name="interval">Steps between two updates.</param>
    /// <param name="gradient">Whether growth looks at the gradient (RigL-ITOP) and not at random (SET-ITOP). Default false.</param>
    /// <param name="seed">Seed of growth. Default 1.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static SparseMethod Itop(long steps, long interval, bool gradient = false, long seed = 1) => new(gradient ? "RigL-ITOP" : "SET-ITOP")
    {
        Topology = new() { Interval = Period(steps, interval, nameof(interval)), Length = steps, Schedule = DropSchedule.CosineTo(0.5, 0.005), Seed = seed },
        Drop = new DropMagnitude(), Grow = gradient ? new GrowGradient() : new GrowRandom(),
    };

    /// <summary>Gradual magnitude pruning: dense for a tenth of the steps, then along the cubic schedule to the final density at three quarters.</summary>
    /// <param name="density">Share kept at the end, above 0 and at most 1.</param>
    /// <param name="steps">Steps of the training.</param>
    /// <param name="interval">Steps between two prunings. Default 20.</param>
    /// <param name="pattern">From a sparsity to who competes with whom; null, the default, for all layers together.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static SparseMethod Gmp(double density, long steps, long interval = 20, Func<double, PruningPattern>? pattern = null)
    {
        if (!(density is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(density), density, "The density must lie above 0 and not above 1.");
        Period(steps, interval, nameof(interval));
        return new("GMP") { Pruning = SparsitySchedule.Cubic(1 - density, steps / 10, steps * 3 / 4), PruningInterval = interval, Pattern = pattern };
    }

    /// <summary>Trains a classifier in place by cross-entropy.</summary>
    /// <param name="model">The network, from samples to logits.</param>
    /// <param name="method">How it becomes or stays sparse.</param>
    /// <param name="X">Samples, the first dimension counts them; stays the caller's.</param>
    /// <param name="labels">Class numbers.</param>
    /// <param name="masks">The masks to begin with; they move with the training and stay the caller's. Null, the default, for a dense beginning and for methods that prune.</param>
    /// <param name="options">Epochs, batches, rates, seed; null, the default, for the record's.</param>
    /// <param name="hooks">Evaluation and callbacks; null, the default, for none.</param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <exception cref="ArgumentException">
    /// An option is out of its range, samples and labels do not fit, a label is no class of the network, masks that a method needs are missing or that it makes by itself are given, or the time between two updates is longer than the training.
    /// </exception>
    public static SparseTrainingResult Run(
        nn.Module<Tensor, Tensor> model, SparseMethod method, Tensor X, Tensor labels, MaskSet? masks = null, SparseTrainingOptions? options = null, TrainingHooks? hooks = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(method);
        ArgumentNullException.ThrowIfNull(X);
        options ??= new();
        Accuracy.CheckClasses(model, X, labels);
        long steps = options.StepsFor(X.shape[0]);
        if (method.NeedsMasks && masks is null) throw new ArgumentNullException(nameof(masks), $"{method.Name} moves masks, and there are none to begin with; draw some by MaskSet.Random.");
        if (method.Pruning is not null && masks is not null) throw new ArgumentException($"{method.Name} begins dense and makes its masks by itself.", nameof(masks));
        if (method.Topology is { } topology && topology.Interval > steps)
            throw new ArgumentException($"{method.Name} moves masks every {topology.Interval} steps, and the training has only {steps}.", nameof(method));
        if (method.Topology is { End: < long.MaxValue } ends && ends.End > steps)
            throw new ArgumentException($"{method.Name} would move masks until step {ends.End}, and the training has only {steps}: its weights would never settle.", nameof(method));
        if (ReferenceEquals(method, Dense) && masks is not null) throw new ArgumentException("A dense training has no masks; with masks that stay it is the static one.", nameof(masks));
        if (ReferenceEquals(method, Static) && masks is null) throw new ArgumentNullException(nameof(masks), "A static training has masks; draw some by MaskSet.Random.");
        if (method.Pruning is { } pruning && pruning.End > steps)
            throw new ArgumentException($"{method.Name} would prune until step {pruning.End}, and the training has only {steps}: the network would end too dense.", nameof(method));
        using IOptimizer optimizer = OptimizerFor(model, method, masks, options);
        MaskSet? now = (optimizer as GradualPruning)?.Masks ?? masks;
        Ledger ledger = new(model, method, X, now, optimizer as SparseOptimizer);
        TrainingHooks plan = (hooks ?? new()) with
        {
            OnStep = (loop, report) =>
            {
                ledger.After(report.Step);
                hooks?.OnStep?.Invoke(loop, report);
            },
        };
        plan = optimizer switch { GradualPruning gradual => gradual.Hooks(plan), SparseOptimizer sparse => sparse.Hooks(plan), _ => plan };
        SampleBatches batches = new(X, labels, options.BatchSize, options.Seed, whole: true);
        using TrainingLoop training = new(model, batches, Losses.CrossEntropy(model), options.ForLoop(steps), plan, optimizer);
        TrainingResult result = training.Run(progress, cancel);
        return ledger.Close(result, now?.Copy(), steps);
    }

    private static IOptimizer OptimizerFor(nn.Module model, SparseMethod method, MaskSet? masks, SparseTrainingOptions options)
    {
        AdamWOptimizer inner = new(model, options.WeightDecay, 0.9, 0.999);
        try
        {
            return method.Pruning is not null ? new GradualPruning(inner, model, method.Pruning, method.PruningInterval, null, method.Pattern)
                : masks is not null ? new SparseOptimizer(inner, masks, method.Topology, method.Drop, method.Grow) : inner;
        }
        catch
        {
            inner.Dispose();
            throw;
        }
    }

    private static TopologyOptions Cosine(long steps, long interval, double alpha, long seed, UpdateOrder order) => new()
    {
        Interval = Period(steps, interval, nameof(interval)), End = Math.Max(1, steps * 3 / 4), Schedule = DropSchedule.Cosine(alpha), Order = order, Seed = seed,
    };

    private static long Period(long steps, long interval, string name)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(steps);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(interval, name);
        return interval <= steps ? interval : throw new ArgumentOutOfRangeException(name, interval, $"The time between two updates is longer than the {steps} steps of the training.");
    }

    /// <summary>Density, exploration and cost, step by step.</summary>
    private sealed class Ledger
    {
        private readonly SparseMethod _method;
        private readonly MaskSet? _masks;
        private readonly SparseOptimizer? _sparse;
        private readonly IReadOnlyList<LayerShape> _layers;
        private readonly long _dense;
        private readonly List<ExplorationPoint> _exploration = [];
        private readonly List<TopologyReport> _updates = [];
        private long _version = -1;
        private double _densities;
        private double _peak;
        private double _cost;
        private double _density = 1;
        private double _forward;

        public Ledger(nn.Module<Tensor, Tensor> model, SparseMethod method, Tensor X, MaskSet? masks, SparseOptimizer? sparse)
        {
            (_method, _masks, _sparse) = (method, masks, sparse);
            _layers = LayerShape.Of(model, [.. X.shape.Skip(1)]);
            _dense = TrainingCost.Forward(_layers);
            Look();
            _exploration.Add(new(0, sparse?.Fired.Rate ?? 1));
            if (sparse is not null) sparse.OnUpdate = report =>
            {
                _updates.Add(report);
                _exploration.Add(new(report.Step, sparse.Fired.Rate));
            };
        }

        public void After(long step)
        {
            // A step costs what was active in it: what it changed counts from the next one on.
            bool dense = _method.NeedsDenseGradients || (_method.NeedsDenseGradient && _method.Topology!.IsDue(step));
            _cost += dense ? TrainingCost.DenseGradient(_forward, _dense) : TrainingCost.Sparse(_forward);
            _densities += _density;
            _peak = Math.Max(_peak, _density);
            Look();
        }

        public SparseTrainingResult Close(TrainingResult training, MaskSet? masks, long steps) => new(
            _method.Name, training, masks, Math.Max(_peak, _density), _densities / steps, _cost / (steps * TrainingCost.Sparse(_dense)), _exploration, _updates);

        private void Look()
        {
            if (_masks is null)
            {
                (_density, _forward) = (1, _dense);
            }
            else if (_masks.Version != _version)
            {
                (_version, _density, _forward) = (_masks.Version, _masks.Density, TrainingCost.Forward(_layers, _masks));
            }
        }
    }
}
