using System.Diagnostics;
using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// The training loop of all networks here: mini-batches, gradients, clipping, AdamW or another optimizer, with evaluations and checkpoints on the way. Each
/// <see cref="Step"/> depends on the parameters, the moments and its number alone, so a training that was stopped or killed goes on from
/// its checkpoint as if nothing had happened, bit for bit (with the same number of libtorch threads).
/// </summary>
/// <remarks>
/// Cancelling leaves the network after its last whole step, and writes a checkpoint if there is a file for it. A loss that is not finite
/// stops before the step that it would spoil; only what a forward pass itself changes (batch norm's running means) has seen it. What a
/// network draws (dropout) comes from libtorch's one generator, which each step seeds: two networks with dropout that train at once in one
/// process disturb each other.
/// </remarks>
public sealed class TrainingLoop : IDisposable
{
    private readonly IBatchSource _batches;
    private readonly Func<Batch, double, double> _gradients;
    private readonly TrainingHooks _hooks;
    private readonly Parameter[] _parameters;
    private readonly IOptimizer? _own;
    private readonly List<StepReport> _history = [];

    /// <summary>Prepares a training.</summary>
    /// <param name="model">The network; the loss must be computed by it.</param>
    /// <param name="batches">The data.</param>
    /// <param name="loss">From a mini-batch to its mean loss, one number; see <see cref="Losses"/>.</param>
    /// <param name="options">Steps, learning rates, clipping, checkpoints; null for the defaults of the record.</param>
    /// <param name="hooks">Evaluation and callbacks; null for none.</param>
    /// <param name="optimizer">Another optimizer than AdamW, of the same model; it stays the caller's. Null, the default, for AdamW.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or nothing requires a gradient.</exception>
    public TrainingLoop(
        nn.Module model, IBatchSource batches, Func<Batch, Tensor> loss, TrainingOptions? options = null, TrainingHooks? hooks = null, IOptimizer? optimizer = null)
        : this(model, batches, Differentiated(loss), options, hooks, optimizer)
    {
    }

    /// <summary>Prepares a training whose gradients are not libtorch's: a method that knows shorter ones by hand.</summary>
    /// <param name="model">The network.</param>
    /// <param name="batches">The data.</param>
    /// <param name="gradients">
    /// Given a mini-batch and a weight, adds weight times the gradient of the mini-batch's mean loss to what the parameters hold, and returns that loss.
    /// </param>
    /// <param name="options">Steps, learning rates, clipping, checkpoints.</param>
    /// <param name="hooks">Evaluation and callbacks; null for none.</param>
    /// <param name="optimizer">Another optimizer than AdamW, of the same model; it stays the caller's.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or nothing requires a gradient.</exception>
    public TrainingLoop(
        nn.Module model, IBatchSource batches, Func<Batch, double, double> gradients, TrainingOptions? options = null, TrainingHooks? hooks = null, IOptimizer? optimizer = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batches);
        ArgumentNullException.ThrowIfNull(gradients);
        Options = options ?? new();
        Options.Validate();
        (Model, _batches, _gradients, _hooks) = (model, batches, gradients, hooks ?? new());
        if (Options.EvaluateEvery > 0 && _hooks.Evaluate is null)
            throw new ArgumentException($"EvaluateEvery is {Options.EvaluateEvery}, but the hooks have no Evaluate.", nameof(hooks));
        _own = optimizer is null ? new AdamWOptimizer(model, Options.WeightDecay, Options.Beta1, Options.Beta2, Options.Epsilon, Options.DecayAll) : null;
        Optimizer = optimizer ?? _own!;
        if (Optimizer.Count != 0) throw new ArgumentException($"The optimizer has made {Optimizer.Count} steps; a training begins with a new one, or takes a checkpoint up.", nameof(optimizer));
        HashSet<nint> own = [.. model.parameters().Select(TensorMemory.Identity)];
        if (Optimizer.Parameters.FirstOrDefault(p => !own.Contains(TensorMemory.Identity(p.Parameter))) is { Parameter: not null } strange)
            throw new ArgumentException($"The optimizer steps {strange.Name}, which is no parameter of the network.", nameof(optimizer));
        _parameters = [.. Optimizer.Parameters.Select(p => p.Parameter)];
    }

    /// <summary>The network.</summary>
    public nn.Module Model { get; }

    /// <summary>The optimizer with its state.</summary>
    public IOptimizer Optimizer { get; }

    /// <summary>Settings.</summary>
    public TrainingOptions Options { get; }

    /// <summary>Steps done.</summary>
    public long Done => Optimizer.Count;

    /// <summary>Time of all steps so far, those before a resumption too.</summary>
    public double Seconds { get; private set; }

    /// <summary>Reports of all steps so far.</summary>
    public IReadOnlyList<StepReport> History => _history;

    /// <summary>Makes the remaining steps.</summary>
    /// <param name="progress">Reported after each step, with the loss and the time left.</param>
    /// <param name="cancel">Checked before each step and handed to the evaluation.</param>
    /// <exception cref="DivergenceException">A loss or gradient is not finite; the message names the step. Network and checkpoint stay as before it.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; the network is that of the last whole step.</exception>
    /// <exception cref="IOException">The checkpoint cannot be written.</exception>
    public TrainingResult Run(IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        var left = new TimeLeft(Done);
        double smooth = double.NaN;
        try
        {
            EvaluateIfDue(cancel);
            while (Done < Options.Steps)
            {
                StepReport report = Step(cancel);
                smooth = double.IsNaN(smooth) ? report.Loss : smooth + (0.05 * (report.Loss - smooth));
                if (Options.CheckpointEvery > 0 && Done % Options.CheckpointEvery == 0 && Done < Options.Steps) Save(Options.Checkpoint!);
                progress?.Report(new(Done, Options.Steps, Message(smooth, left.After(Done, Options.Steps))));
            }
        }
        catch (OperationCanceledException) when (Options.Checkpoint is not null)
        {
            Save(Options.Checkpoint);
            throw;
        }

        if (Options.Checkpoint is not null) Save(Options.Checkpoint);
        return new(_history, Seconds);
    }

    /// <summary>Makes one step, also beyond the planned ones (at the last learning rate).</summary>
    /// <param name="cancel">Checked before each step and handed to the evaluation.</param>
    /// <exception cref="DivergenceException">The loss or the gradient is not finite; the network stays as it was.</exception>
    public StepReport Step(CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        long start = Stopwatch.GetTimestamp();
        _hooks.OnBeforeStep?.Invoke(this);
        double rate = Options.RateOf(Done), loss = Gradients();
        if (!double.IsFinite(loss)) throw Diverged($"The loss is {loss}", rate);
        _hooks.OnGradients?.Invoke(this);
        double norm = GradientNorm.Clip(_parameters, Options.ClipNorm);
        if (!double.IsFinite(norm)) throw Diverged($"The loss is {loss:G4}, but the norm of its gradient is {norm}", rate);
        Optimizer.Step(rate);
        var report = new StepReport(Done, loss, rate, norm);
        _history.Add(report);
        _hooks.OnStep?.Invoke(this, report);
        Seconds += Stopwatch.GetElapsedTime(start).TotalSeconds;
        EvaluateIfDue(cancel);
        return _history[^1];
    }

    /// <summary>Computes the gradients of the next step, averaged over its mini-batches; the parameters stay.</summary>
    /// <returns>The mean loss.</returns>
    public double Gradients()
    {
        Model.train();
        Model.zero_grad();

        // What the network draws depends on seed and step: there is no generator's state to keep.
        manual_seed((long)(SeededRandom.Mix((ulong)Options.Seed ^ SeededRandom.Mix((ulong)Done + 1)) >> 1));
        double sum = 0;
        for (int i = 0; i < Options.Accumulate; i++)
        {
            using DisposeScope scope = NewDisposeScope();
            sum += _gradients(_batches.At((Done * Options.Accumulate) + i), 1.0 / Options.Accumulate);
        }

        return sum / Options.Accumulate;
    }

    private static Func<Batch, double, double> Differentiated(Func<Batch, Tensor> loss)
    {
        ArgumentNullException.ThrowIfNull(loss);
        return (batch, weight) =>
        {
            Tensor value = loss(batch);
            if (value.numel() != 1) throw new ArgumentException($"The loss must be one number, but has the shape [{string.Join(", ", value.shape)}].", nameof(loss));
            GradientPass.Run(weight == 1 ? value : value.mul(weight));
            return value.to(ScalarType.Float64).item<double>();
        };
    }

    /// <summary>Writes parameters, buffers, moments, history and step number; the file appears only when it is whole.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path) => TrainingCheckpoint.Write(path, this, _batches.Description);

    /// <summary>Goes on where a checkpoint stopped.</summary>
    /// <param name="path">A file that <see cref="Save"/> wrote for an equal training.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is cut short, no checkpoint, or of another training; the message names what differs. Nothing has changed.</exception>
    public void Load(string path)
    {
        (IReadOnlyList<StepReport> history, double seconds) = TrainingCheckpoint.Read(path, this, _batches.Description);
        _history.Clear();
        _history.AddRange(history);
        Seconds = seconds;
    }

    /// <summary>Frees the moments of the loop's own optimizer; the network stays, and so does an optimizer that was given.</summary>
    public void Dispose() => _own?.Dispose();

    /// <summary>What decides where a training goes, but its schedule: a checkpoint is taken up only where all of this is the same.</summary>
    internal IEnumerable<KeyValuePair<string, string>> Identity() => [KeyValuePair.Create("Optimizer", Optimizer.Name), .. Optimizer.Settings, .. Options.Identity()];

    /// <summary>Evaluates after a step that asks for it, also when a resumed training was cancelled between the two.</summary>
    private void EvaluateIfDue(CancellationToken cancel)
    {
        bool due = Options.EvaluateEvery > 0 && Done > 0 && (Done % Options.EvaluateEvery == 0 || Done == Options.Steps);
        if (!due || _history[^1].Evaluation is not null) return;
        long start = Stopwatch.GetTimestamp();
        Model.eval();
        try
        {
            using IDisposable off = no_grad();
            using DisposeScope scope = NewDisposeScope();
            _history[^1] = _history[^1] with { Evaluation = _hooks.Evaluate!(cancel) };
        }
        finally
        {
            Model.train();
            Seconds += Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
    }

    private DivergenceException Diverged(string what, double rate)
    {
        string kept = Options.Checkpoint is not null && File.Exists(Options.Checkpoint) ? $" The checkpoint '{Options.Checkpoint}' is as it was." : "";
        return new($"{what} in step {Done + 1}; take a learning rate below {rate:G3}.{kept}");
    }

    private string Message(double loss, TimeSpan left)
    {
        double? figure = _history.LastOrDefault(s => s.Evaluation is not null)?.Evaluation;
        string time = left.TotalHours >= 1 ? $"{(int)left.TotalHours}:{left:mm\\:ss}" : $"{left:m\\:ss}";
        return FormattableString.Invariant($"loss {loss:F3}{(figure is null ? "" : FormattableString.Invariant($", evaluation {figure:F3}"))}, {time} left");
    }

    /// <summary>Time left from the pace of the last minutes: evaluations count, and a machine that became slower too.</summary>
    private sealed class TimeLeft(long done)
    {
        private readonly Queue<(long Step, long Time)> _marks = new([(done, Stopwatch.GetTimestamp())]);

        public TimeSpan After(long step, long steps)
        {
            _marks.Enqueue((step, Stopwatch.GetTimestamp()));
            if (_marks.Count > 200) _marks.Dequeue();
            (long first, long since) = _marks.Peek();

            // A training without end has more time left than can be said.
            return TimeSpan.FromSeconds(Math.Min(Stopwatch.GetElapsedTime(since).TotalSeconds / (step - first) * (steps - step), TimeSpan.MaxValue.TotalSeconds / 2));
        }
    }
}
