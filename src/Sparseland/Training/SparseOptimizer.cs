using System.Globalization;
using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Training while sparse: an optimizer whose inactive weights are zero after every step, and whose masks move at some steps by drop and grow, with
/// the number of active weights of each layer unchanged. New weights begin at zero; one that is dropped and grown in the same update keeps its value
/// and its moments. Masks and fired sets are part of its state, so a <see cref="TrainingLoop"/> keeps and resumes them as they are.
/// </summary>
/// <remarks>
/// Give <see cref="Hooks"/> to the loop where gradients are clipped: they are masked, and at update steps copied, before clipping. Without it both
/// happen within the step. Adam's step count is common to all weights: the bias correction of a new weight is off for a few steps, as in every
/// published code. In <see cref="UpdateOrder.ReplacesStep"/> the inner rule's own count stays behind by the updates made. Masks that somebody else replaces between two steps are refused at the next
/// one; <see cref="Adopt"/> takes them over.
/// </remarks>
public sealed partial class SparseOptimizer : IOptimizer
{
    private readonly IOptimizer _inner;
    private readonly IDropScore? _drop;
    private readonly IGrowScore? _grow;
    private readonly TopologyScope _scope;
    private readonly Dictionary<string, (Companion Companion, Parameter Parameter)[]> _companions;
    private readonly Dictionary<string, Tensor> _averages = [];
    private readonly Dictionary<string, long> _budgets;
    private readonly string _begun;
    private readonly Dictionary<string, long> _active = [];
    private readonly Dictionary<string, Tensor> _gradients = [];
    private readonly Tensor _steps = zeros(1, dtype: ScalarType.Int64).DetachFromDisposeScope();
    private readonly NativeSize _size;
    private long _prepared = -1;
    private long _version;

    /// <summary>Sets it up and applies the masks.</summary>
    /// <param name="inner">The rule that steps the active weights, new; it is disposed with this.</param>
    /// <param name="masks">The masks, of the same network. They change as the training goes on, and stay the caller's.</param>
    /// <param name="options">When and how much; null, the default, for static masks.</param>
    /// <param name="drop">What is dropped; null, the default, for static masks.</param>
    /// <param name="grow">What grows; null, the default, for static masks.</param>
    /// <param name="scope">Where weights may grow, which are never stepped, and what shares their masks; null, the default, for everywhere, none, nothing.</param>
    /// <exception cref="ArgumentException">
    /// An option is out of its range, the inner rule has made steps, or does not step a masked parameter or a companion; a companion has another shape.
    /// </exception>
    public SparseOptimizer(IOptimizer inner, MaskSet masks, TopologyOptions? options = null, IDropScore? drop = null, IGrowScore? grow = null, TopologyScope? scope = null)
    {
        ArgumentNullException.ThrowIfNull(inner);
        ArgumentNullException.ThrowIfNull(masks);
        Options = options ?? new();
        Options.Validate();
        if (inner.Count != 0) throw new ArgumentException($"The inner optimizer has made {inner.Count} steps; it must be new.", nameof(inner));
        _scope = scope ?? new();
        if (Options.SoftBound && (_scope.Allowed is not null || drop is DropSignWise))
            throw new ArgumentException("SoftBound grows a number that is known before what is dropped is: not where growth is allowed in some places alone, nor with a rule that counts by itself.", nameof(options));
        if (Options.Redistribute && _scope.Allowed is not null) throw new ArgumentException("Budgets cannot move between layers where growth is allowed in some places alone.", nameof(scope));
        HashSet<nint> stepped = [.. inner.Parameters.Select(p => TensorMemory.Identity(p.Parameter))];
        if (masks.Names.FirstOrDefault(name => !stepped.Contains(TensorMemory.Identity(masks.ParameterOf(name)))) is { } strange)
            throw new ArgumentException($"The inner optimizer does not step {strange}, which has a mask.", nameof(masks));
        (_inner, Masks, _drop, _grow) = (inner, masks, options is null ? null : drop, options is null ? null : grow);
        _companions = CompanionsOf(inner, masks, _scope);
        _budgets = masks.Names.ToDictionary(name => name, masks.ActiveOf);
        _begun = string.Join(", ", masks.Names.Select(name => $"{name} {_budgets[name]}"));
        if (NeedsAverage)
            foreach (string name in masks.Names) _averages[name] = OptimizerState.Zeros(masks.ParameterOf(name));
        _size = NativeSize.Of(_averages.Values.Append(_steps));
        Fired = new FiredSet(masks);
        Apply();
        Remember();
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

    /// <summary>Whether the coming step looks at the gradient of inactive weights: where it does not, nobody has to compute it (<see cref="MaskedLinear"/>).</summary>
    public bool NeedsDenseGradient => Options.Moments == MomentRule.Keep || NeedsAverage || (IsDue(Count + 1) && (_grow!.NeedsGradient || Options.NewWeights.NeedsGradient));

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
        ["Topology"] = (IsStatic ? $"static, {Options.Moments}" : string.Create(
            CultureInfo.InvariantCulture,
            $"every {Options.Interval} from {Options.Begin} to {Options.End}, {Options.Schedule} over {Options.Length ?? Options.End}, {Options.Order}, {Options.Moments}, {(Options.RoundUp ? "up" : "down")}, seed {Options.Seed}, drop {_drop!.Name}, grow {_grow!.Name}")) + Extras(),
        ["Masks"] = _begun,
    };

    /// <inheritdoc/>
    public long Count { get; private set; }

    /// <inheritdoc/>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters => _inner.Parameters;

    /// <summary>State of the inner rule ("inner."), masks ("mask."), fired sets ("fired."), averaged gradients ("average.") where a rule needs them, and the inner rule's number of steps.</summary>
    public IReadOnlyDictionary<string, Tensor> State
    {
        get
        {
            Dictionary<string, Tensor> state = OptimizerState.OfInner(_inner, _steps);
            foreach (string name in Masks.Names) (state["mask." + name], state["fired." + name]) = (Masks[name], Fired[name]);
            foreach ((string name, Tensor average) in _averages) state["average." + name] = average;
            return state;
        }
    }

    private bool IsStatic => _drop is null || _grow is null;

    private bool NeedsAverage => !IsStatic && (_drop!.NeedsAverage || _grow!.NeedsAverage || Options.Redistribute);

    private bool NeedsGradient => !IsStatic && (_drop!.NeedsGradient || _grow!.NeedsGradient || Options.NewWeights.NeedsGradient);

    /// <inheritdoc/>
    public IReadOnlyList<Tensor> MomentsOf(string parameter) => _inner.MomentsOf(parameter);

    /// <inheritdoc/>
    public void Reset(string parameter) => _inner.Reset(parameter);

    /// <summary>Masks the gradients of the coming step, and keeps a copy of what they were where it has an update. Once for each step; the step calls it where nobody did.</summary>
    /// <exception cref="DivergenceException">A gradient that an update needs is not finite: it would win the growth. Nothing has changed.</exception>
    public void Prepare()
    {
        if (_prepared == Count + 1) return;
        Forget();
        if ((IsDue(Count + 1) && NeedsGradient) || NeedsAverage)
        {
            using IDisposable off = no_grad();
            foreach (string name in Masks.Names)
            {
                using Tensor? gradient = Masks.ParameterOf(name).grad;
                if (gradient is null) continue;
                if (!TensorInput.IsFinite(gradient)) throw new DivergenceException($"The gradient of {name} at step {Count + 1} is not finite; in an update of the masks it would win the growth.");

                _gradients[name] = gradient.clone().DetachFromDisposeScope();
            }
        }

        MaskGradients();
        _prepared = Count + 1;
    }

    /// <inheritdoc/>
    public void Step(double rate)
    {
        Finite.NotNegative(rate);
        Checked();
        Prepare();
        long step = Count + 1;
        Average();
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

    /// <summary>
    /// Takes over masks that somebody else has set since the last step: they are applied, moments of inactive weights become zero, and their numbers are the new budgets.
    /// </summary>
    public void Adopt()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        foreach (string name in Masks.Names)
        {
            _budgets[name] = Masks.ActiveOf(name);
            if (Options.Moments == MomentRule.Reset) ResetMoments(name, Masks[name].logical_not());
        }

        Fired.Add(Masks);
        Apply();
        Remember();
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidDataException">A mask of the state is false where a weight of the network is not zero.</exception>
    public void Load(IReadOnlyDictionary<string, Tensor> state, long count)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();

        // Before anything is taken over: a refusal leaves the optimizer as it was.
        CheckState(state, count);
        OptimizerState.CopyInto(State, state, count);
        Masks.Touch();
        OptimizerState.LoadInner(_inner, state);
        Count = count;
        LastUpdate = null;
        Remember();
        if (!Options.SoftBound)
            foreach (string name in Masks.Names) _budgets[name] = _active[name];
        Forget();
    }

    /// <inheritdoc/>
    public void CheckState(IReadOnlyDictionary<string, Tensor> state, long count)
    {
        OptimizerState.CheckShapes(State, state, count);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        foreach (string name in Masks.Names)
        {
            Tensor mask = state["mask." + name];
            foreach ((string own, Parameter parameter) in Sharing(name))
            {
                if (parameter.ne(0).logical_and(mask.to(ScalarType.Bool).to(parameter.device).logical_not()).any().item<bool>())
                    throw new InvalidDataException($"{own} has a value that is not zero where its mask says that it is inactive: masks and weights are not of one moment.");
            }
        }

        OptimizerState.CheckInner(_inner, state);
    }

    /// <summary>Frees the inner rule and the fired sets; network and masks stay.</summary>
    public void Dispose()
    {
        Forget();
        foreach (Tensor average in _averages.Values) average.Dispose();
        Fired.Dispose();
        _inner.Dispose();
        _steps.Dispose();
        _size.Dispose();
    }

    private bool IsDue(long step) => !IsStatic && Options.IsDue(step);

    private void InnerStep(double rate)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        List<(Parameter Parameter, Tensor Frozen, Tensor Before)> frozen = [.. Masks.Names.Select(name => (name, Frozen: _scope.Frozen?.Invoke(name))).Where(f => f.Frozen is not null)
            .SelectMany(f => Sharing(f.name).Select(p => (p.Parameter, f.Frozen!, p.Parameter.detach().clone())))];
        _inner.Step(rate);
        foreach ((Parameter parameter, Tensor places, Tensor before) in frozen) parameter.copy_(before.where(places, parameter));
        Apply();
    }

    private void Average()
    {
        using IDisposable off = no_grad();
        foreach ((string name, Tensor average) in _averages)
        {
            if (_gradients.TryGetValue(name, out Tensor? gradient)) average.mul_(Options.AverageDecay).add_(gradient, alpha: 1 - Options.AverageDecay);
        }
    }

    private void MaskGradients()
    {
        if (Options.Moments != MomentRule.Reset) return;
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        foreach (string name in Masks.Names)
        {
            Tensor moving = Masks[name];
            if (_scope.Frozen?.Invoke(name) is { } frozen) moving = moving.logical_and(frozen.logical_not());
            foreach ((_, Parameter parameter) in Sharing(name))
            {
                if (parameter.grad is { } gradient) MaskedZeros.Write(gradient, moving, where: false);
            }
        }
    }

    private void ResetMoments(string name, Tensor where)
    {
        foreach ((string own, _) in Sharing(name))
            foreach (Tensor moment in _inner.MomentsOf(own)) MaskedZeros.Write(moment, where, where: true);
    }

    private void Apply()
    {
        Masks.Apply();
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        foreach ((string name, (Companion Companion, Parameter Parameter)[] companions) in _companions)
            foreach ((_, Parameter parameter) in companions) MaskedZeros.Write(parameter, Masks[name], where: false);
    }

    private IEnumerable<(string Name, Parameter Parameter)> Sharing(string name) => [(name, Masks.ParameterOf(name)), .. _companions[name].Select(c => (c.Companion.Parameter, c.Parameter))];

    private void Remember()
    {
        _version = Masks.Version;
        foreach (string name in Masks.Names) _active[name] = Masks.ActiveOf(name);
    }

    private void Checked()
    {
        if (_version != Masks.Version) throw Changed(string.Join(", ", Masks.Names.Where(name => Masks.ActiveOf(name) != _active[name]).DefaultIfEmpty("a layer")));
    }

    private static InvalidOperationException Changed(string name) => new($"The mask of {name} was changed by somebody else since the last step; call Adopt to go on with it.");

    private string Extras()
    {
        string extras = "";
        if (Options.NewWeights != NewWeight.Zero) extras += $", new weights {Options.NewWeights.Name}";
        if (NeedsAverage) extras += string.Create(CultureInfo.InvariantCulture, $", average {Options.AverageDecay:R}");
        if (Options.SoftBound) extras += ", soft bound";
        if (Options.Redistribute) extras += ", redistributed";
        if (_scope.Companions.Count > 0) extras += ", companions " + string.Join(" ", _scope.Companions.SelectMany(c => c.Value.Select(o => $"{o.Parameter} {o.Start}")));
        return extras;
    }

    private static Dictionary<string, (Companion Companion, Parameter Parameter)[]> CompanionsOf(IOptimizer inner, MaskSet masks, TopologyScope scope)
    {
        ArgumentNullException.ThrowIfNull(scope.Companions, nameof(scope));
        Dictionary<string, Parameter> all = inner.Parameters.ToDictionary(p => p.Name, p => p.Parameter);
        if (scope.Companions.Keys.Except(masks.Names).FirstOrDefault() is { } strange) throw new ArgumentException($"{strange} has companions, but no mask.", nameof(scope));
        return masks.Names.ToDictionary(name => name, name => scope.Companions.TryGetValue(name, out IReadOnlyList<Companion>? companions)
            ? companions.Select(companion => !all.TryGetValue(companion.Parameter, out Parameter? parameter)
                ? throw new ArgumentException($"The inner optimizer does not step {companion.Parameter}, a companion of {name}.", nameof(scope))
                : parameter.shape.SequenceEqual(masks.ParameterOf(name).shape) ? (companion, parameter)
                : throw new ArgumentException($"{companion.Parameter} is [{string.Join(", ", parameter.shape)}]; it shares the mask of {name}, which is [{string.Join(", ", masks.ParameterOf(name).shape)}].", nameof(scope))).ToArray()
            : []);
    }

    private void Forget()
    {
        foreach (Tensor gradient in _gradients.Values) gradient.Dispose();
        _gradients.Clear();
        _prepared = -1;
    }
}
