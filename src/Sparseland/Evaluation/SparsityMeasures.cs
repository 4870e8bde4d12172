using System.Numerics.Tensors;

namespace Sparseland.Evaluation;

/// <summary>Sparsity of a vector as one number, independent of its scale and of the order of its entries.</summary>
public static class SparsityMeasures
{
    /// <summary>
    /// Gini index of the magnitudes, 1 - 2 sum_k (|c|_(k) / ||c||_1) (n - k + 1/2) / n with the magnitudes ascending
    /// (Hurley and Rickard 2009): 0 when all are equal, 1 - 1/n when one alone is not zero.
    /// </summary>
    /// <param name="values">At least one value, finite, not all zero.</param>
    /// <exception cref="ArgumentException">There is none, all are zero, or one is not finite.</exception>
    public static double Gini(ReadOnlySpan<double> values)
    {
        double[] sorted = Magnitudes(values);
        Array.Sort(sorted);
        double weighted = 0;
        for (int k = 1; k <= sorted.Length; k++)
            weighted += sorted[k - 1] * (sorted.Length - k + 0.5);
        return 1 - (2 * weighted / (sorted.Length * TensorPrimitives.Sum<double>(sorted)));
    }

    /// <summary>
    /// <see cref="Gini"/> times n/(n - 1): 0 when all magnitudes are equal, 1 when one alone is not zero, whatever n is.
    /// </summary>
    /// <param name="values">At least two values, finite, not all zero.</param>
    /// <exception cref="ArgumentException">There are fewer, all are zero, or one is not finite.</exception>
    public static double RescaledGini(ReadOnlySpan<double> values)
    {
        if (values.Length < 2)
            throw new ArgumentException($"The rescaled Gini index needs at least two values, not {values.Length}.", nameof(values));
        return Gini(values) * values.Length / (values.Length - 1);
    }

    /// <summary>
    /// Hoyer's measure, (sqrt(n) - ||c||_1 / ||c||_2) / (sqrt(n) - 1) (Hoyer 2004): 0 when all magnitudes are equal, 1 when
    /// one alone is not zero.
    /// </summary>
    /// <param name="values">At least two values, finite, not all zero.</param>
    /// <exception cref="ArgumentException">There are fewer, all are zero, or one is not finite.</exception>
    public static double Hoyer(ReadOnlySpan<double> values)
    {
        if (values.Length < 2)
            throw new ArgumentException($"Hoyer's measure needs at least two values, not {values.Length}.", nameof(values));
        double[] magnitudes = Magnitudes(values);
        double root = Math.Sqrt(values.Length);
        return (root - (TensorPrimitives.Sum<double>(magnitudes) / TensorPrimitives.Norm<double>(magnitudes))) / (root - 1);
    }

    /// <summary>Magnitudes over the largest one, so that no sum or square under- or overflows.</summary>
    private static double[] Magnitudes(ReadOnlySpan<double> values)
    {
        double[] magnitudes = new double[values.Length];
        double largest = 0;
        for (int i = 0; i < values.Length; i++)
        {
            if (!double.IsFinite(values[i]))
                throw new ArgumentException($"Value {i} is {values[i]}; a measure of sparsity needs finite values.", nameof(values));
            magnitudes[i] = Math.Abs(values[i]);
            largest = Math.Max(largest, magnitudes[i]);
        }
        if (largest == 0)
            throw new ArgumentException(values.IsEmpty ? "There are no values." : "All values are zero: their sparsity is not defined.", nameof(values));
        TensorPrimitives.Divide(magnitudes, largest, magnitudes);
        return magnitudes;
    }
}
