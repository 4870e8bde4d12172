using System.Numerics;
using Sparseland.Tensors;

namespace Sparseland.Penalties;

/// <summary>
/// Weighted l1: lambda sum_j w_j |x_j|, the step of the adaptive lasso (Zou 2006) and of reweighted l1 (Candes, Wakin and Boyd 2008).
/// Prox: soft thresholding of x_j at t lambda w_j.
/// </summary>
public sealed record WeightedL1 : IPenalty
{
    private readonly double[] _weights;

    /// <summary>Creates the penalty.</summary>
    /// <param name="strength">lambda, positive.</param>
    /// <param name="weights">w_j, positive and finite, one per coefficient; copied.</param>
    /// <exception cref="ArgumentException">lambda or a weight is not positive and finite, or there are no weights.</exception>
    public WeightedL1(double strength, ReadOnlySpan<double> weights)
        : this(strength, Checked(weights))
    {
    }

    private WeightedL1(double strength, double[] weights) => (Strength, _weights) = (Finite.Positive(strength), weights);

    /// <inheritdoc/>
    public string Name => "weighted l1";

    /// <inheritdoc/>
    public double Strength { get; }

    /// <inheritdoc/>
    public bool IsConvex => true;

    /// <inheritdoc/>
    public int? Length => _weights.Length;

    /// <summary>w [coefficients].</summary>
    public ReadOnlySpan<double> Weights => _weights;

    /// <inheritdoc/>
    public IPenalty WithStrength(double strength) => new WeightedL1(strength, _weights);

    /// <inheritdoc/>
    public double Value<T>(ReadOnlySpan<T> x)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        CheckLength(x.Length, nameof(x));
        double sum = 0;
        for (int j = 0; j < x.Length; j++) sum += Scaled.Product(Strength, _weights[j], Math.Abs(double.CreateTruncating(x[j])));
        return sum;
    }

    /// <inheritdoc/>
    public void Prox<T>(ReadOnlySpan<T> z, double step, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        CheckLength(z.Length, nameof(z));
        Guard.SameLength(z.Length, result.Length, nameof(z), nameof(result));
        Finite.Positive(step);
        for (int j = 0; j < z.Length; j++)
        {
            T threshold = Guard.To<T>(Scaled.Product(step, Strength, _weights[j]));
            result[j] = T.Abs(z[j]) <= threshold ? T.Zero : z[j] - T.CopySign(threshold, z[j]);
        }
    }

    /// <inheritdoc/>
    public void SubdifferentialDistance<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> gradient, Span<T> result)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        CheckLength(x.Length, nameof(x));
        Guard.SameLength(x.Length, gradient.Length, nameof(x), nameof(gradient));
        Guard.SameLength(x.Length, result.Length, nameof(x), nameof(result));
        for (int j = 0; j < x.Length; j++)
        {
            result[j] = Guard.To<T>(Separable.Distance(double.CreateTruncating(x[j]), double.CreateTruncating(gradient[j]), Strength * _weights[j]));
        }
    }

    /// <inheritdoc/>
    public double LargestUsefulStrength(ReadOnlySpan<double> gradientAtZero, double step = 1)
    {
        CheckLength(gradientAtZero.Length, nameof(gradientAtZero));
        Finite.Positive(step);
        double largest = 0;
        for (int j = 0; j < gradientAtZero.Length; j++) largest = Math.Max(largest, Math.Abs(gradientAtZero[j]) / _weights[j]);
        return largest;
    }

    private static double[] Checked(ReadOnlySpan<double> weights)
    {
        if (weights.IsEmpty) throw new ArgumentException("There are no weights.", nameof(weights));
        for (int j = 0; j < weights.Length; j++)
        {
            if (!(weights[j] > 0) || !double.IsFinite(weights[j]))
                throw new ArgumentOutOfRangeException(nameof(weights), weights[j], $"weights[{j}] must be positive and finite.");
        }

        return weights.ToArray();
    }

    private void CheckLength(int length, string name)
    {
        if (length != _weights.Length) throw new ArgumentException($"{name} holds {length} coefficients, but there are {_weights.Length} weights.", name);
    }
}
