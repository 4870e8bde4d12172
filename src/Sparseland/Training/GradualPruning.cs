using System.Globalization;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Dense to sparse (Zhu and Gupta 2017, without their return of pruned weights): the smallest weights go every few steps, after the optimizer's step, as many as a <see cref="SparsitySchedule"/> says. What is
/// pruned never comes back, so the masks are nested; weights and moments there are zero. The masks are part of the state, so a training is taken up as it was.
/// </summary>
/// <remarks><see cref="GradualMagnitude"/> keeps the values of masked weights and lets them return.</remarks>
public sealed class GradualPruning : IOptimizer
{
    private readonly nn.Module _model;
    private readonly IOptimizer _inner;
    private readonly SparseOptimizer _sparse;
    private readonly Func<double, PruningPattern> _pattern;

    /// <summary>Sets it up; nothing is pruned before the first step.</summary>
    /// <param name="inner">The rule that steps the weights, new; it is disposed with this.</param>
    /// <param name="model">The network.</param>
    /// <param name="schedule">Sparsity by step; steps are counted from 1, and nothing is pruned before its begin.</param>
    /// <param name="interval">Steps between two prunings; positive. Default 20.</param>
    /// <param name="names">Weights that are pruned; null, the default, for those of <see cref="PrunableWeights"/>.</param>
    /// <param name="pattern">From a sparsity to who competes with whom; null, the default, for <see cref="PruningPattern.Global"/>.</param>
    /// <exception cref="ArgumentException">A number is out of its range, an unknown or tied parameter, or the inner rule has made steps.</exception>
    public GradualPruning(IOptimizer inner, nn.Module model, SparsitySchedule schedule, long interval = 20, IReadOnlyList<string>? names = null, Func<double, PruningPattern>? pattern = null)
    {
        ArgumentNullException.ThrowIfNull(inner);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(schedule);
        schedule.Validate();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(interval);
        (_model, _inner, Schedule, Interval, _pattern) = (model, inner, schedule, interval, pattern ?? PruningPattern.Global);
        Masks = MaskSet.Random(model, 1, 0, names ?? PrunableWeights.Names(model));
        try
        {
            _sparse = new(inner, Masks);
        }
        catch
        {
            Masks.Dispose();
            throw;
        }
    }

    /// <summary>Sparsity by step.</summary>
    public SparsitySchedule Schedule { get; }

    /// <summary>Steps between two prunings.</summary>
    public long Interval { get; }

    /// <summary>What is left; it belongs to this.</summary>
    public MaskSet Masks { get; }

    /// <inheritdoc/>
    public string Name => "gradual-" + _inner.Name;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>(_inner.Settings)
    {
        ["Pruning"] = string.Create(CultureInfo.InvariantCulture, $"{Schedule.Initial:R} to {Schedule.Final:R}, steps {Schedule.Begin} to {Schedule.End}, power {Schedule.Power:R}, every {Interval}, {_pattern(Schedule.Final)}"),
    };

    /// <inheritdoc/>
    public long Count => _sparse.Count;

    /// <inheritdoc/>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters => _inner.Parameters;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, Tensor> State => _sparse.State;

    /// <summary>Hooks for the loop: gradients are masked before anything clips them.</summary>
    /// <param name="others">Hooks that are called as well; null, the default, for none.</param>
    public TrainingHooks Hooks(TrainingHooks? others = null) => _sparse.Hooks(others);

    /// <inheritdoc/>
    public IReadOnlyList<Tensor> MomentsOf(string parameter) => _inner.MomentsOf(parameter);

    /// <inheritdoc/>
    public void Reset(string parameter) => _inner.Reset(parameter);

    /// <summary>Whether a step prunes.</summary>
    /// <param name="step">Counted from 1.</param>
    public bool IsDue(long step) => step >= Schedule.Begin && (step == Schedule.End || (step < Schedule.End && (step - Schedule.Begin) % Interval == 0));

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">A weight is not finite, or a layer would be left without any; it is named.</exception>
    public void Step(double rate)
    {
        _sparse.Step(rate);
        if (IsDue(Count) || (Count == 1 && Schedule.End == 0)) Prune(Schedule.At(Count));
    }

    /// <inheritdoc/>
    public void Load(IReadOnlyDictionary<string, Tensor> state, long count) => _sparse.Load(state, count);

    /// <inheritdoc/>
    public void CheckState(IReadOnlyDictionary<string, Tensor> state, long count) => _sparse.CheckState(state, count);

    /// <summary>Frees the masks and the inner rule; the network stays.</summary>
    public void Dispose()
    {
        _sparse.Dispose();
        Masks.Dispose();
    }

    private void Prune(double sparsity)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();

        // What is gone ranks below every weight that is there, also below one that is zero by chance.
        Dictionary<string, Tensor> scores = Masks.Names.ToDictionary(name => name, name => Masks.ParameterOf(name).abs().masked_fill(Masks[name].logical_not(), -1));
        using MaskSet chosen = MaskSet.FromScores(_model, scores, _pattern(sparsity));
        foreach (string name in Masks.Names) Masks.Set(name, chosen[name].logical_and(Masks[name]));
        _sparse.Adopt();
    }
}
