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
}
