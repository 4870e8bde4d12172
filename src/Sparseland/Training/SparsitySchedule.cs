using System.Globalization;
using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>Sparsity as a function of the step, for pruning that goes along with training (Zhu and Gupta 2017).</summary>
/// <param name="Final">s_f, sparsity from <paramref name="End"/> on; from 0 to below 1.</param>
/// <param name="Initial">s_0, sparsity before <paramref name="Begin"/>; from 0 to <paramref name="Final"/>.</param>
/// <param name="Begin">t_i, the last step with the initial sparsity; not negative.</param>
/// <param name="End">T - t_f, the first step with the final sparsity; not below <paramref name="Begin"/>.</param>
/// <param name="Power">3 for the cubic schedule, 1 for the linear one; positive.</param>
public sealed record SparsitySchedule(double Final, double Initial, long Begin, long End, double Power)
{
    /// <summary>One sparsity throughout.</summary>
    /// <param name="sparsity">From 0 to below 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">Out of range.</exception>
    public static SparsitySchedule Constant(double sparsity) => new SparsitySchedule(sparsity, sparsity, 0, 0, 1).Checked();

    /// <summary>A straight line between two steps.</summary>
    /// <param name="final">s_f.</param>
    /// <param name="begin">Last step with the initial sparsity.</param>
    /// <param name="end">First step with the final one.</param>
    /// <param name="initial">s_0. Default 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static SparsitySchedule Linear(double final, long begin, long end, double initial = 0) => new SparsitySchedule(final, initial, begin, end, 1).Checked();

    /// <summary>s(t) = s_f + (s_0 - s_f) (1 - (t - t_i)/(T - t_f - t_i))^3: fast while there is much to prune, slow at the end.</summary>
    /// <param name="final">s_f.</param>
    /// <param name="begin">t_i.</param>
    /// <param name="end">T - t_f.</param>
    /// <param name="initial">s_0. Default 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static SparsitySchedule Cubic(double final, long begin, long end, double initial = 0) => new SparsitySchedule(final, initial, begin, end, 3).Checked();

    /// <summary>Sparsity at a step.</summary>
    /// <param name="step">The step, not negative.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative step.</exception>
    public double At(long step)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        if (step >= End) return Final;
        if (step <= Begin) return Initial;
        double left = 1 - ((step - Begin) / (double)(End - Begin));
        return Final + ((Initial - Final) * Math.Pow(left, Power));
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    /// <summary>Throws when a number is outside its range; what takes a schedule calls it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public void Validate()
    {
        if (!(Final is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Final), Final, "The final sparsity must be from 0 to below 1.");
        if (!(Initial >= 0 && Initial <= Final))
            throw new ArgumentOutOfRangeException(nameof(Initial), Initial, string.Create(CultureInfo.InvariantCulture, $"The initial sparsity must be from 0 to the final {Final}."));
        ArgumentOutOfRangeException.ThrowIfNegative(Begin);
        ArgumentOutOfRangeException.ThrowIfLessThan(End, Begin);
        Finite.Positive(Power);
    }

    private SparsitySchedule Checked()
    {
        Validate();
        return this;
    }
}
