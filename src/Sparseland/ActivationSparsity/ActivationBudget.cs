using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>How many inputs of a layer a token keeps: a number that is the same for every token, or all above a threshold.</summary>
public abstract record ActivationBudget
{
    private protected ActivationBudget()
    {
    }

    /// <summary>The same number for each token: max(1, floor(inputs (1 - s) + 1e-6)). The 1e-6 makes 20 inputs at s = 0.9 two and not one.</summary>
    /// <param name="sparsity">s, the share that is dropped, in [0, 1).</param>
    /// <exception cref="ArgumentOutOfRangeException">s is outside.</exception>
    public static ActivationBudget TopK(double sparsity) => new ShareBudget(Checked(sparsity));

    /// <summary>A number of inputs.</summary>
    /// <param name="channels">Inputs that each token keeps; 0 keeps none.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is negative.</exception>
    public static ActivationBudget Channels(int channels)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(channels);
        return new ChannelBudget(channels);
    }

    /// <summary>All inputs whose score is at least the threshold below which a share s of the scores of calibration lay. The number varies from token to token.</summary>
    /// <param name="calibration">Scores of this layer over calibration tokens.</param>
    /// <param name="sparsity">s, in [0, 1).</param>
    /// <exception cref="ArgumentException">s is outside.</exception>
    /// <exception cref="InvalidOperationException">Nothing was calibrated.</exception>
    public static ActivationBudget Threshold(ScoreHistogram calibration, double sparsity)
    {
        ArgumentNullException.ThrowIfNull(calibration);
        return new ThresholdBudget(calibration.Quantile(Checked(sparsity)));
    }

    /// <summary>Places that each token keeps.</summary>
    /// <param name="scores">[tokens, in], no NaN.</param>
    /// <exception cref="ArgumentException">NaN, or more inputs asked for than there are.</exception>
    public abstract Support Choose(Tensor scores);

    /// <summary>Places that one token keeps.</summary>
    /// <param name="scores">[in], no NaN.</param>
    /// <returns>Ascending.</returns>
    /// <exception cref="ArgumentException">NaN, or more inputs asked for than there are.</exception>
    public abstract int[] Choose(ReadOnlySpan<float> scores);

    internal static double Checked(double sparsity, string name = "sparsity") =>
        sparsity is >= 0 and < 1 ? sparsity : throw new ArgumentOutOfRangeException(name, sparsity, $"{name} must lie in [0, 1).");

    /// <summary>Inputs kept of a number at a sparsity.</summary>
    internal static int Kept(int inputs, double sparsity) => Math.Max(1, (int)Math.Floor((inputs * (1 - sparsity)) + 1e-6));

    private sealed record ShareBudget(double Sparsity) : ActivationBudget
    {
        public override Support Choose(Tensor scores)
        {
            ArgumentNullException.ThrowIfNull(scores);
            if (scores.dim() == 0) throw new ArgumentException("scores must be [..., inputs], but are a single number.", nameof(scores));
            return Select.TopK(scores, Budget.PerRow(Kept((int)scores.shape[^1], Sparsity)));
        }

        public override int[] Choose(ReadOnlySpan<float> scores) => Select.TopK(scores, Budget.Global(Kept(scores.Length, Sparsity))).ColumnIndices.ToArray();

        public override string ToString() => FormattableString.Invariant($"TopK({Sparsity})");
    }

    private sealed record ChannelBudget(int Count) : ActivationBudget
    {
        public override Support Choose(Tensor scores) => Select.TopK(scores, Budget.PerRow(Count));

        public override int[] Choose(ReadOnlySpan<float> scores) => Select.TopK(scores, Budget.Global(Count)).ColumnIndices.ToArray();

        public override string ToString() => $"Channels({Count})";
    }

    private sealed record ThresholdBudget(double At) : ActivationBudget
    {
        public override Support Choose(Tensor scores)
        {
            ArgumentNullException.ThrowIfNull(scores);
            using DisposeScope scope = NewDisposeScope();
            if (scores.isnan().any().item<bool>()) throw new ArgumentException("A score is NaN, which lies on no side of a threshold.", nameof(scores));
            return Support.FromMask(scores.ge((float)At));
        }

        public override int[] Choose(ReadOnlySpan<float> scores)
        {
            float at = (float)At;
            var kept = new List<int>(scores.Length);
            for (int i = 0; i < scores.Length; i++)
            {
                if (float.IsNaN(scores[i])) throw new ArgumentException($"The score of input {i} is NaN, which lies on no side of a threshold.", nameof(scores));
                if (scores[i] >= at) kept.Add(i);
            }

            return [.. kept];
        }

        public override string ToString() => FormattableString.Invariant($"Threshold({At})");
    }
}
