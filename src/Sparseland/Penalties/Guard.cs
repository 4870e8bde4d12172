using System.Numerics;

namespace Sparseland.Penalties;

/// <summary>Checks that every penalty shares.</summary>
internal static class Guard
{
    public static void SameLength(int left, int right, string leftName, string rightName)
    {
        if (left != right)
            throw new ArgumentException($"{rightName} holds {right} values and {leftName} {left}; they must be as long as each other.", rightName);
    }

    /// <summary>Largest magnitude; NaN is refused because a strength computed from it would hide it.</summary>
    public static double MaxMagnitude(ReadOnlySpan<double> gradient)
    {
        double max = 0;
        for (int i = 0; i < gradient.Length; i++)
        {
            if (double.IsNaN(gradient[i]))
                throw new ArgumentException($"The gradient is NaN at index {i}.", nameof(gradient));
            max = Math.Max(max, Math.Abs(gradient[i]));
        }

        return max;
    }

    public static T To<T>(double value)
        where T : unmanaged, IFloatingPointIeee754<T> => T.CreateSaturating(value);
}
