namespace Sparseland.Attention.Mixture;

/// <summary>How much of a dense model's training another model needs for the dense model's last loss ("x % of the FLOPs", Liang et al. 2025), where both pay the same per step.</summary>
/// <param name="Ratio">Step of the other model over the dense model's last step; NaN where it never comes there.</param>
/// <param name="Step">The first step at which the other model's loss is at most the dense model's last; -1 where there is none.</param>
/// <param name="Target">The dense model's last loss.</param>
public sealed record StepRatio(double Ratio, long Step, double Target)
{
    /// <summary>Compares two loss curves at the same steps.</summary>
    /// <param name="steps">Steps at which losses were measured, ascending and positive.</param>
    /// <param name="dense">Losses of the dense model.</param>
    /// <param name="other">Losses of the other model.</param>
    /// <param name="smooth">Measurements averaged for each point, those before it included; at least 1. Default 1.</param>
    /// <exception cref="ArgumentException">Curves of different lengths, steps that do not ascend, or a loss that is not finite.</exception>
    public static StepRatio Of(IReadOnlyList<long> steps, IReadOnlyList<double> dense, IReadOnlyList<double> other, int smooth = 1)
    {
        ArgumentNullException.ThrowIfNull(steps);
        ArgumentNullException.ThrowIfNull(dense);
        ArgumentNullException.ThrowIfNull(other);
        ArgumentOutOfRangeException.ThrowIfLessThan(smooth, 1);
        if (steps.Count == 0 || steps[0] < 1 || steps.Zip(steps.Skip(1)).Any(p => p.First >= p.Second)) throw new ArgumentException("Steps must ascend from 1 or more.", nameof(steps));
        Check(dense, nameof(dense));
        Check(other, nameof(other));
        double Smoothed(IReadOnlyList<double> curve, int at) => Enumerable.Range(Math.Max(0, at - smooth + 1), Math.Min(smooth, at + 1)).Average(i => curve[i]);
        double target = Smoothed(dense, dense.Count - 1);
        for (int i = 0; i < steps.Count; i++)
        {
            if (Smoothed(other, i) <= target) return new((double)steps[i] / steps[^1], steps[i], target);
        }

        return new(double.NaN, -1, target);

        void Check(IReadOnlyList<double> curve, string name)
        {
            if (curve.Count != steps.Count) throw new ArgumentException($"There are {steps.Count} steps and {curve.Count} losses.", name);
            if (curve.FirstOrDefault(v => !double.IsFinite(v), 0) is var bad && !double.IsFinite(bad)) throw new ArgumentException($"A loss is {bad}.", name);
        }
    }
}
