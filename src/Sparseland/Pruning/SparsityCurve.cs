namespace Sparseland.Pruning;

/// <summary>What a network is worth at a sparsity.</summary>
/// <param name="Sparsity">Share of the prunable weights that is gone.</param>
/// <param name="Value">The figure: an accuracy, a loss.</param>
public sealed record SparsityPoint(double Sparsity, double Value);

/// <summary>A figure over sparsity, and where its free range ends (Jaiswal et al. 2023).</summary>
public sealed record SparsityCurve
{
    private const int LeastPoints = 4;

    /// <summary>Puts points together.</summary>
    /// <param name="points">Points of rising sparsity, the first of them dense (sparsity 0).</param>
    /// <param name="lowerIsBetter">Whether a lower figure is better, as for a loss.</param>
    /// <exception cref="ArgumentException">No points, sparsities that do not rise from 0 or reach 1, or a figure that is not finite.</exception>
    public SparsityCurve(IReadOnlyList<SparsityPoint> points, bool lowerIsBetter)
    {
        ArgumentNullException.ThrowIfNull(points);
        Check([.. points.Select(p => p.Sparsity)], nameof(points));
        if (points.FirstOrDefault(p => !double.IsFinite(p.Value)) is { } broken)
            throw new ArgumentException(FormattableString.Invariant($"The figure at sparsity {broken.Sparsity} is {broken.Value}; it must be finite."), nameof(points));
        (Points, LowerIsBetter) = ([.. points], lowerIsBetter);
    }

    /// <summary>The points, the dense network first.</summary>
    public IReadOnlyList<SparsityPoint> Points { get; }

    /// <summary>Whether a lower figure is better.</summary>
    public bool LowerIsBetter { get; }

    /// <summary>The dense network's figure.</summary>
    public double Dense => Points[0].Value;

    /// <summary>The figure at a sparsity, in straight lines between the points.</summary>
    /// <param name="sparsity">From 0 to that of the last point.</param>
    /// <exception cref="ArgumentOutOfRangeException">Beyond the points.</exception>
    public double At(double sparsity)
    {
        if (!(sparsity >= 0 && sparsity <= Points[^1].Sparsity)) throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, $"The points reach from 0 to {Points[^1].Sparsity}.");
        int right = 1;
        while (right < Points.Count - 1 && Points[right].Sparsity < sparsity) right++;
        (SparsityPoint a, SparsityPoint b) = (Points[right - 1], Points[right]);
        return a.Value + ((b.Value - a.Value) * (sparsity - a.Sparsity) / (b.Sparsity - a.Sparsity));
    }

    /// <summary>By how much the figure has become worse, as a share of the dense one; below 0 where it is better.</summary>
    /// <param name="sparsity">From 0 to that of the last point.</param>
    public double Drop(double sparsity) => (LowerIsBetter ? At(sparsity) - Dense : Dense - At(sparsity)) / Math.Abs(Dense);

    /// <summary>Essential sparsity: up to there the drop stays within the tolerance. The end of the curve where it never leaves it.</summary>
    /// <param name="tolerance">Drop as a share of the dense figure, above 0. Default 0.01, the paper's on accuracies.</param>
    /// <exception cref="ArgumentOutOfRangeException">The tolerance is not positive.</exception>
    /// <exception cref="InvalidOperationException">The curve has fewer than four points.</exception>
    public double EssentialSparsity(double tolerance = 0.01)
    {
        if (!(tolerance > 0)) throw new ArgumentOutOfRangeException(nameof(tolerance), tolerance, "tolerance is above 0.");
        if (Points.Count < LeastPoints) throw new InvalidOperationException($"{Points.Count} points are too few to see where a range ends; there must be {LeastPoints}.");
        for (int i = 1; i < Points.Count; i++)
        {
            (double left, double right) = (Drop(Points[i - 1].Sparsity), Drop(Points[i].Sparsity));
            if (right <= tolerance) continue;
            (double a, double b) = (Points[i - 1].Sparsity, Points[i].Sparsity);
            return a + ((b - a) * (tolerance - left) / (right - left));
        }

        return Points[^1].Sparsity;
    }

    /// <summary>How sharply the free range ends: the slope of the drop right behind the essential sparsity over its mean slope before it. Infinite where nothing is lost before.</summary>
    /// <param name="tolerance">As for <see cref="EssentialSparsity"/>. Default 0.01.</param>
    /// <param name="behind">How far behind it the slope reaches. Default 0.2, or as far as the points go.</param>
    /// <exception cref="InvalidOperationException">Too few points, or the range ends with the last point.</exception>
    public double Sharpness(double tolerance = 0.01, double behind = 0.2)
    {
        double end = EssentialSparsity(tolerance), far = Math.Min(Points[^1].Sparsity, end + behind);
        if (far <= end) throw new InvalidOperationException("The free range ends with the last point; sparser ones are needed to see how it ends.");
        double after = (Drop(far) - Drop(end)) / (far - end), before = end == 0 ? double.NaN : Drop(end) / end;
        return before <= 0 ? double.PositiveInfinity : after / before;
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"SparsityCurve of {Points.Count} points from {Dense:G4} to {Points[^1].Value:G4} at {Points[^1].Sparsity:0.##%}");

    /// <summary>Refuses sparsities that are no grid.</summary>
    internal static void Check(IReadOnlyList<double> sparsities, string name)
    {
        if (sparsities.Count == 0) throw new ArgumentException("There are no sparsities.", name);
        if (sparsities[0] != 0) throw new ArgumentException(FormattableString.Invariant($"The first sparsity is {sparsities[0]}; it must be 0, for the dense network is what all are compared with."), name);
        for (int i = 1; i < sparsities.Count; i++)
        {
            if (!(sparsities[i] > sparsities[i - 1] && sparsities[i] < 1))
                throw new ArgumentException(FormattableString.Invariant($"Sparsity {i} is {sparsities[i]} after {sparsities[i - 1]}; they must rise, and stay below 1."), name);
        }
    }
}
