using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Magnitude pruning along with training (Zhu and Gupta, arXiv 1710.01878): every few steps the smallest weights of each layer are masked, as many as a <see cref="SparsitySchedule"/> says at that step. A masked weight acts as zero and keeps
/// the value that it had, so that it comes back when others have become smaller. Blocks are ranked by their Euclidean norm.
/// </summary>
/// <remarks>Call <see cref="After"/> behind every step, for example from <see cref="TrainingHooks.OnStep"/>. From the end of the schedule on the mask stays; where nothing was chosen until
/// then (a constant schedule, a training that is taken up), the next call chooses. Masks and kept values are no part of a checkpoint, as those of <see cref="GradualPruning"/> are.</remarks>
public sealed class GradualMagnitude : IDisposable
{
    private readonly nn.Module _model;
    private readonly string[] _names;
    private readonly Func<double, PruningPattern> _pattern;
    private readonly Dictionary<string, Tensor> _kept = [];

    /// <summary>Prepares; nothing changes before the first step.</summary>
    /// <param name="model">The network.</param>
    /// <param name="names">Weights that are pruned.</param>
    /// <param name="schedule">Sparsity by step; nothing is masked before its begin.</param>
    /// <param name="every">Steps between two choices; positive. Default 20.</param>
    /// <param name="pattern">From a sparsity to who competes with whom; null, the default, for <see cref="PruningPattern.PerLayer"/>.</param>
    /// <exception cref="ArgumentException">No names, an unknown or tied parameter, or a number out of its range.</exception>
    public GradualMagnitude(nn.Module model, IReadOnlyList<string> names, SparsitySchedule schedule, int every = 20, Func<double, PruningPattern>? pattern = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(names);
        ArgumentNullException.ThrowIfNull(schedule);
        schedule.Validate();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(every);
        (_model, _names, Schedule, Every, _pattern) = (model, [.. names], schedule, every, pattern ?? PruningPattern.PerLayer);
        Dictionary<string, Tensor> all = _names.ToDictionary(name => name, name => Ones(model, name));
        try
        {
            Masks = MaskSet.Of(model, all);
        }
        finally
        {
            foreach (Tensor mask in all.Values) mask.Dispose();
        }
    }

    /// <summary>Sparsity by step.</summary>
    public SparsitySchedule Schedule { get; }

    /// <summary>Steps between two choices.</summary>
    public int Every { get; }

    /// <summary>What is kept now; it belongs to this.</summary>
    public MaskSet Masks { get; private set; }

    /// <summary>Masks after a step: chooses anew where it is time, and sets what is masked to zero.</summary>
    /// <param name="step">Steps done, from 1 on.</param>
    /// <returns>Whether the masks were chosen anew.</returns>
    /// <exception cref="ArgumentException">A weight is not finite; it is named.</exception>
    public bool After(long step)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        bool due = step >= Schedule.Begin && (step == Schedule.End || (step < Schedule.End && (step - Schedule.Begin) % Every == 0) || (step > Schedule.End && _kept.Count == 0));
        if (due) Choose(Schedule.At(step));
        Masks.Apply();
        return due;
    }

    /// <summary>Frees the masks; the network stays.</summary>
    public void Dispose()
    {
        Masks.Dispose();
        foreach (Tensor kept in _kept.Values) kept.Dispose();
        _kept.Clear();
    }

    private void Choose(double sparsity)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        var scores = new Dictionary<string, Tensor>();
        foreach (string name in _names)
        {
            Tensor weight = Masks.ParameterOf(name);
            if (_kept.TryGetValue(name, out Tensor? kept)) weight.copy_(weight.where(Masks[name], kept));

            // A block's score is the sum of its weights': squares make it the norm of the block. In float64, where they neither vanish nor overflow.
            scores[name] = weight.to(ScalarType.Float64).square();
        }

        MaskSet next = MaskSet.FromScores(_model, scores, _pattern(sparsity));
        Masks.Dispose();
        Masks = next;
        foreach (string name in _names)
        {
            if (_kept.Remove(name, out Tensor? old)) old.Dispose();
            _kept[name] = Masks.ParameterOf(name).detach().clone().DetachFromDisposeScope();
        }
    }

    private static Tensor Ones(nn.Module model, string name)
    {
        (string Name, TorchSharp.Modules.Parameter Parameter)[] all = OptimizerState.Trainable(model);
        int at = Array.FindIndex(all, p => p.Name == name);
        if (at < 0) throw new ArgumentException($"No trainable parameter is \"{name}\"; there are {string.Join(", ", all.Select(p => p.Name))}.", nameof(name));
        return ones(all[at].Parameter.shape, dtype: ScalarType.Bool);
    }
}
