using System.Globalization;
using Sparseland.Models;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>When ReLoRA merges.</summary>
public sealed record ReLoraSchedule
{
    /// <summary>Steps between two merges. Default 50.</summary>
    public long Every { get; init; } = 50;

    /// <summary>Steps after a merge over which the rate of ALL parameters climbs to the schedule's again; 0 for at once. Default 5.</summary>
    public long WarmUp { get; init; } = 5;

    /// <summary>What a step's rate is multiplied by: min(1, (steps since the merge + 1) / warm-up), 1 before the first.</summary>
    /// <param name="step">Steps done before it, from 0.</param>
    public double FactorOf(long step) => step < Every || WarmUp == 0 ? 1 : Math.Min(1, ((step % Every) + 1.0) / WarmUp);

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Every);
        if (WarmUp < 0 || WarmUp >= Every) throw new ArgumentOutOfRangeException(nameof(WarmUp), WarmUp, $"WarmUp must be from 0 to below Every, {Every}: the rate would never be the schedule's.");
    }
}

/// <summary>
/// ReLoRA without its dense warm start (Lialin et al. 2023): an optimizer under which the adapters of a network are merged into their frozen weights every few steps, drawn anew, their moments forgotten and
/// the rate warmed up again. After k merges the rank of W - W0 is at most k r.
/// </summary>
public sealed class ReLoraOptimizer : WrappedOptimizer
{
    private readonly (string Name, LoraLinear Layer)[] _layers;

    /// <summary>Wraps a rule.</summary>
    /// <param name="inner">A new optimizer of the network; it is disposed with this.</param>
    /// <param name="model">The network, with <see cref="LoraLinear"/> layers.</param>
    /// <param name="schedule">When it merges; null, the default, for the defaults of the record.</param>
    /// <exception cref="ArgumentException">The network has no adapter, an option is out of its range, or the inner rule has made steps or does not step an adapter.</exception>
    public ReLoraOptimizer(IOptimizer inner, nn.Module model, ReLoraSchedule? schedule = null)
        : base(inner)
    {
        ArgumentNullException.ThrowIfNull(model);
        Schedule = schedule ?? new();
        Schedule.Validate();
        _layers = [.. model.named_modules().Prepend(("", model)).Where(m => m.Item2 is LoraLinear).Select(m => (m.Item1, (LoraLinear)m.Item2)).DistinctBy(m => m.Item2, ReferenceEqualityComparer.Instance).Cast<(string, LoraLinear)>()];
        if (_layers.Length == 0) throw new ArgumentException("The network has no LoraLinear; attach adapters first.", nameof(model));
        HashSet<string> stepped = [.. inner.Parameters.Select(p => p.Name)];
        foreach (string name in Adapted)
        {
            if (!stepped.Contains(name)) throw new ArgumentException($"The inner optimizer does not step {name}.", nameof(inner));
        }
    }

    /// <summary>When it merges.</summary>
    public ReLoraSchedule Schedule { get; }

    /// <summary>Merges made.</summary>
    public long Merges => Count / Schedule.Every;

    /// <inheritdoc/>
    public override string Name => "relora-" + Inner.Name;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>(Inner.Settings)
    {
        ["MergeEvery"] = Schedule.Every.ToString(CultureInfo.InvariantCulture), ["MergeWarmUp"] = Schedule.WarmUp.ToString(CultureInfo.InvariantCulture),
    };

    /// <inheritdoc/>
    public override void Step(double rate)
    {
        Inner.Step(rate * Schedule.FactorOf(Count));
        if (Count % Schedule.Every != 0) return;
        foreach ((_, LoraLinear layer) in _layers) layer.Restart();
        foreach (string name in Adapted) Inner.Reset(name);
    }

    /// <inheritdoc/>
    public override void Load(IReadOnlyDictionary<string, Tensor> state, long count)
    {
        Inner.Load(state, count);
        foreach ((_, LoraLinear layer) in _layers) layer.Draws = (int)Merges;
    }

    private IEnumerable<string> Adapted => _layers.Select(l => l.Name.Length == 0 ? "" : l.Name + ".").SelectMany(p => new[] { p + "lora_A", p + "lora_B" });
}
