using System.Globalization;

namespace Sparseland.Probabilistic;

/// <summary>
/// A quantity that changes over the steps of a run: piecewise linear between given points, constant before the first and after the last.
/// A number converts to a constant.
/// </summary>
public sealed class Ramp
{
    private readonly (double Position, double Value)[] _points;
    private readonly bool _fractions;

    private Ramp((double Position, double Value)[] points, bool fractions) => (_points, _fractions) = (points, fractions);

    /// <summary>Positions as fractions of the run; a negative one counts back from the end, -0.2 is 0.8.</summary>
    /// <param name="points">Positions in [-1, 1], increasing once the negative ones are counted from the end; finite values.</param>
    /// <exception cref="ArgumentException">No point, a position out of its range, positions that do not increase, or a value that is not finite.</exception>
    public static Ramp Fractions(params (double Position, double Value)[] points)
    {
        var ramp = new Ramp(Checked(points), true);
        foreach ((double position, _) in points)
        {
            if (!(Math.Abs(position) <= 1))
                throw new ArgumentOutOfRangeException(nameof(points), position, "A fraction of the run must be in [-1, 1].");
        }

        ramp.CheckOrder(1);
        return ramp;
    }

    /// <summary>Positions as step numbers from 0; a negative one counts back from the end, -1 is the last step.</summary>
    /// <param name="points">Steps and finite values. That steps increase is checked when the length of the run is known.</param>
    /// <exception cref="ArgumentException">No point, or a value that is not finite.</exception>
    public static Ramp Steps(params (int Step, double Value)[] points)
    {
        ArgumentNullException.ThrowIfNull(points);
        return new(Checked([.. points.Select(p => ((double)p.Step, p.Value))]), false);
    }

    /// <summary>The same value at every step.</summary>
    public static implicit operator Ramp(double value) => Fractions((0, value));

    /// <summary>The value at a step.</summary>
    /// <param name="step">From 0.</param>
    /// <param name="steps">Steps of the run.</param>
    public double At(int step, int steps)
    {
        double length = _fractions ? 1 : steps, place = _fractions ? (double)step / steps : step;
        (double Position, double Value) left = (double.NegativeInfinity, _points[0].Value);
        foreach ((double position, double value) in _points)
        {
            double at = Resolve(position, length);
            if (place < at)
                return double.IsNegativeInfinity(left.Position) ? value : left.Value + ((value - left.Value) * (place - left.Position) / (at - left.Position));
            left = (at, value);
        }

        return left.Value;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Join(", ", _points.Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.Position}: {p.Value}")));

    internal void Check(string name, int steps, Func<double, bool> allowed, string rule)
    {
        CheckOrder(_fractions ? 1 : steps);
        foreach ((_, double value) in _points)
        {
            if (!allowed(value)) throw new ArgumentOutOfRangeException(name, value, $"{name} {rule}.");
        }
    }

    private static double Resolve(double position, double length) => position < 0 ? position + length : position;

    private static (double Position, double Value)[] Checked((double Position, double Value)[] points)
    {
        ArgumentNullException.ThrowIfNull(points);
        if (points.Length == 0) throw new ArgumentException("A ramp needs at least one point.", nameof(points));
        foreach ((double position, double value) in points)
        {
            if (!double.IsFinite(value) || !double.IsFinite(position))
                throw new ArgumentException($"The ramp has the value {value} at {position}; both must be finite.", nameof(points));
        }

        return [.. points];
    }

    private void CheckOrder(double length)
    {
        for (int i = 1; i < _points.Length; i++)
        {
            double before = Resolve(_points[i - 1].Position, length), at = Resolve(_points[i].Position, length);
            if (!(at > before))
                throw new ArgumentException($"The positions of a ramp must increase, but {_points[i].Position} ({at}) follows {_points[i - 1].Position} ({before}).", "points");
        }
    }
}
