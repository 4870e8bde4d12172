using System.Globalization;
using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Rule that steps along a projected gradient.</summary>
public enum GaLoreRule
{
    /// <summary>Adam's normalised step.</summary>
    Adam,

    /// <summary>The gradient itself: with full rank and scale 1 this is plain gradient descent.</summary>
    Sgd,
}

/// <summary>Settings of <see cref="GaLoreOptimizer"/>.</summary>
public sealed record GaLoreOptions
{
    /// <summary>r, from 1 to the smaller side of every projected matrix. Default 128.</summary>
    public int Rank { get; init; } = 128;

    /// <summary>Steps between two projectors. Default 200.</summary>
    public long Gap { get; init; } = 200;

    /// <summary>Factor of the projected update. Default 0.25.</summary>
    public double Scale { get; init; } = 0.25;

    /// <summary>Rule of the projected matrices; all other parameters step by AdamW. Default <see cref="GaLoreRule.Adam"/>.</summary>
    public GaLoreRule Rule { get; init; } = GaLoreRule.Adam;

    /// <summary>Decoupled weight decay lambda, on the whole weights. Default 0.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Decay of the mean of the gradients. Default 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the mean of their squares. Default 0.999.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>eps. Default 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Rank);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Gap);
        Finite.Positive(Scale);
        if (!Enum.IsDefined(Rule)) throw new ArgumentOutOfRangeException(nameof(Rule), Rule, "No such rule.");
        new TrainingOptions { WeightDecay = WeightDecay, Beta1 = Beta1, Beta2 = Beta2, Epsilon = Epsilon }.Validate();
    }
}

/// <summary>
/// GaLore (Zhao et al. 2024): weights stay dense, moments live in a subspace of r dimensions of the gradient. Every gap steps the r leading singular vectors of the present gradient become the projector P,
/// of the right side where out >= in (R = G P), else of the left (R = P^T G), so that the moments have r times the LONGER side. The rule's step for R goes back through P and is multiplied by the scale.
/// Moments are kept, not rotated, when P changes.
/// </summary>
/// <remarks>P is state: a training that is taken up without it would go on in another subspace, and is refused.</remarks>
public sealed class GaLoreOptimizer : IOptimizer
{
    private readonly Slot[] _slots;
    private readonly AdamWOptimizer? _rest;
    private readonly Tensor _since;
    private readonly NativeSize _size;

    /// <summary>Prepares moments and projectors, all zero.</summary>
    /// <param name="model">Its parameters that require a gradient are stepped.</param>
    /// <param name="options">Rank, gap, scale; null for the defaults of the record.</param>
    /// <param name="names">Matrices that are projected; null, the default, for the weights of the network's linear layers (<see cref="LinearSlots"/>).</param>
    /// <exception cref="ArgumentException">An option is out of its range, an unknown name, a parameter that is no matrix, a rank above its smaller side (it is named), or nothing to project.</exception>
    public GaLoreOptimizer(nn.Module model, GaLoreOptions? options = null, IReadOnlyCollection<string>? names = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        Options = options ?? new();
        Options.Validate();
        (string Name, Parameter Parameter)[] all = OptimizerState.Trainable(model);
        HashSet<string> wanted = [.. names ?? [.. LinearSlots.Of(model).Select(s => s.Name + ".weight").Where(n => all.Any(p => p.Name == n))]];
        foreach (string name in wanted)
        {
            Parameter parameter = all.FirstOrDefault(p => p.Name == name).Parameter ?? throw OptimizerState.Unknown(name, all);
            if (parameter.dim() != 2) throw new ArgumentException($"{name} is [{string.Join(", ", parameter.shape)}]; only matrices are projected.", nameof(names));
            if (Options.Rank > Math.Min(parameter.shape[0], parameter.shape[1]))
                throw new ArgumentOutOfRangeException(nameof(options), Options.Rank, $"{name} is [{string.Join(", ", parameter.shape)}]; the rank must not be above its smaller side.");
        }

        if (wanted.Count == 0) throw new ArgumentException("The network has no matrix to project.", nameof(names));
        _slots = [.. all.Where(p => wanted.Contains(p.Name)).Select(p => Slot.Of(p.Name, p.Parameter, Options.Rank))];
        (string Name, Parameter Parameter)[] rest = [.. all.Where(p => !wanted.Contains(p.Name))];
        _rest = rest.Length == 0 ? null : AdamWOptimizer.Of(model, rest, Options);
        _since = zeros(_slots.Length, dtype: ScalarType.Int64).DetachFromDisposeScope();
        _size = NativeSize.Of(_slots.SelectMany(s => new[] { s.First, s.Second, s.Projector }).Append(_since));
    }

    /// <summary>Settings.</summary>
    public GaLoreOptions Options { get; }

    /// <inheritdoc/>
    public string Name => "galore";

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>
    {
        [nameof(GaLoreOptions.Rank)] = Options.Rank.ToString(CultureInfo.InvariantCulture), [nameof(GaLoreOptions.Gap)] = Options.Gap.ToString(CultureInfo.InvariantCulture),
        [nameof(GaLoreOptions.Scale)] = Text(Options.Scale), [nameof(GaLoreOptions.Rule)] = Options.Rule.ToString(), [nameof(GaLoreOptions.WeightDecay)] = Text(Options.WeightDecay),
        [nameof(GaLoreOptions.Beta1)] = Text(Options.Beta1), [nameof(GaLoreOptions.Beta2)] = Text(Options.Beta2), [nameof(GaLoreOptions.Epsilon)] = Text(Options.Epsilon),
        ["Projected"] = string.Join(' ', _slots.Select(s => s.Name)),
    };

    /// <inheritdoc/>
    public long Count { get; private set; }

    /// <inheritdoc/>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters => _slots.Select(s => (s.Name, s.Parameter)).Concat(_rest?.Parameters ?? []);

    /// <summary>
    /// "first.NAME" and "second.NAME" [r, longer side], the moments of R or of its transpose; "projector.NAME" [r, shorter side], the rows of P^T; "since"; and "rest.*", the state of the other parameters.
    /// They belong to the optimizer.
    /// </summary>
    public IReadOnlyDictionary<string, Tensor> State
    {
        get
        {
            var state = new Dictionary<string, Tensor> { ["since"] = _since };
            foreach (Slot slot in _slots) (state["first." + slot.Name], state["second." + slot.Name], state["projector." + slot.Name]) = (slot.First, slot.Second, slot.Projector);
            foreach ((string name, Tensor value) in _rest?.State ?? new Dictionary<string, Tensor>()) state["rest." + name] = value;
            return state;
        }
    }

    /// <summary>P of a matrix, [shorter side, r], of its right side where out >= in; zero before the first step. The caller disposes it.</summary>
    /// <param name="parameter">Name of a projected matrix.</param>
    /// <exception cref="ArgumentException">It is not projected.</exception>
    public Tensor ProjectorOf(string parameter) => (_slots.FirstOrDefault(s => s.Name == parameter) ?? throw OptimizerState.Unknown(parameter, _slots.Select(s => (s.Name, s.Parameter)))).Projector.t();

    /// <summary>Moments of an unprojected parameter; none of a projected matrix, whose moments are not of its shape.</summary>
    /// <param name="parameter">Name as in <see cref="Parameters"/>.</param>
    public IReadOnlyList<Tensor> MomentsOf(string parameter) => _rest?.MomentsOf(parameter) ?? [];

    /// <inheritdoc/>
    public void Reset(string parameter)
    {
        int at = Array.FindIndex(_slots, s => s.Name == parameter);
        if (at < 0)
        {
            if (_rest is null) throw OptimizerState.Unknown(parameter, Parameters);
            _rest.Reset(parameter);
            return;
        }

        using IDisposable off = no_grad();
        _slots[at].First.zero_();
        _slots[at].Second.zero_();
        _since.data<long>()[at] = _slots[at].Since = Count;
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">A gradient is not finite, whether a projector is due or not; the parameter is named. Nothing has been stepped.</exception>
    public void Step(double rate)
    {
        Finite.NotNegative(rate);
        using IDisposable off = no_grad();
        bool due = Count % Options.Gap == 0;

        // Before anything is stepped: a projector cannot be made of NaN, between two projectors one entry would spoil its whole row of the projection and with it the moments for good, and half a step is none.
        CheckGradients();
        foreach (Slot slot in _slots)
        {
            using DisposeScope scope = NewDisposeScope();
            if (slot.Parameter.grad is not { } gradient) continue;

            // Turned so that its columns are the shorter side: [longer, shorter].
            Tensor G = slot.Turned ? gradient.t() : gradient;
            if (due || !slot.IsSet) Project(slot, G);
            Tensor R = G.mm(slot.Projector.t()).t();
            if (Options.WeightDecay > 0) slot.Parameter.mul_(1 - (rate * Options.WeightDecay));
            Tensor step = Options.Rule == GaLoreRule.Sgd ? R : AdamDirection(slot, R);
            Tensor back = step.t().mm(slot.Projector);
            slot.Parameter.add_(slot.Turned ? back.t() : back, alpha: -rate * Options.Scale);
        }

        _rest?.Step(rate);
        Count++;
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">Something is missing or has another shape, the projectors among it.</exception>
    public void Load(IReadOnlyDictionary<string, Tensor> state, long count)
    {
        CheckState(state, count);
        _rest?.Load(OptimizerState.PartOf(_rest, "rest.", state), count);
        OptimizerState.CopyInto(State, state, count);
        long[] since = _since.data<long>().ToArray();
        foreach ((Slot slot, int i) in _slots.Select((s, i) => (s, i)))
        {
            using Tensor any = slot.Projector.count_nonzero();
            (slot.Since, slot.IsSet) = (since[i], any.item<long>() > 0);
        }

        Count = count;
    }

    /// <inheritdoc/>
    public void CheckState(IReadOnlyDictionary<string, Tensor> state, long count)
    {
        OptimizerState.CheckSince(state, count);
        OptimizerState.CheckShapes(State, state, count);
        using DisposeScope scope = NewDisposeScope();
        foreach (Slot slot in _slots)
        {
            if (count > 0 && state["first." + slot.Name].count_nonzero().item<long>() > 0 && state["projector." + slot.Name].count_nonzero().item<long>() == 0)
                throw new ArgumentException($"The state has moments of {slot.Name}, but its projector is zero: they would be taken up in no subspace.", nameof(state));
        }

        _rest?.CheckState(OptimizerState.PartOf(_rest, "rest.", state), count);
    }

    /// <summary>Frees moments and projectors; the parameters stay.</summary>
    public void Dispose()
    {
        foreach (Slot slot in _slots)
        {
            slot.First.Dispose();
            slot.Second.Dispose();
            slot.Projector.Dispose();
        }

        _since.Dispose();
        _rest?.Dispose();
        _size.Dispose();
    }

    private void CheckGradients()
    {
        using DisposeScope scope = NewDisposeScope();
        List<(string Name, Tensor IsFinite)> looked = [];
        foreach ((string name, Parameter parameter) in Parameters)
        {
            using Tensor? gradient = parameter.grad;
            if (gradient is null) continue;
            using Tensor places = gradient.isfinite();
            looked.Add((name, places.all()));
        }

        // On each device one number is waited for; which parameter it was is asked only where there is one.
        if (looked.GroupBy(l => (l.IsFinite.device_type, l.IsFinite.device_index)).All(g => stack(g.Select(l => l.IsFinite)).all().item<bool>())) return;
        string broken = looked.First(l => !l.IsFinite.item<bool>()).Name;
        throw new ArgumentException($"The gradient of {broken} is not finite at step {Count + 1}; nothing has been stepped.");
    }

    private static void Project(Slot slot, Tensor G)
    {
        Tensor wide = G.to(ScalarType.Float64), scale = wide.abs().max();
        double largest = scale.item<double>();
        if (largest == 0) return;

        // The leading right singular vectors of G are the last eigenvectors of the product of its shorter side: orthonormal to rounding, at a fraction of the cost.
        wide = wide / scale;
        Tensor vectors = linalg.eigh(wide.t().mm(wide)).Item2;
        long r = slot.Projector.shape[0];
        slot.Projector.copy_(vectors.narrow(1, vectors.shape[1] - r, r).flip(1).t());
        slot.IsSet = true;
    }

    private Tensor AdamDirection(Slot slot, Tensor R)
    {
        long t = Count + 1 - slot.Since;
        double first = 1 - Math.Pow(Options.Beta1, t), second = Math.Sqrt(1 - Math.Pow(Options.Beta2, t));
        slot.First.mul_(Options.Beta1).add_(R, alpha: 1 - Options.Beta1);
        slot.Second.mul_(Options.Beta2).addcmul_(R, R, 1 - Options.Beta2);
        return slot.First.div(slot.Second.sqrt().div_(second).add_(Options.Epsilon)).div_(first);
    }

    private static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    private sealed record Slot(string Name, Parameter Parameter, bool Turned, Tensor First, Tensor Second, Tensor Projector)
    {
        /// <summary>Steps done at the last reset.</summary>
        public long Since { get; set; }

        /// <summary>Whether there is a projector yet.</summary>
        public bool IsSet { get; set; }

        public static Slot Of(string name, Parameter parameter, long rank)
        {
            using IDisposable off = no_grad();
            bool turned = parameter.shape[0] < parameter.shape[1];
            long longer = Math.Max(parameter.shape[0], parameter.shape[1]), shorter = Math.Min(parameter.shape[0], parameter.shape[1]);
            Tensor Made(long n) => zeros([rank, n], dtype: parameter.dtype, device: parameter.device).DetachFromDisposeScope();
            return new(name, parameter, turned, Made(longer), Made(longer), Made(shorter));
        }
    }
}
