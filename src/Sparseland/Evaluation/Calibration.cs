using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Evaluation;

/// <summary>One bin of a reliability diagram.</summary>
/// <param name="From">Lower end of the confidences, not in the bin but where it is 0.</param>
/// <param name="To">Upper end, in the bin.</param>
/// <param name="Count">Samples.</param>
/// <param name="Confidence">Mean confidence; NaN without samples.</param>
/// <param name="Accuracy">Share that is right; NaN without samples.</param>
public sealed record ReliabilityBin(double From, double To, int Count, double Confidence, double Accuracy);

/// <summary>Whether a classifier's probabilities can be believed.</summary>
/// <param name="Ece">Expected calibration error: the mean over samples of |accuracy - confidence| of their bin (Guo et al. 2017).</param>
/// <param name="Nll">Mean negative log-likelihood of the labels, natural logarithm.</param>
/// <param name="Brier">Brier score (1950): the mean over samples of the sum over classes of (p - 1 at the label, p - 0 elsewhere)^2; 0 for sure and right, 2 for sure and wrong.</param>
/// <param name="Accuracy">Share whose largest logit is at the label.</param>
/// <param name="Bins">The reliability diagram.</param>
public sealed record Calibration(double Ece, double Nll, double Brier, double Accuracy, IReadOnlyList<ReliabilityBin> Bins)
{
    /// <summary>Figures of logits.</summary>
    /// <param name="logits">[samples, classes], finite.</param>
    /// <param name="labels">[samples], int64, from 0 to classes - 1.</param>
    /// <param name="bins">Equal bins of the confidence, the largest soft-max probability, over 0 to 1. Default 15.</param>
    /// <exception cref="ArgumentException">No samples, fewer than two classes, a logit that is not finite, a label out of range, or no bin.</exception>
    public static Calibration Of(Tensor logits, Tensor labels, int bins = 15)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bins);
        CheckLogits(logits, labels);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor log = nn.functional.log_softmax(logits.to(ScalarType.Float64), 1);
        (Tensor top, Tensor chosen) = log.max(1);
        double[] confidence = top.exp().cpu().contiguous().data<double>().ToArray();
        bool[] right = chosen.eq(labels).cpu().contiguous().data<bool>().ToArray();
        double nll = -log.gather(1, labels.unsqueeze(1)).mean().item<double>();
        double brier = log.exp().sub(nn.functional.one_hot(labels, logits.shape[1])).square().sum(1L).mean().item<double>();
        var counts = new int[bins];
        double[] sums = new double[bins], hits = new double[bins];
        for (int i = 0; i < confidence.Length; i++)
        {
            // Bins are open below and closed above, as in the published code.
            int bin = Math.Clamp((int)Math.Ceiling(confidence[i] * bins) - 1, 0, bins - 1);
            counts[bin]++;
            sums[bin] += confidence[i];
            hits[bin] += right[i] ? 1 : 0;
        }

        double error = Enumerable.Range(0, bins).Sum(b => Math.Abs(hits[b] - sums[b])) / confidence.Length;
        return new(error, nll, brier, hits.Sum() / confidence.Length,
            [.. Enumerable.Range(0, bins).Select(b => new ReliabilityBin((double)b / bins, (b + 1.0) / bins, counts[b], sums[b] / counts[b], hits[b] / counts[b]))]);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private static void CheckLogits(Tensor logits, Tensor labels)
    {
        ArgumentNullException.ThrowIfNull(logits);
        if (logits.dim() != 2 || logits.shape[1] < 2) throw new ArgumentException($"logits must be [samples, classes] with two classes or more, but are [{string.Join(", ", logits.shape)}].", nameof(logits));
        Evaluation.Accuracy.CheckSamples(logits, labels);
        using DisposeScope scope = NewDisposeScope();
        if (!TensorInput.IsFinite(logits)) throw new ArgumentException("A logit is not finite.", nameof(logits));
        long least = labels.min().item<long>(), most = labels.max().item<long>();
        if (least < 0 || most >= logits.shape[1]) throw new ArgumentException($"Labels run from {least} to {most}; there are {logits.shape[1]} classes.", nameof(labels));
    }
}
