using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Probabilistic;

/// <summary>The linear M-step W = (sum s s^T)^-1 sum s y^T, and the squared error that is left.</summary>
internal static class NormalEquations
{
    /// <summary>The solution of least norm.</summary>
    /// <param name="moments">Symmetric, positive semidefinite [components, components]: sum of the second moments.</param>
    /// <param name="products">[components, features]: sum of the means times the data.</param>
    /// <param name="components">Rows.</param>
    /// <param name="features">Columns.</param>
    public static double[] Solve(ReadOnlySpan<double> moments, ReadOnlySpan<double> products, int components, int features)
    {
        using var scope = NewDisposeScope();
        Tensor matrix = tensor(moments.ToArray(), [components, components]), right = tensor(products.ToArray(), [components, features]);
        (Tensor values, Tensor vectors) = linalg.eigh(matrix);

        // Directions that no point uses have eigenvalue 0 up to rounding; there the least norm is zero.
        double least = components * 2.3e-16 * values[components - 1].item<double>();
        Tensor inverse = where(values > least, 1 / values, zeros_like(values));
        return vectors.mm(vectors.t().mm(right) * inverse.unsqueeze(1)).contiguous().data<double>().ToArray();
    }

    /// <summary>sum of (y_d - sum_h s_h W_hd)^2 under the posteriors, for each feature.</summary>
    /// <param name="squares">[features]: sum y_d^2.</param>
    /// <param name="moments">As in <see cref="Solve"/>.</param>
    /// <param name="products">As in <see cref="Solve"/>.</param>
    /// <param name="weights">W [components, features].</param>
    public static double[] Residuals(ReadOnlySpan<double> squares, ReadOnlySpan<double> moments, ReadOnlySpan<double> products, ReadOnlySpan<double> weights)
    {
        int features = squares.Length, components = weights.Length / features;
        double[] rest = squares.ToArray();
        for (int h = 0; h < components; h++)
        {
            for (int d = 0; d < features; d++)
            {
                double other = 0;
                for (int i = 0; i < components; i++) other += moments[(h * components) + i] * weights[(i * features) + d];
                rest[d] += weights[(h * features) + d] * (other - (2 * products[(h * features) + d]));
            }
        }

        for (int d = 0; d < features; d++) rest[d] = Math.Max(0, rest[d]);
        return rest;
    }
}
