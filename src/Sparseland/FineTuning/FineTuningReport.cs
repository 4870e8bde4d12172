using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>Where a fine-tuning stands after some steps.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Target">Loss on the new task.</param>
/// <param name="Retention">Loss on what the network knew before.</param>
public sealed record FineTuningPoint(long Step, double Target, double Retention);

/// <summary>
/// What a fine-tuning learned and what it forgot, along its way: the one report of all methods. Methods are compared at equal target loss, for whoever stops earlier forgets less.
/// </summary>
/// <param name="Method">Name.</param>
/// <param name="Parameters">Numbers that were trained.</param>
/// <param name="Points">Ascending in steps; the first is the network before.</param>
public sealed record FineTuningReport(string Method, long Parameters, IReadOnlyList<FineTuningPoint> Points)
{
    /// <summary>Where the run began.</summary>
    public FineTuningPoint First => Points[0];

    /// <summary>Where it ended.</summary>
    public FineTuningPoint Last => Points[^1];

    /// <summary>How far the target loss fell.</summary>
    public double Learned => First.Target - Last.Target;

    /// <summary>How far the retention loss rose.</summary>
    public double Forgotten => Last.Retention - First.Retention;

    /// <summary>Retention where the run first reaches a target loss, in a straight line between its points.</summary>
    /// <param name="target">Target loss.</param>
    /// <returns>NaN where the run does not come down to it.</returns>
    public double RetentionAt(double target)
    {
        if (Points[0].Target <= target) return Points[0].Retention;
        for (int i = 1; i < Points.Count; i++)
        {
            (FineTuningPoint before, FineTuningPoint after) = (Points[i - 1], Points[i]);
            if (after.Target > target) continue;
            double share = (before.Target - target) / (before.Target - after.Target);
            return before.Retention + (share * (after.Retention - before.Retention));
        }

        return double.NaN;
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"{Method}, {Parameters} numbers: target {First.Target:F3} to {Last.Target:F3}, retention {First.Retention:F3} to {Last.Retention:F3}");
}

/// <summary>Measures target and retention while a training runs.</summary>
public sealed class FineTuningRecorder
{
    private readonly List<FineTuningPoint> _points = [];
    private readonly Func<double> _target;
    private readonly Func<double> _retention;

    /// <summary>A recorder; the first measurement is made at once.</summary>
    /// <param name="method">Name of the method.</param>
    /// <param name="parameters">Numbers that are trained, not negative.</param>
    /// <param name="target">Loss on the new task, now; called without gradients.</param>
    /// <param name="retention">Loss on what the network knew before, now.</param>
    /// <exception cref="ArgumentException">No name, or a negative number.</exception>
    public FineTuningRecorder(string method, long parameters, Func<double> target, Func<double> retention)
    {
        ArgumentException.ThrowIfNullOrEmpty(method);
        ArgumentOutOfRangeException.ThrowIfNegative(parameters);
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(retention);
        (Method, Parameters, _target, _retention) = (method, parameters, target, retention);
        Measure(0);
    }

    /// <summary>Name of the method.</summary>
    public string Method { get; }

    /// <summary>Numbers that are trained.</summary>
    public long Parameters { get; }

    /// <summary>What has been measured so far.</summary>
    public FineTuningReport Report => new(Method, Parameters, [.. _points]);

    /// <summary>Measures after a step.</summary>
    /// <param name="step">Steps done, more than at the last measurement.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not after the last one.</exception>
    public void Measure(long step)
    {
        if (_points.Count > 0 && step <= _points[^1].Step) throw new ArgumentOutOfRangeException(nameof(step), step, $"Step {step} is not after step {_points[^1].Step}, which was measured before.");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        _points.Add(new(step, _target(), _retention()));
    }

    /// <summary>Callbacks for <see cref="TrainingLoop"/> that measure after some steps.</summary>
    /// <param name="steps">Steps after which to measure.</param>
    public TrainingHooks After(params IReadOnlyCollection<long> steps)
    {
        ArgumentNullException.ThrowIfNull(steps);
        HashSet<long> those = [.. steps];
        return new() { OnStep = (_, report) => { if (those.Contains(report.Step)) Measure(report.Step); } };
    }

    /// <inheritdoc/>
    public override string ToString() => Report.ToString();
}
