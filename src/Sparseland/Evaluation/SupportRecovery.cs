using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Evaluation;

/// <summary>Which entries of a planted support an estimate found.</summary>
/// <param name="TruePositives">Entries in both.</param>
/// <param name="FalsePositives">Entries of the estimate that are not in the truth.</param>
/// <param name="FalseNegatives">Entries of the truth that the estimate lacks.</param>
public sealed record SupportRecovery(long TruePositives, long FalsePositives, long FalseNegatives)
{
    /// <summary>Share of the estimate that is right; 1 for an empty estimate, which claims nothing wrong.</summary>
    public double Precision => TruePositives + FalsePositives == 0 ? 1 : (double)TruePositives / (TruePositives + FalsePositives);

    /// <summary>Share of the truth that was found; 1 for an empty truth.</summary>
    public double Recall => TruePositives + FalseNegatives == 0 ? 1 : (double)TruePositives / (TruePositives + FalseNegatives);

    /// <summary>Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); 1 when both supports are empty.</summary>
    public double F1 => TruePositives + FalsePositives + FalseNegatives == 0 ? 1
        : 2.0 * TruePositives / ((2.0 * TruePositives) + FalsePositives + FalseNegatives);

    /// <summary>Whether the supports are equal.</summary>
    public bool Exact => FalsePositives == 0 && FalseNegatives == 0;

    /// <summary>Compares the entries of two codes that are larger than a threshold in magnitude.</summary>
    /// <param name="truth">Any shape.</param>
    /// <param name="estimate">The same shape.</param>
    /// <param name="threshold">An entry counts when its magnitude is strictly above this; not negative. Default 0.</param>
    /// <exception cref="ArgumentException">The shapes differ, or a value is NaN.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is negative or NaN.</exception>
    public static SupportRecovery Of(Tensor truth, Tensor estimate, double threshold = 0)
    {
        ArgumentNullException.ThrowIfNull(truth);
        ArgumentNullException.ThrowIfNull(estimate);
        if (!(threshold >= 0))
            throw new ArgumentOutOfRangeException(nameof(threshold), threshold, "A threshold on magnitudes must not be negative.");
        if (!truth.shape.SequenceEqual(estimate.shape))
            throw new ArgumentException($"The truth is [{string.Join(", ", truth.shape)}], the estimate [{string.Join(", ", estimate.shape)}].", nameof(estimate));
        using DisposeScope scope = NewDisposeScope();
        Tensor planted = Active(truth, nameof(truth)), found = Active(estimate, nameof(estimate)).to(planted.device);
        return new SupportRecovery(Count(planted & found), Count(found & planted.logical_not()), Count(planted & found.logical_not()));

        Tensor Active(Tensor values, string name) => values.isnan().any().item<bool>()
            ? throw new ArgumentException("There is a NaN among the values.", name)
            : values.abs() > threshold;

        static long Count(Tensor mask) => mask.sum(type: ScalarType.Int64).item<long>();
    }

    /// <summary>Compares two supports.</summary>
    /// <param name="truth">The planted support.</param>
    /// <param name="estimate">The estimated one, of the same matrix shape.</param>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    public static SupportRecovery Of(Support truth, Support estimate)
    {
        ArgumentNullException.ThrowIfNull(truth);
        ArgumentNullException.ThrowIfNull(estimate);
        if ((truth.Rows, truth.Columns) != (estimate.Rows, estimate.Columns))
            throw new ArgumentException($"The truth is [{truth.Rows}, {truth.Columns}], the estimate [{estimate.Rows}, {estimate.Columns}].", nameof(estimate));
        long both = truth.Intersect(estimate).Count;
        return new SupportRecovery(both, estimate.Count - both, truth.Count - both);
    }
}
