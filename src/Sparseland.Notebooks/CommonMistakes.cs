using Sparseland.Notebooks.Charts.Drawing;

namespace Sparseland.Notebooks;

/// <summary>What often goes wrong with numbers, recognised from the answer alone.</summary>
internal static class CommonMistakes
{
    /// <summary>A sentence about the mistake, or null where none is recognised.</summary>
    /// <param name="answer">Values of the answer.</param>
    /// <param name="expected">Right values, as many.</param>
    /// <param name="tolerance">As in the check.</param>
    public static string? Find(double[] answer, double[] expected, double tolerance)
    {
        int count = answer.Length;
        bool All(Func<int, double> right) => Enumerable.Range(0, count).All(i => Exercise.Near(answer[i], right(i), tolerance));
        int bad = Array.FindIndex(answer, v => !double.IsFinite(v));
        if (bad >= 0 && double.IsFinite(expected[bad]))
        {
            return double.IsNaN(answer[bad])
                ? "The answer has NaN in it: look for 0/0, the logarithm or root of a negative number, or ∞ − ∞."
                : "The answer has ∞ in it: look for a division by zero, or a number that overflows.";
        }
        if (All(i => -expected[i]))
            return "The sign is turned around everywhere.";
        if (expected.Any(v => v < 0) && All(i => Math.Abs(expected[i])))
            return "The sign is lost: negative results came out positive.";
        if (answer.All(v => v == 0))
            return count == 1 ? "The answer is zero." : "The answer is zero everywhere.";
        if (count == 1 && expected[0] != 0)
            return Factor(answer[0] / expected[0], tolerance);
        int pivot = Largest(expected);
        if (count > 1 && expected[pivot] != 0 && answer[pivot] != 0)
        {
            double factor = answer[pivot] / expected[pivot];
            if (Math.Abs(factor - 1) > 10 * tolerance && All(i => factor * expected[i]))
                return $"The answer is {Ticks.Short(factor)} times what is expected, everywhere: a factor is wrong.";
            double offset = answer[pivot] - expected[pivot];
            if (Math.Abs(offset) > 10 * tolerance && count > 2 && All(i => expected[i] + offset))
                return $"The answer is off by {Ticks.Short(offset)} everywhere: a constant is wrong.";
        }
        if (count > 1 && All(i => expected[count - 1 - i]))
            return "The order is reversed.";
        if (count > 2 && SameSet(answer, expected, tolerance))
            return "All values are there, in another order.";
        if (count > 2 && Enumerable.Range(0, count - 1).All(i => Exercise.Near(answer[i], expected[i + 1], tolerance)))
            return "The values are shifted by one place.";
        return null;
    }

    private static string? Factor(double factor, double tolerance)
    {
        (double Value, string Says)[] known = [(2, "twice"), (.5, "half of"), (-2, "minus twice"), (-.5, "minus half of"), (100, "100 times"), (.01, "a hundredth of"), (1000, "1000 times"), (.001, "a thousandth of")];
        foreach (var (value, says) in known)
        {
            if (Math.Abs((factor / value) - 1) <= Math.Max(tolerance, 1e-9))
                return $"The answer is {says} what is expected.";
        }
        return null;
    }

    private static int Largest(double[] values)
    {
        int best = 0;
        for (int i = 1; i < values.Length; i++)
            best = Math.Abs(values[i]) > Math.Abs(values[best]) ? i : best;
        return best;
    }

    private static bool SameSet(double[] a, double[] b, double tolerance)
    {
        double[] x = [.. a.Order()], y = [.. b.Order()];
        return Enumerable.Range(0, x.Length).All(i => Exercise.Near(x[i], y[i], tolerance));
    }
}
