using System.Globalization;

namespace Sparseland.Training;

/// <summary>The small dense network that a sparse one has to beat: as many weights, none of them masked.</summary>
public static class EqualParameters
{
    /// <summary>Widths of a perceptron with at least as many weights as the share of a larger one: its first hidden layer is narrowed.</summary>
    /// <param name="widths">Inputs, hidden widths, classes of the larger one; at least three.</param>
    /// <param name="density">Share of its weights (biases not counted), above 0 and at most 1.</param>
    /// <returns>The widths; the least first hidden layer that reaches the number.</returns>
    /// <exception cref="ArgumentException">
    /// Fewer than three widths, a density out of its range, or one that no width of the first hidden layer meets within a tenth.
    /// </exception>
    public static IReadOnlyList<int> Mlp(IReadOnlyList<int> widths, double density)
    {
        ArgumentNullException.ThrowIfNull(widths);
        if (widths.Count < 3 || widths.Any(width => width < 1))
            throw new ArgumentException($"widths are [{string.Join(", ", widths)}]; inputs, at least one hidden layer and classes are needed, all positive.", nameof(widths));
        if (!(density is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(density), density, "The density must lie above 0 and not above 1.");
        double wanted = density * WeightsOf(widths);
        int[] small = [.. widths];
        for (small[1] = 1; small[1] < widths[1] && WeightsOf(small) < wanted - 1e-6;) small[1]++;
        double reached = WeightsOf(small) / wanted;
        return reached is >= 0.9 and <= 1.1 ? small : throw new ArgumentException(
            string.Create(CultureInfo.InvariantCulture, $"No width of the first hidden layer gives {wanted:0} weights within a tenth; the nearest from above has {WeightsOf(small)}."), nameof(density));
    }

    /// <summary>Weights of a perceptron, biases not counted.</summary>
    /// <param name="widths">Inputs, hidden widths, classes.</param>
    public static long WeightsOf(IReadOnlyList<int> widths)
    {
        ArgumentNullException.ThrowIfNull(widths);
        return widths.Zip(widths.Skip(1), (a, b) => (long)a * b).Sum();
    }
}
