using Sparseland.Penalties;
using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>
/// A penalty on the norms of groups, as training sees it: its prox multiplies each group by a number from 0 to 1. Envelope, group
/// lasso and a fixed support are exchangeable.
/// </summary>
public interface IGroupRegularizer
{
    /// <summary>Name for tables and legends.</summary>
    string Name { get; }

    /// <summary>Throws where the settings do not fit a number of groups.</summary>
    /// <param name="groups">Number of groups.</param>
    /// <exception cref="ArgumentException">A setting does not fit.</exception>
    void Validate(int groups);

    /// <summary>The penalty, its strength included.</summary>
    /// <param name="norms">Norms of the groups.</param>
    double Value(ReadOnlySpan<double> norms);

    /// <summary>Factors of the proximal operator.</summary>
    /// <param name="norms">Norms of the groups; may be the same memory as <paramref name="scales"/>.</param>
    /// <param name="step">eta, the learning rate of the step before; it multiplies the strength.</param>
    /// <param name="scales">Receives a factor per group.</param>
    void Scales(ReadOnlySpan<double> norms, double step, Span<double> scales);
}

/// <summary>How many groups are wanted: a number or a share of those there are.</summary>
public readonly record struct KeepGroups
{
    private readonly double _share;
    private readonly int _count;

    private KeepGroups(double share, int count) => (_share, _count) = (share, count);

    /// <summary>A number of groups.</summary>
    /// <param name="count">At least 1.</param>
    public static KeepGroups Count(int count) => count >= 1
        ? new(0, count)
        : throw new ArgumentOutOfRangeException(nameof(count), count, "count must be at least 1: an envelope keeps a group or more.");

    /// <summary>A share of the groups, rounded to the nearest number and at least 1.</summary>
    /// <param name="share">Above 0, at most 1.</param>
    public static KeepGroups Share(double share) => share is > 0 and <= 1
        ? new(share, 0)
        : throw new ArgumentOutOfRangeException(nameof(share), share, "share must lie above 0 and not above 1.");

    /// <summary>k for a number of groups.</summary>
    /// <param name="groups">Number of groups.</param>
    /// <exception cref="ArgumentException">More groups are to be kept than there are.</exception>
    public int Of(int groups)
    {
        if (_count == 0) return Math.Max(1, (int)Math.Round((_share == 0 ? 1 : _share) * groups));
        return _count <= groups ? _count : throw new ArgumentException($"{_count} groups are to be kept, but there are {groups}.", nameof(groups));
    }

    /// <inheritdoc/>
    public override string ToString() => _count > 0 ? $"{_count}" : FormattableString.Invariant($"{100 * (_share == 0 ? 1 : _share):0.#} %");
}

/// <summary>
/// Weighted group sparse envelope lambda GS_k of a layer, or of several with one k (arXiv 2212.12921). With k = all groups it is
/// weight decay, lambda/2 sum d_j ||s_j||^2.
/// </summary>
/// <param name="Keep">k, as a number or a share.</param>
/// <param name="Strength">lambda, not negative.</param>
/// <param name="Weights">d_j, positive, one per group; null for ones.</param>
public sealed record EnvelopeRegularizer(KeepGroups Keep, double Strength, IReadOnlyList<double>? Weights = null) : IGroupRegularizer
{
    private readonly double[] _weights = [.. Weights ?? []];

    /// <inheritdoc/>
    public string Name => FormattableString.Invariant($"envelope, k = {Keep}, lambda = {Strength:G3}");

    /// <inheritdoc/>
    public void Validate(int groups)
    {
        Keep.Of(groups);
        RegularizerInput.CheckStrength(Strength);
        if (Weights is not null) EnvelopeLevel.CheckWeights(_weights, groups);
    }

    /// <inheritdoc/>
    public double Value(ReadOnlySpan<double> norms)
        => Strength == 0 ? 0 : Strength * EnvelopeLevel.Value(norms, Keep.Of(norms.Length), _weights);

    /// <inheritdoc/>
    public void Scales(ReadOnlySpan<double> norms, double step, Span<double> scales)
    {
        if (Strength == 0) scales.Fill(1);
        else EnvelopeLevel.Scales(norms, Keep.Of(norms.Length), step * Strength, scales, _weights);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>Group lasso lambda sum_j w_j ||s_j||.</summary>
/// <param name="Strength">lambda, not negative.</param>
/// <param name="Weights">w_j, positive, one per group; null for ones.</param>
public sealed record GroupLassoRegularizer(double Strength, IReadOnlyList<double>? Weights = null) : IGroupRegularizer
{
    private readonly double[] _weights = [.. Weights ?? []];

    /// <inheritdoc/>
    public string Name => FormattableString.Invariant($"group lasso, lambda = {Strength:G3}");

    /// <inheritdoc/>
    public void Validate(int groups)
    {
        RegularizerInput.CheckStrength(Strength);
        if (Weights is not null) EnvelopeLevel.CheckWeights(_weights, groups);
    }

    /// <inheritdoc/>
    public double Value(ReadOnlySpan<double> norms)
    {
        double sum = 0;
        for (int j = 0; j < norms.Length; j++) sum += Weight(j) * norms[j];
        return Strength * sum;
    }

    /// <inheritdoc/>
    public void Scales(ReadOnlySpan<double> norms, double step, Span<double> scales)
    {
        for (int j = 0; j < norms.Length; j++)
        {
            double cut = step * Strength * Weight(j);
            scales[j] = norms[j] <= cut ? (cut == 0 ? 1 : 0) : 1 - (cut / norms[j]);
        }
    }

    private double Weight(int group) => Weights is null ? 1 : _weights[group];

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>Groups that are out stay out, the others are free: fine-tuning after pruning.</summary>
/// <param name="Alive">Whether a group may be other than zero.</param>
public sealed record FixedSupport(IReadOnlyList<bool> Alive) : IGroupRegularizer
{
    /// <inheritdoc/>
    public string Name => "fixed support";

    /// <summary>The groups that are not zero now.</summary>
    /// <param name="groups">The groups.</param>
    public static FixedSupport Of(GroupSpec groups)
    {
        ArgumentNullException.ThrowIfNull(groups);
        return new FixedSupport([.. groups.Norms().Select(norm => norm > 0)]);
    }

    /// <inheritdoc/>
    public void Validate(int groups)
    {
        if (Alive.Count != groups) throw new ArgumentException($"The support speaks of {Alive.Count} groups, but there are {groups}.", nameof(groups));
    }

    /// <summary>0 on the support, infinite elsewhere.</summary>
    /// <param name="norms">Norms of the groups.</param>
    public double Value(ReadOnlySpan<double> norms)
    {
        for (int j = 0; j < norms.Length; j++)
        {
            if (!Alive[j] && norms[j] != 0) return double.PositiveInfinity;
        }

        return 0;
    }

    /// <inheritdoc/>
    public void Scales(ReadOnlySpan<double> norms, double step, Span<double> scales)
    {
        for (int j = 0; j < scales.Length; j++) scales[j] = Alive[j] ? 1 : 0;
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

internal static class RegularizerInput
{
    public static void CheckStrength(double strength)
    {
        if (!(strength >= 0) || !double.IsFinite(strength))
            throw new ArgumentOutOfRangeException(nameof(strength), strength, "strength (lambda) must be finite and not negative.");
    }
}
