using Sparseland.Tensors;

namespace Sparseland.Evaluation;

/// <summary>Student's interval of a mean paired difference, where differences are normal.</summary>
/// <param name="Difference">Mean over cases of first minus second.</param>
/// <param name="Low">Lower end.</param>
/// <param name="High">Upper end.</param>
/// <param name="StandardError">Of the mean difference.</param>
/// <param name="Degrees">Cases minus 1.</param>
/// <param name="Confidence">Of the interval.</param>
public sealed record PairedInterval(double Difference, double Low, double High, double StandardError, int Degrees, double Confidence)
{
    /// <summary>The interval of paired values.</summary>
    /// <param name="first">One finite value per case, at least two.</param>
    /// <param name="second">The other method's, in the same order.</param>
    /// <param name="confidence">Strictly between 0 and 1. Default 0.95.</param>
    /// <exception cref="ArgumentException">Fewer than two cases, unequal numbers, or a value that is not finite.</exception>
    public static PairedInterval Of(IReadOnlyList<double> first, IReadOnlyList<double> second, double confidence = 0.95)
    {
        if (!(confidence is > 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(confidence), confidence, "A confidence lies strictly between 0 and 1.");
        PairedTTest test = PairedTTest.Compare(first, second);
        double spread = Math.Sqrt(first.Zip(second, (a, b) => a - b - test.Difference).Sum(d => d * d) / test.Degrees);
        double error = spread / Math.Sqrt(first.Count), half = error * StudentT.Quantile((1 + confidence) / 2, test.Degrees);
        return new(test.Difference, test.Difference - half, test.Difference + half, error, test.Degrees, confidence);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
