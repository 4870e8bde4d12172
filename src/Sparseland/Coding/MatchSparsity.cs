using Sparseland.Tensors;

namespace Sparseland.Coding;

/// <summary>One fit of a search for a sparsity.</summary>
/// <param name="Strength">lambda.</param>
/// <param name="ActiveUnits">Mean active units it gave.</param>
public readonly record struct SparsityTrial(double Strength, double ActiveUnits);

/// <summary>Outcome of a search for a sparsity.</summary>
/// <param name="Best">The fit whose sparsity came closest.</param>
/// <param name="Strength">Its lambda.</param>
/// <param name="ActiveUnits">Its mean active units.</param>
/// <param name="Trace">All fits in order.</param>
/// <param name="IsMatched">Whether the best lies within the tolerance.</param>
public sealed record SparsityMatch<TFit>(
    TFit Best, double Strength, double ActiveUnits, IReadOnlyList<SparsityTrial> Trace, bool IsMatched)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Finds the strength that gives a wanted number of active units. Rules can only be compared fairly at equal sparsity, and the
/// whole fit, dictionary included, has to be made again for every strength.
/// </summary>
public static class MatchSparsity
{
    /// <summary>Bisection on log lambda; more strength must give fewer active units.</summary>
    /// <param name="fit">Makes the whole fit at a strength.</param>
    /// <param name="activeUnits">Mean active units of a fit.</param>
    /// <param name="target">Wanted active units, positive.</param>
    /// <param name="low">Smallest strength: too many active units.</param>
    /// <param name="high">Largest strength: too few.</param>
    /// <param name="tolerance">Ends as soon as a fit is this close. Default 0.5.</param>
    /// <param name="maxFits">Limit of fits. Default 6.</param>
    /// <param name="progress">Fits done, of the limit.</param>
    /// <param name="cancel">Checked before every fit.</param>
    /// <returns>The closest fit; the others are disposed where they can be.</returns>
    /// <exception cref="ArgumentException">0 &lt; low &lt; high does not hold, or another number is out of its range.</exception>
    /// <exception cref="InvalidOperationException">A fit has no finite number of active units.</exception>
    public static SparsityMatch<TFit> Bisect<TFit>(
        Func<double, TFit> fit,
        Func<TFit, double> activeUnits,
        double target,
        double low,
        double high,
        double tolerance = 0.5,
        int maxFits = 6,
        IProgress<ProgressReport>? progress = null,
        CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(fit);
        ArgumentNullException.ThrowIfNull(activeUnits);
        Finite.Positive(target);
        Finite.Positive(low);
        if (!(high > low) || !double.IsFinite(high)) throw new ArgumentOutOfRangeException(nameof(high), high, $"high must be finite and above low = {low}.");
        if (!(tolerance >= 0)) throw new ArgumentOutOfRangeException(nameof(tolerance), tolerance, "tolerance must not be negative.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxFits);

        var trace = new List<SparsityTrial>();
        TFit? best = default;
        SparsityTrial held = default;
        double bottom = Math.Log(low), top = Math.Log(high);
        try
        {
            while (trace.Count < maxFits)
            {
                cancel.ThrowIfCancellationRequested();
                double strength = Math.Exp((bottom + top) / 2);
                TFit made = fit(strength);
                var trial = new SparsityTrial(strength, activeUnits(made));
                if (!double.IsFinite(trial.ActiveUnits))
                {
                    (made as IDisposable)?.Dispose();
                    throw new InvalidOperationException($"The fit at strength {strength:G4} has {trial.ActiveUnits} active units, so that nothing says where to look next.");
                }

                trace.Add(trial);
                progress?.Report(new ProgressReport(trace.Count, maxFits, $"lambda {strength:G4}: {trial.ActiveUnits:F2} active"));
                if (trace.Count == 1 || Distance(trial) < Distance(held))
                {
                    (best as IDisposable)?.Dispose();
                    (best, held) = (made, trial);
                }
                else (made as IDisposable)?.Dispose();

                if (Distance(trial) <= tolerance) break;
                if (trial.ActiveUnits > target) bottom = Math.Log(strength);
                else top = Math.Log(strength);
            }
        }
        catch
        {
            (best as IDisposable)?.Dispose();
            throw;
        }

        return new SparsityMatch<TFit>(best!, held.Strength, held.ActiveUnits, trace, Distance(held) <= tolerance);

        double Distance(SparsityTrial trial) => Math.Abs(trial.ActiveUnits - target);
    }
}
