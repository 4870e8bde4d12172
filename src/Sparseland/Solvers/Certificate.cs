using System.Buffers;
using System.Numerics.Tensors;
using Sparseland.Penalties;

namespace Sparseland.Solvers;

/// <summary>How far a point is from a solution.</summary>
internal static class Certificate
{
    /// <summary>Whether <see cref="DualGap"/> has a formula for the penalty: convex, and homogeneous apart from a ridge.</summary>
    public static bool HasGap(IPenalty penalty)
        => (penalty is NonNegative constrained ? constrained.Inner : penalty) is L1 or WeightedL1 or ElasticNet or GroupLasso or SparseGroupLasso;

    /// <summary>
    /// Gap of w/2 ||r||^2 + pen(a), r = x - M a, at the dual point theta = r min(1, lambda/(w kappa)), kappa the dual norm of M^T r
    /// (Kim, Koh, Lustig, Boyd and Gorinevsky 2007). The elastic net is the lasso on M stacked over sqrt(lambda2/w) I.
    /// </summary>
    /// <param name="penalty">pen, with <see cref="HasGap"/>.</param>
    /// <param name="a">[inputs].</param>
    /// <param name="correlations">M^T r [inputs].</param>
    /// <param name="residualSquared">||r||^2.</param>
    /// <param name="targetDotResidual">x^T r.</param>
    /// <param name="weight">w.</param>
    public static double DualGap(
        IPenalty penalty, ReadOnlySpan<double> a, ReadOnlySpan<double> correlations, double residualSquared, double targetDotResidual, double weight)
    {
        double ridge = (penalty is NonNegative constrained ? constrained.Inner : penalty) is ElasticNet net ? net.Ridge / weight : 0;
        double[] gradient = ArrayPool<double>.Shared.Rent(a.Length);
        Span<double> g = gradient.AsSpan(0, a.Length);
        TensorPrimitives.Negate(correlations, g);
        if (ridge != 0) TensorPrimitives.MultiplyAdd(a, ridge, g, g);
        double kappa = weight * penalty.LargestUsefulStrength(g);
        ArrayPool<double>.Shared.Return(gradient);
        double scale = kappa <= penalty.Strength ? 1 : penalty.Strength / kappa;
        double augmented = residualSquared + (ridge == 0 ? 0 : ridge * TensorPrimitives.SumOfSquares(a));
        double primal = residualSquared / 2 + penalty.Value(a) / weight;
        return weight * (primal - scale * (targetDotResidual - scale * augmented / 2));
    }
}
