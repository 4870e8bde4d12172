using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.Probabilistic;

/// <summary>
/// Maximal Causes Analysis (Lücke and Sahani 2008; Puertas et al. 2010): binary latents, positive W, y_d = max over active h of W_hd + noise.
/// Candidates are those that are brighter than the data least.
/// </summary>
public sealed class MaximalCauses : MaxSparseCoding
{
    private const double LeastTemperature = 1.05;

    /// <summary>A model with given parameters.</summary>
    /// <param name="dictionary">W [components, features], positive, at least two components.</param>
    /// <param name="activity">pi, strictly between 0 and 1.</param>
    /// <param name="sigma">Standard deviation of the noise, positive.</param>
    /// <param name="hardness">Which maximum posteriors use. Default Soft.</param>
    /// <exception cref="ArgumentException">A value is outside its range; a weight that is zero or negative has no logarithm.</exception>
    public MaximalCauses(Tensor dictionary, double activity, double sigma, MaxHardness hardness = MaxHardness.Soft)
        : this(Positive(ReadDictionary(dictionary)), activity, sigma, hardness)
    {
    }

    private MaximalCauses((double[] Weights, int Features) w, double activity, double sigma, MaxHardness hardness)
        : base(w.Weights, w.Features, activity, sigma, hardness)
    {
    }

    /// <inheritdoc/>
    public override string Name => "MCA";

    /// <summary>Where learning starts, with W at least 1e-4.</summary>
    /// <inheritdoc cref="BinarySparseCoding.Initial"/>
    public static MaximalCauses Initial(Tensor Y, int components, int seed)
    {
        (double[] weights, double sigma) = Start(Y, components, seed);
        return new((Floored(weights), weights.Length / components), 1.0 / components, sigma, MaxHardness.Soft);
    }

    /// <summary>The same parameters with another maximum.</summary>
    /// <param name="hardness">Which.</param>
    public MaximalCauses WithHardness(MaxHardness hardness) => new((Weights, Features), Activity, Sigma, hardness);

    /// <summary>1 / (1 - 1/T) with T at least 1.05, so at most 21.</summary>
    /// <inheritdoc/>
    public override double Rho(double temperature) => 1 / (1 - (1 / Math.Max(temperature, LeastTemperature)));

    private protected override double[] Bounded(double[] weights) => Floored(weights);

    private protected override double[] NextWeights(ReadOnlySpan<double> numerator, ReadOnlySpan<double> denominator)
    {
        double[] weights = new double[numerator.Length];
        for (int i = 0; i < weights.Length; i++) weights[i] = denominator[i] > 0 ? numerator[i] / denominator[i] : Weights[i];
        return Floored(weights);
    }

    private protected override TruncatedSparseCoder With(double[] weights, double activity, double sigma) =>
        new MaximalCauses((weights, Features), activity, sigma, Hardness);

    private protected override double ScoreOf(ReadOnlySpan<double> component, ReadOnlySpan<double> y, double distanceSquared, Span<double> scratch)
    {
        TensorPrimitives.Subtract(component, y, scratch);
        TensorPrimitives.Max(scratch, 0, scratch);
        return -TensorPrimitives.Sum<double>(scratch);
    }

    private static double[] Floored(double[] weights) => [.. weights.Select(w => Math.Max(w, LeastWeight))];

    private static (double[] Weights, int Features) Positive((double[] Weights, int Features) w)
    {
        int bad = Array.FindIndex(w.Weights, v => !(v > 0));
        if (bad >= 0)
            throw new ArgumentException($"dictionary holds {w.Weights[bad]} (component {bad / w.Features}, feature {bad % w.Features}); the weights of MCA must be positive.", "dictionary");
        return w;
    }
}
