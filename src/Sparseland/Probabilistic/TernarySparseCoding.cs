using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Probabilistic;

/// <summary>
/// Ternary Sparse Coding (Exarchakis et al. 2012): s_h is -1 or 1 with probability pi/2 each and 0 otherwise, y = sum_h s_h W_h + noise.
/// Candidates have the best log-joint alone, over both signs. The sign of a component is arbitrary.
/// </summary>
public sealed class TernarySparseCoding : LinearSparseCoding
{
    /// <summary>A model with given parameters.</summary>
    /// <inheritdoc cref="BinarySparseCoding(Tensor, double, double)"/>
    public TernarySparseCoding(Tensor dictionary, double activity, double sigma)
        : this(ProbabilisticInput.Probability(activity, nameof(activity)), sigma, ReadDictionary(dictionary))
    {
    }

    private TernarySparseCoding(double activity, double sigma, (double[] Weights, int Features) w)
        : base(w.Weights, w.Features, sigma) => Activity = activity;

    /// <inheritdoc/>
    public override string Name => "TSC";

    /// <inheritdoc/>
    public override double Activity { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<double> Values => [-1, 1];

    private protected override double[] LogOdds
    {
        get
        {
            double odds = Math.Log(Activity / 2) - LogZero;
            return [odds, odds];
        }
    }

    private protected override double LogZero => Math.Log(1 - Activity);

    /// <summary>Where learning starts.</summary>
    /// <inheritdoc cref="BinarySparseCoding.Initial"/>
    public static TernarySparseCoding Initial(Tensor Y, int components, int seed)
    {
        (double[] weights, double sigma) = Start(Y, components, seed);
        return new(1.0 / components, sigma, (weights, weights.Length / components));
    }

    private protected override LinearSparseCoding With(double[] weights, double sigma, ReadOnlySpan<double> counts, int points, int active) =>
        new TernarySparseCoding(NextActivity(Components, Activity, active, (counts[0] + counts[1]) / points), sigma, (weights, Features));

    private protected override LinearSparseCoding WithPriorNoise(double[] weights, double sigma, double deviation, ref SeededRandom random) =>
        new TernarySparseCoding(ClipProbability(Noisy(Activity, deviation, ref random)), sigma, (weights, Features));

    private protected override void DrawState(ref SeededRandom random, Span<double> state)
    {
        for (int h = 0; h < state.Length; h++)
        {
            double u = random.NextDouble();
            state[h] = u < Activity / 2 ? -1 : u < Activity ? 1 : 0;
        }
    }
}
