using TorchSharp;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// A latent is active where its pre-activation is above its threshold, and that is its value: the form at inference of BatchTopK and of all that
/// choose across a batch. Each token's code depends on it alone. Thresholds are not trained.
/// </summary>
public sealed class ThresholdRule : CodeRule
{
    [ComponentName(Name = "thresholds")]
    private readonly Tensor _thresholds;

    /// <summary>One threshold for all.</summary>
    /// <param name="latents">M.</param>
    /// <param name="threshold">t, not negative.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public ThresholdRule(int latents, double threshold)
        : this(Same(latents, threshold))
    {
    }

    /// <summary>One threshold for each latent.</summary>
    /// <param name="thresholds">t [latents], not negative.</param>
    /// <exception cref="ArgumentException">There is none, or one is negative or not finite.</exception>
    public ThresholdRule(IReadOnlyList<double> thresholds)
        : base("threshold")
    {
        ArgumentNullException.ThrowIfNull(thresholds);
        if (thresholds.Count == 0) throw new ArgumentException("There must be a threshold for each latent, but there is none.", nameof(thresholds));
        for (int i = 0; i < thresholds.Count; i++)
        {
            if (!(thresholds[i] >= 0) || !double.IsFinite(thresholds[i]))
                throw new ArgumentException(FormattableString.Invariant($"Threshold {i} is {thresholds[i]}; thresholds must be finite and not negative."), nameof(thresholds));
        }

        _thresholds = tensor(thresholds.ToArray()).DetachFromDisposeScope();
        register_buffer("thresholds", _thresholds);
    }

    /// <summary>t [latents].</summary>
    public double[] Thresholds => Buffers.Doubles(_thresholds);

    /// <inheritdoc/>
    public override void Check(int latents)
    {
        if (_thresholds.shape[0] != latents) throw new ArgumentException($"There are {_thresholds.shape[0]} thresholds, but {latents} latents.", "rule");
    }

    internal override bool ComparesLatents => false;

    /// <inheritdoc/>
    public override SparseCode Select(Tensor pre, CodeContext context)
    {
        CheckPre(pre);
        return Above(pre, _thresholds);
    }

    internal override Tensor? AtInference() => _thresholds.clone();

    internal override void ScaleThresholds(double factor) => _thresholds.mul_(factor);

    internal override void ScaleLatents(Tensor factors) => _thresholds.mul_(factors.to(ScalarType.Float64));

    private static double[] Same(int latents, double threshold)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(latents);
        return [.. Enumerable.Repeat(threshold, latents)];
    }
}
