namespace Sparseland.Autoencoders.Metrics;

/// <summary>What moving the activations along one direction does.</summary>
/// <param name="Latent">The latent whose decoder row it is; null for a random direction.</param>
/// <param name="Divergence">Mean KL(clean || steered) of a token, in nats.</param>
/// <param name="LogitChange">The mean change over tokens of the logit that changes most, with its sign.</param>
/// <param name="Token">The token of that logit.</param>
public sealed record SteeringEffect(int? Latent, WindowEstimate Divergence, double LogitChange, int Token)
{
    /// <summary>Mean and quartiles of the divergence over some directions.</summary>
    internal static SteeringDistribution Of(IReadOnlyList<SteeringEffect> effects)
    {
        double[] sorted = [.. effects.Select(e => e.Divergence.Value).Order()];
        double mean = sorted.Average();
        double error = Math.Sqrt(sorted.Sum(v => (v - mean) * (v - mean)) / (sorted.Length - 1) / sorted.Length);
        return new(mean, error, Quantile(0.25), Quantile(0.5), Quantile(0.75), effects.Average(e => Math.Abs(e.LogitChange)), sorted.Length);

        double Quantile(double share)
        {
            double place = share * (sorted.Length - 1);
            int below = (int)place, above = Math.Min(below + 1, sorted.Length - 1);
            return sorted[below] + ((place - below) * (sorted[above] - sorted[below]));
        }
    }
}

/// <summary>The effects of some directions together.</summary>
/// <param name="Mean">Mean KL in nats.</param>
/// <param name="StandardError">Its standard error over directions; NaN for one.</param>
/// <param name="LowerQuartile">A quarter of the directions has a smaller KL.</param>
/// <param name="Median">Half of them has.</param>
/// <param name="UpperQuartile">Three quarters have.</param>
/// <param name="MeanLogitChange">Mean magnitude of the largest mean logit change.</param>
/// <param name="Directions">Number of directions.</param>
public sealed record SteeringDistribution(double Mean, double StandardError, double LowerQuartile, double Median, double UpperQuartile, double MeanLogitChange, int Directions);
