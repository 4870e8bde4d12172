using System.Numerics;
using Sparseland.Tensors;

namespace Sparseland.Penalties;

/// <summary>
/// Group lasso, l2,1: lambda sum_g w_g |x_g|_2 (Yuan and Lin 2006). Prox: z_g (1 - t lambda w_g/|z_g|)_+.
/// </summary>
public sealed record GroupLasso : IGroupPenalty
{
    private readonly GroupNorm _norm;

    /// <summary>Creates the penalty.</summary>
    /// <param name="groups">Which coefficients belong together.</param>
    /// <param name="strength">lambda, positive.</param>
    /// <param name="weights">w_g, positive, one per group; the square root of the group's size by default.</param>
    /// <exception cref="ArgumentException">lambda or a weight is not positive, or the weights do not fit the groups.</exception>
    public GroupLasso(GroupPartition groups, double strength, IReadOnlyList<double>? weights = null)
        : this(new GroupNorm(groups, weights), strength)
    {
    }

    private GroupLasso(GroupNorm norm, double strength) => (_norm, Strength) = (norm, Finite.Positive(strength));

    /// <inheritdoc/>
    public double Strength { get; }

    /// <inheritdoc/>
    public string Name => "group lasso";

    /// <inheritdoc/>
    public bool IsConvex => true;

    /// <inheritdoc/>
    public int? Length => _norm.Groups.Length;

    GroupPartition IGroupPenalty.Groups => _norm.Groups;

    void IGroupPenalty.ProxGroup(int group, Span<double> z, double step) => _norm.ShrinkGroup(group, z, step * Strength);

    /// <inheritdoc/>
    public IPenalty WithStrength(double strength) => new GroupLasso(_norm, strength);

    /// <inheritdoc/>
    public double Value<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T> => _norm.Value(x, Strength);

    /// <inheritdoc/>
    public void Prox<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => _norm.Shrink(z, Finite.Positive(step) * Strength, result);

    /// <inheritdoc/>
    public void SubdifferentialDistance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T> => _norm.Distance(x, gradient, 0, Strength, result);

    /// <inheritdoc/>
    public double LargestUsefulStrength(ReadOnlySpan<double> gradientAtZero, double step = 1)
    {
        Finite.Positive(step);
        Guard.MaxMagnitude(gradientAtZero);
        return _norm.LargestRatio(gradientAtZero);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name}, strength {Strength:G6}";
}
