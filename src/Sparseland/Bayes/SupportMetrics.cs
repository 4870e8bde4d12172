using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>How the paper on Kronecker SBL scores an estimate; for real and complex vectors.</summary>
public static class SupportMetrics
{
    /// <summary>||estimate - truth||^2 / ||truth||^2.</summary>
    /// <param name="truth">Any shape, not all zero.</param>
    /// <param name="estimate">The same shape.</param>
    /// <exception cref="ArgumentException">The shapes differ, or the truth is zero.</exception>
    public static double Nmse(Tensor truth, Tensor estimate)
    {
        Check(truth, estimate);
        using var scope = NewDisposeScope();
        return estimate.sub(truth).abs().square().sum().item<double>() / truth.abs().square().sum().item<double>();
    }

    /// <summary>
    /// Support recovery rate |S^ and S| / |S^ or S|, where the estimate's support is all that exceeds a share of its largest entry.
    /// </summary>
    /// <param name="truth">Its support is all that is not zero.</param>
    /// <param name="estimate">The same shape.</param>
    /// <param name="relativeThreshold">In [0, 1). Default 1e-3.</param>
    /// <exception cref="ArgumentException">The shapes differ, the truth is zero, or the threshold is out of its range.</exception>
    public static double Srr(Tensor truth, Tensor estimate, double relativeThreshold = 1e-3)
    {
        Check(truth, estimate);
        BayesInput.CheckRatio(relativeThreshold, nameof(relativeThreshold));
        using var scope = NewDisposeScope();
        Tensor size = estimate.abs(), planted = truth.ne(0), found = size.gt(size.max().mul(relativeThreshold));
        long both = planted.logical_and(found).count_nonzero().item<long>(), either = planted.logical_or(found).count_nonzero().item<long>();
        return (double)both / either;
    }

    private static void Check(Tensor truth, Tensor estimate)
    {
        ArgumentNullException.ThrowIfNull(truth);
        ArgumentNullException.ThrowIfNull(estimate);
        if (!truth.shape.SequenceEqual(estimate.shape))
            throw new ArgumentException($"The truth is [{string.Join(", ", truth.shape)}], the estimate [{string.Join(", ", estimate.shape)}].", nameof(estimate));
        using var scope = NewDisposeScope();
        if (truth.count_nonzero().item<long>() == 0) throw new ArgumentException("The truth is all zero; there is nothing to compare with.", nameof(truth));
    }
}
