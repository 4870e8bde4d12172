using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Unmixing;

/// <summary>
/// The steps of robust unmixing with learned sparsity (Zhu, Wang, Fan, Meng and Pan 2014, arXiv 1409.0685). With data Y [channels, pixels],
/// spectra M [channels, endmembers] and abundances A [endmembers, pixels], all not negative, they lower
/// <code>
/// O(M, A) = sum_l sqrt(||(Y - M A)_l||^2 + eps^2) + lambda sum_n sum_k A_kn^{1 - h_n} + (delta^2/2) ||1^T A - 1^T||^2 .
/// </code>
/// </summary>
/// <remarks>
/// Both updates minimise a majorizer of O that touches it at the present point: the square root is replaced by its tangent in the squared
/// residual, the concave power by its tangent in A, and what is left is the quadratic of Lee and Seung (2001). So with h frozen no step
/// raises O. Entries are kept at or above <see cref="Floor"/>: a multiplicative update never leaves zero, and A^{-h} is infinite
/// there. The majorizers are convex in each entry, so moving up to the floor does not raise O either. The public steps raise the entries of
/// M and A to it before they use them.
/// </remarks>
public static class UnmixingSteps
{
    /// <summary>Least entry of M and A, 1e-9.</summary>
    public const double Floor = 1e-9;

    /// <summary>u_l = 1/sqrt(||(Y - M A)_l||^2 + eps^2) [channels], the weights of the tangent majorizer of the l_{2,1} loss.</summary>
    /// <param name="Y">[channels, pixels].</param>
    /// <param name="M">[channels, endmembers].</param>
    /// <param name="A">[endmembers, pixels].</param>
    /// <param name="epsilon">eps, positive: the largest weight is 1/eps. Default 1e-6.</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or a value is negative or not finite.</exception>
    public static double[] ChannelWeights(Tensor Y, Tensor M, Tensor A, double epsilon = 1e-6)
    {
        Check(Y, M, A);
        Finite.Positive(epsilon);
        return Weights(SquaredResiduals(Y, M, A), epsilon);
    }

    /// <summary>
    /// A &lt;- A .* (M^T U Y + delta^2) ./ (M^T U M A + delta^2 1 1^T A + lambda (1-h) .* A^{-h}), h_n for all of column n.
    /// </summary>
    /// <param name="Y">[channels, pixels].</param>
    /// <param name="M">[channels, endmembers].</param>
    /// <param name="A">[endmembers, pixels].</param>
    /// <param name="weights">u_l [channels], positive; null for ones, the squared loss.</param>
    /// <param name="guidance">h_n [pixels] in [0, 1); null for zeros, the l_1 penalty.</param>
    /// <param name="lambda">Strength of the penalty.</param>
    /// <param name="sumToOneWeight">delta. Default 3.</param>
    /// <returns>A new A.</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or a value is out of its range.</exception>
    public static Tensor UpdateAbundances(
        Tensor Y, Tensor M, Tensor A, IReadOnlyList<double>? weights, IReadOnlyList<double>? guidance, double lambda, double sumToOneWeight = 3)
    {
        Check(Y, M, A);
        if (weights is not null) UnmixingInput.CheckWeights(weights, Y.shape[0], nameof(weights));
        if (guidance is not null) UnmixingInput.CheckGuidance(guidance, Y.shape[1], nameof(guidance));
        Finite.NotNegative(lambda);
        Finite.NotNegative(sumToOneWeight);
        using var scope = NewDisposeScope();
        Tensor u = weights is null ? ones([Y.shape[0]], dtype: ScalarType.Float64) : tensor(weights.ToArray());
        Tensor h = guidance is null ? zeros([Y.shape[1]], dtype: ScalarType.Float64) : tensor(guidance.ToArray());
        return Abundances(Y, M.clamp_min(Floor), A.clamp_min(Floor), u, h, lambda, sumToOneWeight).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// M &lt;- M .* (Y A^T) ./ (M A A^T). The weights of the robust loss would stand above and below the fraction of each row and cancel:
    /// every channel is a problem of its own, so a bad channel spoils its own row of M and no other. It is A that the robust loss protects.
    /// </summary>
    /// <param name="Y">[channels, pixels].</param>
    /// <param name="M">[channels, endmembers].</param>
    /// <param name="A">[endmembers, pixels].</param>
    /// <param name="weights">u_l [channels], positive, to see that they cancel; null for none.</param>
    /// <returns>A new M.</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or a value is out of its range.</exception>
    public static Tensor UpdateEndmembers(Tensor Y, Tensor M, Tensor A, IReadOnlyList<double>? weights = null)
    {
        Check(Y, M, A);
        using var scope = NewDisposeScope();
        Tensor start = M.clamp_min(Floor), floored = A.clamp_min(Floor);
        if (weights is null) return Endmembers(Y, start, floored).MoveToOuterDisposeScope();
        UnmixingInput.CheckWeights(weights, Y.shape[0], nameof(weights));
        Tensor u = tensor(weights.ToArray()).unsqueeze(1);
        Tensor above = (u * Y).mm(floored.t()), below = (u * start).mm(floored.mm(floored.t()));
        return start.mul(above).div(below).clamp_min(Floor).MoveToOuterDisposeScope();
    }

    /// <summary>O(M, A); for the squared loss with 1/2 ||Y - M A||_F^2 as its first term.</summary>
    /// <param name="Y">[channels, pixels].</param>
    /// <param name="M">[channels, endmembers].</param>
    /// <param name="A">[endmembers, pixels].</param>
    /// <param name="loss">The misfit.</param>
    /// <param name="guidance">h_n [pixels] in [0, 1); null for zeros.</param>
    /// <param name="lambda">Strength of the penalty.</param>
    /// <param name="sumToOneWeight">delta. Default 3.</param>
    /// <param name="epsilon">eps of the robust loss. Default 1e-6.</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or a value is out of its range.</exception>
    public static double Objective(
        Tensor Y, Tensor M, Tensor A, UnmixingLoss loss, IReadOnlyList<double>? guidance, double lambda, double sumToOneWeight = 3, double epsilon = 1e-6)
    {
        Check(Y, M, A);
        if (guidance is not null) UnmixingInput.CheckGuidance(guidance, Y.shape[1], nameof(guidance));
        new UnmixingOptions { Loss = loss, SumToOneWeight = sumToOneWeight, Epsilon = epsilon, Sparsity = AbundanceSparsity.Fixed(1, lambda) }.Validate();
        using var scope = NewDisposeScope();
        Tensor h = guidance is null ? zeros([Y.shape[1]], dtype: ScalarType.Float64) : tensor(guidance.ToArray());
        return Misfit(SquaredResiduals(Y, M, A), loss, epsilon) + Penalties(A, h, lambda, sumToOneWeight);
    }

    /// <summary>Columns of A divided by their sums.</summary>
    /// <param name="A">[endmembers, pixels], not negative, no column of zeros.</param>
    /// <exception cref="ArgumentException">A column is zero, or a value is negative or not finite.</exception>
    public static Tensor Normalize(Tensor A)
    {
        UnmixingInput.CheckMatrix(A, nameof(A), "[endmembers, pixels]");
        using var scope = NewDisposeScope();
        Tensor sums = A.sum([0L], keepdim: true);
        long least = sums.argmin().item<long>();
        if (sums[0, least].item<double>() == 0) throw new ArgumentException($"Column {least} of A is zero and cannot be normalised.", nameof(A));
        return A.div(sums).MoveToOuterDisposeScope();
    }

    internal static Tensor Abundances(Tensor Y, Tensor M, Tensor A, Tensor u, Tensor h, double lambda, double delta)
    {
        using var scope = NewDisposeScope();
        double square = delta * delta;
        Tensor weighted = M.mul(u.unsqueeze(1)).t();
        Tensor above = weighted.mm(Y).add_(square), below = weighted.mm(M).add_(square).mm(A);
        if (lambda > 0) below.add_(PenaltySlope(A, h, lambda));
        return above.mul_(A).div_(below).clamp_(Floor).MoveToOuterDisposeScope();
    }

    /// <summary>lambda (1-h) A^{-h} [endmembers, pixels], contiguous.</summary>
    internal static Tensor PenaltySlope(Tensor A, Tensor h, double lambda)
    {
        using var scope = NewDisposeScope();
        return A.pow(h.neg()).mul_(h.neg().add_(1)).mul_(lambda).contiguous().MoveToOuterDisposeScope();
    }

    internal static Tensor Endmembers(Tensor Y, Tensor M, Tensor A)
    {
        using var scope = NewDisposeScope();
        Tensor At = A.t();
        return Y.mm(At).mul_(M).div_(M.mm(A.mm(At))).clamp_(Floor).MoveToOuterDisposeScope();
    }

    internal static double[] Weights(double[] squaredResiduals, double epsilon) =>
        Array.ConvertAll(squaredResiduals, r => 1 / Math.Sqrt(r + (epsilon * epsilon)));

    internal static double Misfit(double[] squaredResiduals, UnmixingLoss loss, double epsilon)
    {
        double sum = 0;
        foreach (double r in squaredResiduals) sum += loss == UnmixingLoss.Squared ? r / 2 : Math.Sqrt(r + (epsilon * epsilon));
        return sum;
    }

    internal static double Penalties(Tensor A, Tensor h, double lambda, double delta)
    {
        using var scope = NewDisposeScope();
        double sum = 0;
        if (lambda > 0) sum += lambda * A.pow(h.neg().add_(1)).sum().item<double>();
        if (delta > 0) sum += delta * delta / 2 * A.sum([0L]).sub_(1).square().sum().item<double>();
        return sum;
    }

    /// <summary>||(Y - M A)_l||^2 [channels].</summary>
    internal static double[] SquaredResiduals(Tensor Y, Tensor M, Tensor A)
    {
        using Tensor y = Y.contiguous(), m = M.contiguous(), a = A.contiguous();
        return ChannelResiduals.Squares(y, m, a);
    }

    private static void Check(Tensor Y, Tensor M, Tensor A)
    {
        UnmixingInput.CheckMatrix(Y, nameof(Y), "[channels, pixels]");
        UnmixingInput.CheckMatrix(M, nameof(M), "[channels, endmembers]");
        UnmixingInput.CheckMatrix(A, nameof(A), "[endmembers, pixels]");
        UnmixingInput.CheckAgree(Y, M, A);
    }
}
