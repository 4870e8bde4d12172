using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Probabilistic;

/// <summary>
/// Maximum Magnitude Causes Analysis (Bornschein et al. 2013): binary latents, signed W, y_d = the W_hd of largest magnitude among active h,
/// + noise. Candidates are nearest to y.
/// </summary>
public sealed class MaximumMagnitudeCauses : MaxSparseCoding
{
    private const double LeastTemperature = 1.2;
    private const double LargestRho = 35;
    private const double UseForFullStep = 2.5;
    private const double LeastStep = 0.2;

    /// <summary>A model with given parameters.</summary>
    /// <param name="dictionary">W [components, features], finite, at least two components; magnitudes below 1e-4 become 1e-4.</param>
    /// <param name="activity">pi, strictly between 0 and 1.</param>
    /// <param name="sigma">Standard deviation of the noise, positive.</param>
    /// <param name="hardness">Which maximum posteriors use. Default Soft.</param>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public MaximumMagnitudeCauses(Tensor dictionary, double activity, double sigma, MaxHardness hardness = MaxHardness.Soft)
        : this(ReadDictionary(dictionary), activity, sigma, hardness)
    {
    }

    private MaximumMagnitudeCauses((double[] Weights, int Features) w, double activity, double sigma, MaxHardness hardness)
        : base(Floored(w.Weights), w.Features, activity, sigma, hardness)
    {
    }

    /// <inheritdoc/>
    public override string Name => "MMCA";

    /// <summary>Where learning starts.</summary>
    /// <inheritdoc cref="BinarySparseCoding.Initial"/>
    public static MaximumMagnitudeCauses Initial(Tensor Y, int components, int seed)
    {
        (double[] weights, double sigma) = Start(Y, components, seed);
        return new((weights, weights.Length / components), 1.0 / components, sigma, MaxHardness.Soft);
    }

    /// <summary>The same parameters with another maximum.</summary>
    /// <param name="hardness">Which.</param>
    public MaximumMagnitudeCauses WithHardness(MaxHardness hardness) => new((Weights, Features), Activity, Sigma, hardness);

    /// <summary>1 / (1 - 1/T) with T at least 1.2, so at most 6, and never above 35.</summary>
    /// <inheritdoc/>
    public override double Rho(double temperature) => Math.Clamp(1 / (1 - (1 / Math.Max(temperature, LeastTemperature))), 1, LargestRho);

    private protected override double[] Bounded(double[] weights) => Floored(weights);

    /// <summary>The fixed point overshoots where few points use a weight; there it takes a part of the step.</summary>
    private protected override double[] NextWeights(ReadOnlySpan<double> numerator, ReadOnlySpan<double> denominator)
    {
        double[] weights = new double[numerator.Length];
        for (int i = 0; i < weights.Length; i++)
        {
            double step = Math.Max(1 - Math.Exp(-denominator[i] / UseForFullStep), LeastStep);
            weights[i] = denominator[i] > 0 ? (step * numerator[i] / denominator[i]) + ((1 - step) * Weights[i]) : Weights[i];
        }

        return Floored(weights);
    }

    private protected override TruncatedSparseCoder With(double[] weights, double activity, double sigma) =>
        new MaximumMagnitudeCauses((weights, Features), activity, sigma, Hardness);

    private protected override double ScoreOf(ReadOnlySpan<double> component, ReadOnlySpan<double> y, double distanceSquared, Span<double> scratch) => -distanceSquared;

    private static double[] Floored(double[] weights) => [.. weights.Select(w => Math.Abs(w) >= LeastWeight ? w : Math.CopySign(LeastWeight, w))];
}
