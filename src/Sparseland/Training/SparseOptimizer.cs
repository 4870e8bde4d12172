using System.Globalization;
using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>What a topology update did.</summary>
/// <param name="Step">The step, counted from 1.</param>
/// <param name="Fraction">Planned share of active weights to drop.</param>
/// <param name="Changes">Change of each layer by name; a layer in which nothing moved is left out.</param>
public sealed record TopologyReport(long Step, double Fraction, IReadOnlyDictionary<string, TopologyChange> Changes)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Training while sparse: an optimizer whose inactive weights are zero after every step, and whose masks move at some steps by drop and grow, with
/// the number of active weights of each layer unchanged. New weights begin at zero; one that is dropped and grown in the same update keeps its value
/// and its moments. Masks and fired sets are part of its state, so a <see cref="TrainingLoop"/> keeps and resumes them as they are.
/// </summary>
/// <remarks>
/// Give <see cref="Hooks"/> to the loop where gradients are clipped: they are masked, and at update steps copied, before clipping. Without it both
/// happen within the step. Adam's step count is common to all weights: the bias correction of a new weight is off for a few steps, as in every
/// published code.
/// </remarks>
public sealed class SparseOptimizer : IOptimizer
{
    private readonly IOptimizer _inner;
    private readonly IDropScore? _drop;
    private readonly IGrowScore? _grow;
    private readonly Dictionary<string, Tensor> _gradients = [];
    private readonly Tensor _steps = zeros(1, dtype: ScalarType.Int64).DetachFromDisposeScope();
    private readonly NativeSize _size;
    private long _prepared = -1;

    /// <summary>Sets it up and applies the masks.</summary>
    /// <param name="inner">The rule that steps the active weights, new; it is disposed with this.</param>
    /// <param name="masks">The masks, of the same network. They change as the training goes on, and stay the caller's.</param>
    /// <param name="options">When and how much; null, the default, for static masks.</param>
    /// <param name="drop">What is dropped; null, the default, for static masks.</param>
    /// <param name="grow">What grows; null, the default, for static masks.</param>
    /// <exception cref="ArgumentException">An option is out of its range, the inner rule has made steps, or does not step a masked parameter.</exception>
    public SparseOptimizer(IOptimizer inner, MaskSet masks, TopologyOptions? options = null, IDropScore? drop = null, IGrowScore? grow = null)
    {
        ArgumentNullException.ThrowIfNull(inner);
        ArgumentNullException.ThrowIfNull(masks);
        Options = options ?? new();
        Options.Validate();
        if (inner.Count != 0) throw new ArgumentException($"The inner optimizer has made {inner.Count} steps; it must be new.", nameof(inner));
        HashSet<nint> stepped = [.. inner.Parameters.Select(p => TensorMemory.Identity(p.Parameter))];
        if (masks.Names.FirstOrDefault(name => !stepped.Contains(TensorMemory.Identity(masks.ParameterOf(name)))) is { } strange)
            throw new ArgumentException($"The inner optimizer does not step {strange}, which has a mask.", nameof(masks));
        (_inner, Masks, _drop, _grow) = (inner, masks, options is null ? null : drop, options is null ? null : grow);
        _size = NativeSize.Of(_steps);
        Masks.Apply();
        Fired = new FiredSet(masks);
    }

    /// <inheritdoc/>
    public string Name => "sparse-" + _inner.Name;

    /// <summary>When and how much.</summary>
    public TopologyOptions Options { get; }

    /// <summary>The masks as they are now.</summary>
    public MaskSet Masks { get; }

    /// <summary>Every place that has ever been active.</summary>
    public FiredSet Fired { get; }

    /// <summary>The last update; null before the first, and after a resumption.</summary>
    public TopologyReport? LastUpdate { get; private set; }

    /// <summary>Called after each update; null for nobody.</summary>
    public Action<TopologyReport>? OnUpdate { get; set; }

    /// <summary>Hooks for the loop: gradients are copied where an update needs them and masked, before anything clips them.</summary>
    /// <param name="others">Hooks that are called as well; null, the default, for none.</param>
    public TrainingHooks Hooks(TrainingHooks? others = null) => (others ?? new()) with
    {
        OnGradients = loop =>
        {
            // A step that was given up may have been prepared already, with other gradients.
            Forget();
            Prepare();
            others?.OnGradients?.Invoke(loop);
        },
    };

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>(_inner.Settings)
    {
        ["Topology"] = IsStatic ? $"static, {Options.Moments}" : string.Create(
            CultureInfo.InvariantCulture,
            $"every {Options.Interval} from {Options.Begin} to {Options.End}, {Options.Schedule} over {Options.Length ?? Options.End}, {Options.Order}, {Options.Moments}, {(Options.RoundUp ? "up" : "down")}, seed {Options.Seed}, drop {_drop!.Name}, grow {_grow!.Name}"),
        ["Masks"] = string.Join(", ", Masks.Names.Select(name => $"{name} {Masks.ActiveOf(name)}")),
    };

    /// <inheritdoc/>
    public long Count { get; private set; }

    /// <inheritdoc/>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters => _inner.Parameters;

    /// <summary>State of the inner rule ("inner."), masks ("mask."), fired sets ("fired.") and the inner rule's number of steps.</summary>
    public IReadOnlyDictionary<string, Tensor> State
    {
        get
        {
            var state = _inner.State.ToDictionary(s => "inner." + s.Key, s => s.Value);
            foreach (string name in Masks.Names) (state["mask." + name], state["fired." + name]) = (Masks[name], Fired[name]);
            _steps.fill_(_inner.Count);
            state["steps"] = _steps;
            return state;
        }
    }

    private bool IsStatic => _drop is null || _grow is null;

    /// <inheritdoc/>
    public IReadOnlyList<Tensor> MomentsOf(string parameter) => _inner.MomentsOf(parameter);

    /// <summary>Masks the gradients of the coming step, and keeps a copy of what they were where it has an update. Once for each step; the step calls it where nobody did.</summary>
    /// <exception cref="DivergenceException">A gradient that an update needs is not finite: it would win the growth. Nothing has changed.</exception>
    public void Prepare()
    {
        if (_prepared == Count + 1) return;
        Forget();
        if (IsDue(Count + 1) && (_drop!.NeedsGradient || _grow!.NeedsGradient))
        {
            using IDisposable off = no_grad();
            foreach (string name in Masks.Names)
            {
                using Tensor? gradient = Masks.ParameterOf(name).grad;
                if (gradient is null) continue;
                using (Tensor finite = gradient.isfinite(), all = finite.all())
                {
                    if (!all.item<bool>()) throw new DivergenceException($"The gradient of {name} at step {Count + 1} is not finite; in an update of the masks it would win the growth.");
                }

                _gradients[name] = gradient.clone().DetachFromDisposeScope();
            }
        }

        if (Options.Moments == MomentRule.Reset) Masks.MaskGradients();
        _prepared = Count + 1;
    }

    /// <inheritdoc/>
    public void Step(double rate)
    {
        Prepare();
        long step = Count + 1;
        if (!IsDue(step))
        {
            InnerStep(rate);
        }
        else if (Options.Order == UpdateOrder.ReplacesStep)
        {
            if (!Move(step)) InnerStep(rate);
        }
        else
        {
            InnerStep(rate);
            Move(step);
        }

        Count = step;
        Forget();
    }

    /// <summary>What an update of the masks would change now; nothing changes.</summary>
    /// <param name="step">The step, counted from 1.</param>
    /// <exception cref="InvalidOperationException">The masks are static, or a rule needs gradients and there are none.</exception>
    public TopologyReport Plan(long step)
    {
        if (IsStatic) throw new InvalidOperationException("The masks are static: there is no drop or no growth rule.");
        double fraction = Options.FractionAt(step);
        var changes = new Dictionary<string, TopologyChange>();
        foreach (string name in Masks.Names)
        {
            TopologyContext layer = new()
            {
                Layer = name, Weight = Masks.ParameterOf(name), Mask = Masks[name], Gradient = _gradients.GetValueOrDefault(name), Fired = Fired[name],
                Step = step, Fraction = fraction, Seed = Options.Seed,
            };
            long active = Masks.ActiveOf(name), count = active == Masks[name].numel() ? 0 : _drop!.CountOf(layer, Options.CountOf(fraction, active));
            if (count > 0) changes[name] = TopologyUpdate.Apply(layer, _drop!, _grow!, count);
        }

        return new(step, fraction, changes);
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidDataException">A mask of the state is false where a weight of the network is not zero.</exception>
    public void Load(IReadOnlyDictionary<string, Tensor> state, long count)
    {
        OptimizerState.CopyInto(State, state, count);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        foreach (string name in Masks.Names)
        {
            if (Masks.ParameterOf(name).ne(0).logical_and(Masks[name].logical_not()).any().item<bool>())
                throw new InvalidDataException($"{name} has a weight that is not zero where its mask says that it is inactive: masks and weights are not of one moment.");
        }

        _inner.Load(_inner.State.Keys.ToDictionary(key => key, key => state["inner." + key]), state["steps"].to(ScalarType.Int64).item<long>());
        Count = count;
        LastUpdate = null;
        Forget();
    }

    /// <summary>Frees the inner rule and the fired sets; network and masks stay.</summary>
    public void Dispose()
    {
        Forget();
        Fired.Dispose();
        _inner.Dispose();
        _steps.Dispose();
        _size.Dispose();
    }

    private bool IsDue(long step) => !IsStatic && Options.IsDue(step);

    private void InnerStep(double rate)
    {
        _inner.Step(rate);
        Masks.Apply();
    }

    /// <summary>Makes the update; false where nothing moved.</summary>
    private bool Move(long step)
    {
        // All layers are planned before one changes: a refusal leaves them alike.
        TopologyReport report = Plan(step);
        using (NewDisposeScope())
        using (no_grad())
        {
            foreach ((string name, TopologyChange change) in report.Changes)
            {
                Tensor old = Masks[name].clone(), mask = change.Active.ToMask().reshape(old.shape).to(old.device), started = old.logical_and(mask).logical_not();
                Masks.Set(name, mask);
                if (Options.Moments != MomentRule.Reset) continue;
                foreach (Tensor moment in _inner.MomentsOf(name)) moment.masked_fill_(started, 0);
            }
        }

        Masks.Apply();
        Fired.Add(Masks);
        LastUpdate = report;
        OnUpdate?.Invoke(report);
        return report.Changes.Values.Any(change => !change.Grown.Equals(change.Dropped));
    }

    private void Forget()
    {
        foreach (Tensor gradient in _gradients.Values) gradient.Dispose();
        _gradients.Clear();
        _prepared = -1;
    }
}
