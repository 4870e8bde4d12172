using System.Globalization;

namespace Sparseland.Training;

/// <summary>Which share of the active weights a topology update moves, as the training goes on.</summary>
public abstract record DropSchedule
{
    private protected DropSchedule()
    {
    }

    /// <summary>alpha/2 (1 + cos(pi t / length)): RigL's (Evci et al. 2020).</summary>
    /// <param name="alpha">Share at the start, from 0 to 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The share is out of its range.</exception>
    public static DropSchedule Cosine(double alpha) => CosineTo(alpha, 0);

    /// <summary>floor + (alpha - floor)/2 (1 + cos(pi t / length)): from alpha down to the floor, ITOP's and DSL's.</summary>
    /// <param name="alpha">Share at the start, from 0 to 1.</param>
    /// <param name="floor">Share at the end, from 0 to 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A share is out of its range.</exception>
    public static DropSchedule CosineTo(double alpha, double floor) => new CosineSchedule(Share(alpha, nameof(alpha)), Share(floor, nameof(floor)));

    /// <summary>The same share in every update: SET's (Mocanu et al. 2018).</summary>
    /// <param name="share">The share, from 0 to 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The share is out of its range.</exception>
    public static DropSchedule Constant(double share) => new ConstantSchedule(Share(share, nameof(share)));

    /// <summary>alpha (1 - t / length).</summary>
    /// <param name="alpha">Share at the start, from 0 to 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The share is out of its range.</exception>
    public static DropSchedule Linear(double alpha) => new LinearSchedule(Share(alpha, nameof(alpha)));

    /// <summary>The share at a step.</summary>
    /// <param name="step">t, from 0; beyond the length the last share stays.</param>
    /// <param name="length">Steps until the last share, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative step, or a length that is not positive.</exception>
    public double At(long step, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        return AtShare(Math.Min(1, (double)step / length));
    }

    private protected abstract double AtShare(double done);

    private static double Share(double value, string name) =>
        value is >= 0 and <= 1 ? value : throw new ArgumentOutOfRangeException(name, value, $"{name} is a share of the active weights: from 0 to 1.");

    private static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    private sealed record CosineSchedule(double Alpha, double Floor) : DropSchedule
    {
        private protected override double AtShare(double done) => Floor + (0.5 * (Alpha - Floor) * (1 + Math.Cos(Math.PI * done)));

        public override string ToString() => $"cosine from {Text(Alpha)} to {Text(Floor)}";
    }

    private sealed record ConstantSchedule(double Always) : DropSchedule
    {
        private protected override double AtShare(double done) => Always;

        public override string ToString() => $"constant {Text(Always)}";
    }

    private sealed record LinearSchedule(double Alpha) : DropSchedule
    {
        private protected override double AtShare(double done) => Alpha * (1 - done);

        public override string ToString() => $"linear from {Text(Alpha)}";
    }
}
