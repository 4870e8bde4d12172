using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training.Continual;

/// <summary>What learning one task did.</summary>
/// <param name="Task">Its name.</param>
/// <param name="Mask">Weights of its mask at its end.</param>
/// <param name="Trainable">Those that no earlier task owns.</param>
/// <param name="Shared">Those that belong to earlier tasks.</param>
/// <param name="Free">Share of all weights that no task owns afterwards.</param>
/// <param name="Training">The steps.</param>
public sealed record TaskReport(string Task, long Mask, long Trainable, long Shared, double Free, TrainingResult Training)
{
    /// <summary>Shared over all of the mask.</summary>
    public double SharedShare => (double)Shared / Mask;

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Tasks learned one after another in one network without forgetting (Yildirim et al. 2024, arXiv 2308.14831): each has a sparse subnetwork, drawn at random over all weights
/// and perhaps moved by dynamic sparse training; it uses weights of earlier tasks as they are, trains those that nobody owns, and then owns them. Norms and heads are
/// <see cref="PerTask{TModule}"/>. Which task a sample belongs to is known.
/// </summary>
/// <remarks>
/// Weights that nobody owns hold their first values at the begin of every task. A weight of the mask that is dropped, or comes in new, is 0; one that an earlier task owns comes
/// in with its stored value.
/// </remarks>
public sealed class ContinualSparse : IDisposable
{
    private readonly nn.Module<Tensor, Tensor> _network;
    private readonly IPerTask[] _parts;
    private readonly (string Name, Parameter Parameter)[] _weights;
    private readonly Dictionary<string, Tensor> _first;
    private readonly NativeSize _size;
    private int _begun = -1;

    /// <summary>Sets it up; the network's weights now are its first values.</summary>
    /// <param name="network">
    /// Its parameters of two and more dimensions outside of <see cref="IPerTask"/> parts share the masks; nothing else may be outside of them. It stays the caller's.
    /// </param>
    /// <param name="options">Density, masks and training; null for the defaults of the record.</param>
    /// <exception cref="ArgumentException">
    /// An option out of its range, no weight or no part of its own for each task, weights of several types, or norms or biases that tasks would share though they are to be isolated.
    /// </exception>
    public ContinualSparse(nn.Module<Tensor, Tensor> network, ContinualOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        Options = options ?? new();
        Options.Validate();
        (string Name, nn.Module Module)[] modules = [.. network.named_modules().Select(m => (m.name, m.module))];
        string[] own = [.. modules.Where(m => m.Module is IPerTask).Select(m => m.Name + ".")];
        _parts = [.. modules.Select(m => m.Module).OfType<IPerTask>()];
        if (_parts.Length == 0) throw new ArgumentException("The network has no part of its own for each task; give it a PerTask head at least.", nameof(network));
        (string Name, Parameter Parameter)[] common = [.. OptimizerState.Trainable(network).Where(p => !own.Any(o => p.Name.StartsWith(o, StringComparison.Ordinal)))];
        _weights = [.. common.Where(p => p.Parameter.dim() > 1)];
        if (_weights.Length == 0) throw new ArgumentException("The network has no weights of two dimensions that tasks could share.", nameof(network));
        if (_weights.FirstOrDefault(w => w.Parameter.dtype != _weights[0].Parameter.dtype) is { Name: not null } mixed)
            throw new ArgumentException($"{mixed.Name} is {mixed.Parameter.dtype} and {_weights[0].Name} {_weights[0].Parameter.dtype}; shared weights have one type.", nameof(network));
        if (Options.Isolate && !Options.AllowSharedNorms)
        {
            if (common.FirstOrDefault(p => p.Parameter.dim() <= 1).Name is { } shared) throw Shared(shared);
            if (network.named_buffers().FirstOrDefault(b => !own.Any(o => b.name.StartsWith(o, StringComparison.Ordinal))).name is { } running) throw Shared(running);
        }

        _network = network;
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        _first = _weights.ToDictionary(w => w.Name, w => w.Parameter.detach().clone().DetachFromDisposeScope());
        _size = NativeSize.Of(_first.Values);
        Ownership = new(_weights.ToDictionary(w => w.Name, w => w.Parameter.shape), _weights[0].Parameter.dtype);

        static ArgumentException Shared(string name) => new(
            $"{name} would be shared by all tasks and go on training, so that earlier tasks change; make it PerTask, leave it out, or set AllowSharedNorms.", nameof(network));
    }

    /// <summary>Settings.</summary>
    public ContinualOptions Options { get; }

    /// <summary>Masks of the tasks, used weights and stored values.</summary>
    public TaskOwnership Ownership { get; }

    /// <summary>Names of the tasks learned.</summary>
    public IReadOnlyList<string> Tasks => Ownership.Tasks;

    /// <summary>Learns a task; afterwards the network is set to it.</summary>
    /// <param name="task">Its name, new.</param>
    /// <param name="batches">Its training data.</param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked before each step; a task that was cancelled is not learned, and can be begun anew.</param>
    /// <exception cref="ArgumentException">A name that stands already.</exception>
    /// <exception cref="InvalidOperationException">No weight of the mask is free: the capacity is exhausted. Tasks learned before can still be tested.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public TaskReport LearnTask(string task, IBatchSource batches, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        Ownership.CheckNew(task);
        ArgumentNullException.ThrowIfNull(batches);
        int number = Tasks.Count;
        using MaskSet masks = DrawMasks(number);
        (long shared, long free) = Ownership.Count(masks);
        if (free == 0 && Options.Isolate) throw new InvalidOperationException($"The mask of \"{task}\" has {shared} weights, and all belong to earlier tasks: the capacity is exhausted.");
        foreach (IPerTask part in _parts)
        {
            while (part.Count <= number) part.Add();
            part.Current = number;

            // What a task that was given up left in them.
            if (_begun == number) part.Renew();
        }

        _begun = number;
        Begin();
        TopologyOptions? topology = Options.Topology is { } moves
            ? moves with { Seed = SeedOf(number, 2), NewWeights = Options.AsPublished ? NewWeight.Zero : NewWeight.Stored("stored", layer => Ownership.ValuesOf(layer.Layer)) } : null;
        TopologyScope where = new()
        {
            Frozen = Options.Isolate ? Ownership.UsedOf : null,
            Allowed = Options.Candidates == GrowthCandidates.FreeOnly ? name => Ownership.UsedOf(name).logical_not() : null,
        };
        TrainingOptions training = Options.Training;
        using var sparse = new SparseOptimizer(
            new AdamWOptimizer(_network, training.WeightDecay, training.Beta1, training.Beta2, training.Epsilon, training.DecayAll), masks, topology, Options.Drop, Options.Growth, where);
        using var loop = new TrainingLoop(_network, batches, Losses.CrossEntropy(_network), training, sparse.Hooks(), sparse);
        TrainingResult result = loop.Run(progress, cancel);
        _network.eval();
        (shared, free) = Ownership.Count(masks);
        Ownership.Add(task, masks, overwrite: !Options.Isolate);
        return new(task, masks.Active, free, shared, Ownership.FreeShare, result);
    }

    /// <summary>Sets the network to a task: its masked weights with their stored values, its norms and its head.</summary>
    /// <param name="task">A task that was learned.</param>
    /// <exception cref="ArgumentException">It was not.</exception>
    public void SetTask(string task)
    {
        int number = Ownership.NumberOf(task);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        foreach ((string name, Parameter parameter) in _weights)
            parameter.copy_(Ownership.ValuesOf(name).masked_fill(Ownership.MaskOf(task, name).logical_not(), 0));
        foreach (IPerTask part in _parts) part.Current = number;
        _network.eval();
    }

    /// <summary>Logits of a task's classes.</summary>
    /// <param name="task">A task that was learned.</param>
    /// <param name="X">Samples, as the network takes them.</param>
    /// <exception cref="ArgumentException">The task was not learned.</exception>
    public Tensor Logits(string task, Tensor X)
    {
        ArgumentNullException.ThrowIfNull(X);
        SetTask(task);
        using IDisposable off = no_grad();
        return _network.call(X);
    }

    /// <summary>Share of samples of a task that are classified right, among the task's classes.</summary>
    /// <param name="task">A task that was learned.</param>
    /// <param name="X">Samples.</param>
    /// <param name="labels">Class numbers [samples], Int64.</param>
    /// <exception cref="ArgumentException">The task was not learned, or there is not one label for each sample.</exception>
    public double Evaluate(string task, Tensor X, Tensor labels)
    {
        ArgumentNullException.ThrowIfNull(X);
        ArgumentNullException.ThrowIfNull(labels);
        if (labels.dim() != 1 || labels.numel() == 0 || labels.shape[0] != X.shape[0])
            throw new ArgumentException($"labels must be [{X.shape[0]}], one for each sample, but are [{string.Join(", ", labels.shape)}].", nameof(labels));
        using DisposeScope scope = NewDisposeScope();
        return (double)MaskSet.TrueIn(Logits(task, X).argmax(1).eq(labels)) / labels.shape[0];
    }

    /// <summary>The mask that a task begins with: random, over all weights, whoever owns them.</summary>
    /// <param name="number">Number of the task, from 0.</param>
    /// <returns>Dispose it.</returns>
    public MaskSet DrawMasks(int number)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(number);
        return MaskSet.Random(_network, Densities(), SeedOf(number, 1));
    }

    /// <summary>
    /// Share of weights that static random masks leave free after some tasks, in expectation: sum over layers of n_l (1 - d_l)^t / n, the masks being independent.
    /// </summary>
    /// <param name="tasks">t, not negative.</param>
    public double ExpectedFree(int tasks)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tasks);
        LayerDensities densities = Densities();
        return densities.Layers.Sum(l => l.Size * Math.Pow(1 - ((double)densities.Counts[l.Name] / l.Size), tasks)) / densities.Size;
    }

    /// <summary>Share of the mask of a task that static random masks share with earlier ones, in expectation: in layer l it is 1 - (1 - d_l)^t.</summary>
    /// <param name="earlier">t, tasks before it, not negative.</param>
    public double ExpectedShared(int earlier)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(earlier);
        LayerDensities densities = Densities();
        return densities.Layers.Sum(l => densities.Counts[l.Name] * (1 - Math.Pow(1 - ((double)densities.Counts[l.Name] / l.Size), earlier))) / densities.Kept;
    }

    /// <summary>Frees what is stored; the network stays, set to whatever task it was.</summary>
    public void Dispose()
    {
        foreach (Tensor first in _first.Values) first.Dispose();
        Ownership.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Ownership.ToString();

    private LayerDensities Densities() => Options.Allocation.Solve([.. _weights.Select(w => new LayerShape(w.Name, w.Parameter.shape))], Options.Density);

    /// <summary>Stored values where somebody owns a weight, first values elsewhere.</summary>
    private void Begin()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        foreach ((string name, Parameter parameter) in _weights) parameter.copy_(Ownership.ValuesOf(name).where(Ownership.UsedOf(name), _first[name]));
    }

    private long SeedOf(int number, int what) => (long)(SeededRandom.Mix((ulong)Options.Seed ^ SeededRandom.Mix((ulong)((number * 8) + what) + 31)) >> 1);
}
