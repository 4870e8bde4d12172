using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Probabilistic;

/// <summary>
/// Binary Sparse Coding (Henniges et al. 2010): s_h is 1 with probability pi and 0 otherwise, y = sum_h s_h W_h + noise. Candidates have the
/// largest cosine with y.
/// </summary>
public sealed class BinarySparseCoding : LinearSparseCoding
{
    /// <summary>A model with given parameters.</summary>
    /// <param name="dictionary">W [components, features], finite, at least two components.</param>
    /// <param name="activity">pi, strictly between 0 and 1.</param>
    /// <param name="sigma">Standard deviation of the noise, positive.</param>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public BinarySparseCoding(Tensor dictionary, double activity, double sigma)
        : this(ProbabilisticInput.Probability(activity, nameof(activity)), sigma, ReadDictionary(dictionary))
    {
    }

    private BinarySparseCoding(double activity, double sigma, (double[] Weights, int Features) w)
        : base(w.Weights, w.Features, sigma) => Activity = activity;

    /// <inheritdoc/>
    public override string Name => "BSC";

    /// <inheritdoc/>
    public override double Activity { get; }

    private protected override double[] LogOdds => [Math.Log(Activity) - LogZero];

    private protected override double LogZero => Math.Log(1 - Activity);

    private protected override bool SelectsByCosine => true;

    /// <summary>Where learning starts: W = mean of the data + noise, sigma that of the data, pi = 1/H.</summary>
    /// <param name="Y">[points, features], at least as many points as components.</param>
    /// <param name="components">H, at least 2.</param>
    /// <param name="seed">Seed of the noise.</param>
    /// <exception cref="ArgumentException">Too few points, equal points, or values that are not finite.</exception>
    public static BinarySparseCoding Initial(Tensor Y, int components, int seed)
    {
        (double[] weights, double sigma) = Start(Y, components, seed);
        return new(1.0 / components, sigma, (weights, weights.Length / components));
    }

    private protected override LinearSparseCoding With(double[] weights, double sigma, ReadOnlySpan<double> counts, int points, int active) =>
        new BinarySparseCoding(NextActivity(Components, Activity, active, counts[0] / points), sigma, (weights, Features));

    private protected override LinearSparseCoding WithPriorNoise(double[] weights, double sigma, double deviation, ref SeededRandom random) =>
        new BinarySparseCoding(ClipProbability(Noisy(Activity, deviation, ref random)), sigma, (weights, Features));

    private protected override void DrawState(ref SeededRandom random, Span<double> state)
    {
        for (int h = 0; h < state.Length; h++) state[h] = random.NextDouble() < Activity ? 1 : 0;
    }
}
