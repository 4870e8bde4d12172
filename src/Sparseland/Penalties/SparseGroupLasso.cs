using System.Numerics;
using Sparseland.Tensors;

namespace Sparseland.Penalties;

/// <summary>
/// Sparse group lasso: lambda (share |x|_1 + (1 - share) sum_g w_g |x_g|_2) (Simon, Friedman, Hastie and Tibshirani 2013). Prox:
/// soft thresholding of each coefficient, then shrinking each group, in this order; the composition is exact.
/// </summary>
public sealed record SparseGroupLasso : IGroupPenalty
{
    private readonly GroupNorm _norm;

    /// <summary>Creates the penalty.</summary>
    /// <param name="groups">Which coefficients belong together.</param>
    /// <param name="strength">lambda, positive.</param>
    /// <param name="share">Share of the l1 part, strictly between 0 and 1. Default 0.5.</param>
    /// <param name="weights">w_g, positive, one per group; the square root of the group's size by default.</param>
    /// <exception cref="ArgumentException">A parameter is out of its range or the weights do not fit the groups.</exception>
    public SparseGroupLasso(GroupPartition groups, double strength, double share = 0.5, IReadOnlyList<double>? weights = null)
        : this(new GroupNorm(groups, weights), strength, share)
    {
    }

    private SparseGroupLasso(GroupNorm norm, double strength, double share)
    {
        _norm = norm;
        Strength = Finite.Positive(strength);
        Share = share is > 0 and < 1
            ? share
            : throw new ArgumentOutOfRangeException(nameof(share), share, "share must lie strictly between 0 and 1; use GroupLasso or L1 at the ends.");
    }

    /// <inheritdoc/>
    public double Strength { get; }

    /// <summary>Share of the l1 part.</summary>
    public double Share { get; }

    /// <inheritdoc/>
    public string Name => "sparse group lasso";

    /// <inheritdoc/>
    public bool IsConvex => true;

    /// <inheritdoc/>
    public int? Length => _norm.Groups.Length;

    GroupPartition IGroupPenalty.Groups => _norm.Groups;

    void IGroupPenalty.ProxGroup(int group, Span<double> z, double step)
    {
        new L1(Strength * Share).Prox(z, step, z);
        _norm.ShrinkGroup(group, z, step * Strength * (1 - Share));
    }

    /// <inheritdoc/>
    public IPenalty WithStrength(double strength) => new SparseGroupLasso(_norm, strength, Share);

    /// <inheritdoc/>
    public double Value<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T>
        => new L1(Strength * Share).Value(x) + _norm.Value(x, Strength * (1 - Share));

    /// <inheritdoc/>
    public void Prox<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        new L1(Strength * Share).Prox(z, step, result);
        _norm.Shrink(result, step * Strength * (1 - Share), result);
    }

    /// <inheritdoc/>
    public void SubdifferentialDistance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T>
        => _norm.Distance(x, gradient, Strength * Share, Strength * (1 - Share), result);

    /// <inheritdoc/>
    public double LargestUsefulStrength(ReadOnlySpan<double> gradientAtZero, double step = 1)
    {
        Finite.Positive(step);
        double high = Guard.MaxMagnitude(gradientAtZero) / Share;
        if (high == 0) return 0;
        double[] rest = new double[gradientAtZero.Length];
        double low = 0;

        // 0 is optimal when no group keeps anything: a condition that, once true, stays true as lambda grows.
        for (int i = 0; i < 200; i++)
        {
            double middle = low + (high - low) / 2;
            if (middle <= low || middle >= high) break;
            new L1(middle * Share).Prox(gradientAtZero, 1, rest);
            if (_norm.LargestRatio(rest) <= middle * (1 - Share)) high = middle;
            else low = middle;
        }

        return high;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name}, strength {Strength:G6}";
}
