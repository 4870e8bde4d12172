using Sparseland.Tensors;

namespace Sparseland.Autoencoders;

/// <summary>
/// Zipf auxiliary loss (Ayonrinde 2024): AuxK for latents that fire too rarely for their rank, not for dead ones alone. With w_r = k (r + b)^(-a) / sum the
/// density that a law gives to rank r, a latent is dying when its running density lies below w_r / 2 or when it is dead; the dying rebuild
/// what the others left over, as in <see cref="DeadLatentLoss"/>.
/// </summary>
/// <remarks>For rules in which tokens choose or the choice is mutual; where latents choose, none falls behind. k is the sum of the running densities.</remarks>
public sealed class ZipfLoss : AuxiliaryLoss
{
    /// <summary>Sets law and weight.</summary>
    /// <param name="law">Law of the densities, such as one fitted to a trained autoencoder.</param>
    /// <param name="dyingRatio">A latent is dying when it fires so many times less often than its rank says, at least 1. Default 2.</param>
    /// <param name="weight">alpha. Default 1/32.</param>
    /// <param name="deadAfter">A latent is dead when it has been silent for so many tokens; null, the default, for a tenth of all tokens of the training, at least 20,000.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public ZipfLoss(ZipfLaw law, double dyingRatio = 2, double weight = 1.0 / 32, long? deadAfter = null)
    {
        ArgumentNullException.ThrowIfNull(law);
        if (!(dyingRatio >= 1)) throw new ArgumentOutOfRangeException(nameof(dyingRatio), dyingRatio, "dyingRatio must be at least 1.");
        Finite.Positive(weight);
        if (deadAfter is <= 0) throw new ArgumentOutOfRangeException(nameof(deadAfter), deadAfter, "deadAfter must be positive.");
        (Law, DyingRatio, Weight, DeadAfter) = (law, dyingRatio, weight, deadAfter);
    }

    /// <summary>Law of the densities.</summary>
    public ZipfLaw Law { get; }

    /// <summary>How many times less often than its rank says a dying latent fires; infinity leaves the dead alone, which is AuxK.</summary>
    public double DyingRatio { get; }

    /// <summary>alpha.</summary>
    public double Weight { get; }

    /// <summary>Tokens after which a silent latent counts as dead; null for a tenth of all tokens of the training, at least 20,000.</summary>
    public long? DeadAfter { get; }

    /// <inheritdoc/>
    public override string Description => FormattableString.Invariant(
        $"Zipf {Weight:G6}, (r + {Law.Offset:G6})^-{Law.Exponent:G6}, ratio {DyingRatio:G6}, dead after {DeadAfter?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "a tenth of the"} tokens");

    internal override double Apply(AutoencoderPass pass, TrainingProgress progress) =>
        DeadLatentLoss.Rebuild(pass, Dying(progress.Statistics, DeadLatentLoss.Patience(DeadAfter, pass, progress)), Weight);

    /// <summary>Latents that are dead or below their rank's density divided by the ratio, ascending.</summary>
    internal int[] Dying(LatentStatistics statistics, long patience)
    {
        double[] density = statistics.Density;
        int[] dead = statistics.SilentFor(patience);
        double total = density.Sum();
        if (total == 0) return dead;
        int[] order = ZipfLaw.Order(density);
        double[] expected = Law.Densities(density.Length, total);
        var dying = new SortedSet<int>(dead);
        for (int r = 0; r < order.Length; r++)
        {
            if (density[order[r]] < expected[r] / DyingRatio) dying.Add(order[r]);
        }

        return [.. dying];
    }
}
