using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Functions whose own gradient is zero or cut, with a gradient put in its place (Bengio, Leonard and Courville 2013): the value is the function's, bit for bit, and
/// the gradient is as each says.
/// </summary>
public static class StraightThrough
{
    /// <summary>Rounds to the nearest whole number, halves to even; the gradient passes as if nothing were done.</summary>
    /// <param name="x">Floating point, finite.</param>
    /// <returns>round(x), written as x + (round(x) - x): both steps are exact.</returns>
    public static Tensor Round(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        using DisposeScope scope = NewDisposeScope();
        return (x + (x.round() - x).detach()).MoveToOuterDisposeScope();
    }

    /// <summary>Cuts to a range; the gradient passes inside the range, its ends included, and is zero outside.</summary>
    /// <param name="x">Floating point.</param>
    /// <param name="low">Least value.</param>
    /// <param name="high">Largest value, not below <paramref name="low"/>.</param>
    /// <exception cref="ArgumentException">The range is empty.</exception>
    public static Tensor Clamp(Tensor x, double low, double high)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (!(low <= high)) throw new ArgumentException($"The range from {low} to {high} is empty.", nameof(high));
        return x.clamp(low, high);
    }

    /// <summary>0 or 1 by a threshold; the gradient passes as if the value were x, also where it is 0.</summary>
    /// <param name="x">Floating point, finite.</param>
    /// <param name="threshold">1 where x is at least this.</param>
    public static Tensor Step(Tensor x, double threshold)
    {
        ArgumentNullException.ThrowIfNull(x);
        using DisposeScope scope = NewDisposeScope();

        // x - x is zero exactly and carries the gradient: x + (step - x) would round.
        return (x.ge(threshold).to(x.dtype) + (x - x.detach())).MoveToOuterDisposeScope();
    }

    /// <summary>A mask as a function of the scores that it was chosen by; the gradient passes to ALL scores as if the mask were they, kept or not.</summary>
    /// <param name="mask">Bool, of the shape of the scores.</param>
    /// <param name="scores">Floating point, finite.</param>
    /// <returns>0 or 1 exactly, of the type of the scores.</returns>
    /// <exception cref="ArgumentException">A mask of another shape or type.</exception>
    public static Tensor Mask(Tensor mask, Tensor scores)
    {
        ArgumentNullException.ThrowIfNull(mask);
        ArgumentNullException.ThrowIfNull(scores);
        if (mask.dtype != ScalarType.Bool || !mask.shape.SequenceEqual(scores.shape))
            throw new ArgumentException($"mask must be Bool [{string.Join(", ", scores.shape)}], but is {mask.dtype} [{string.Join(", ", mask.shape)}].", nameof(mask));
        using DisposeScope scope = NewDisposeScope();
        return (mask.to(scores.dtype) + (scores - scores.detach())).MoveToOuterDisposeScope();
    }

    /// <summary>Any copy of a raw weight in its place: quantised, factored, projected. The gradient passes to the raw weight whole.</summary>
    /// <param name="value">The copy; constant in the backward pass.</param>
    /// <param name="raw">W, finite, of the same shape and type.</param>
    /// <returns>The copy exactly.</returns>
    /// <exception cref="ArgumentException">Another shape or type.</exception>
    public static Tensor Value(Tensor value, Tensor raw)
    {
        ArgumentNullException.ThrowIfNull(value);
        ArgumentNullException.ThrowIfNull(raw);
        if (value.dtype != raw.dtype || !value.shape.SequenceEqual(raw.shape))
            throw new ArgumentException($"value must be {raw.dtype} [{string.Join(", ", raw.shape)}], but is {value.dtype} [{string.Join(", ", value.shape)}].", nameof(value));
        using DisposeScope scope = NewDisposeScope();
        return (value.detach() + (raw - raw.detach())).MoveToOuterDisposeScope();
    }

    /// <summary>1 for the scores that a pattern keeps, 0 for the others; the gradient passes to all of them, as in <see cref="Mask"/>.</summary>
    /// <param name="scores">[rows, columns], Float32 or Float64, finite; equal ones: the lower index is kept.</param>
    /// <param name="pattern">How many stay, and who competes with whom.</param>
    /// <exception cref="ArgumentException">A score is not finite, or the pattern does not fit.</exception>
    public static Tensor TopK(Tensor scores, PruningPattern pattern)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(pattern);
        using DisposeScope scope = NewDisposeScope();
        return Mask(MaskSet.Keep(nameof(scores), scores, pattern).to(scores.device), scores).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// A weight whose pruned entries count less, or not at all: V = (m + beta (1 - m)) W. With G the gradient with respect to V, a kept entry of W gets G and a pruned one G
    /// (<see cref="GradientFlow.StraightThrough"/>), beta G (<see cref="GradientFlow.Restricted"/>) or 0 (<see cref="GradientFlow.Masked"/>), plus lambda W in either case.
    /// </summary>
    /// <remarks>The pull is added in each backward pass, as in SR-STE's (Zhou et al. 2021), so that momentum and clipping see it. With beta = 1 V is W bit for bit; pruned entries of V are +0 with beta = 0.</remarks>
    /// <param name="raw">W, Float32 or Float64.</param>
    /// <param name="mask">m, Bool, of the shape of W; true where an entry is kept.</param>
    /// <param name="prunedFactor">beta, from 0 to 1. Default 0.</param>
    /// <param name="flow">What reaches pruned entries. Default all.</param>
    /// <param name="pull">lambda, the pull to zero on pruned entries, finite and not negative. Default 0.</param>
    /// <exception cref="ArgumentException">A mask of another shape or type, or a number out of its range.</exception>
    public static Tensor Weight(Tensor raw, Tensor mask, double prunedFactor = 0, GradientFlow flow = GradientFlow.StraightThrough, double pull = 0)
    {
        ArgumentNullException.ThrowIfNull(raw);
        ArgumentNullException.ThrowIfNull(mask);
        if (mask.dtype != ScalarType.Bool || !mask.shape.SequenceEqual(raw.shape))
            throw new ArgumentException($"mask must be Bool [{string.Join(", ", raw.shape)}], but is {mask.dtype} [{string.Join(", ", mask.shape)}].", nameof(mask));
        if (!(prunedFactor is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(prunedFactor), prunedFactor, "prunedFactor must be from 0 to 1.");
        if (!Enum.IsDefined(flow)) throw new ArgumentOutOfRangeException(nameof(flow), flow, "There is no such flow.");
        Finite.NotNegative(pull);
        return PrunedWeight.apply(raw, mask, prunedFactor, flow, pull);
    }

    private static Tensor Scaled(Tensor x, Tensor mask, double factor) => factor switch
    {
        1 => x.clone(),
        0 => where(mask, x, 0),
        _ => where(mask, x, x.mul(factor)),
    };

    private sealed class PrunedWeight : GuardedFunction<PrunedWeight>
    {
        public override string Name => nameof(PrunedWeight);

        protected override Tensor Forward(autograd.AutogradContext ctx, object[] vars)
        {
            (Tensor raw, Tensor mask, double factor) = ((Tensor)vars[0], (Tensor)vars[1], (double)vars[2]);
            ctx.save_for_backward([raw, mask]);
            ctx.save_data("factors", (factor, (GradientFlow)vars[3], (double)vars[4]));
            using DisposeScope scope = NewDisposeScope();
            return Scaled(raw.detach(), mask, factor).MoveToOuterDisposeScope();
        }

        protected override List<Tensor> Backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            List<Tensor> saved = ctx.get_saved_variables();
            (double factor, GradientFlow flow, double pull) = ((double, GradientFlow, double))ctx.get_data("factors");
            (Tensor raw, Tensor mask) = (saved[0].detach(), saved[1]);
            using DisposeScope scope = NewDisposeScope();
            Tensor gradient = Scaled(grad_output, mask, flow switch { GradientFlow.StraightThrough => 1, GradientFlow.Restricted => factor, _ => 0 });
            if (pull > 0) gradient.add_(where(mask, 0, raw), alpha: pull);
            return [gradient.MoveToOuterDisposeScope(), null!, null!, null!, null!];
        }
    }
}
