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
}
