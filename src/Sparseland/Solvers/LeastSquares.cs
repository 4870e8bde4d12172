using System.Numerics.Tensors;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Solvers;

/// <summary>
/// The data fit 1/2 ||x - M a||^2 (<see cref="LassoScaling.SumOfSquares"/>) or 1/(2m) ||x - M a||^2
/// (<see cref="LassoScaling.MeanSquares"/>), m the length of x.
/// </summary>
public sealed class LeastSquares : IDataFit, IDisposable
{
    private readonly double[] _target;
    private DenseMap? _made;

    /// <summary>Fits any linear map.</summary>
    /// <param name="map">M.</param>
    /// <param name="target">x [outputs], copied. Zero, or its largest magnitude between 1e-140 and 1e140.</param>
    /// <param name="scaling">1/2 or 1/(2m). Default 1/2.</param>
    /// <exception cref="ArgumentException">The length differs, or a value is not finite, or the squares leave the range of double.</exception>
    public LeastSquares(ILinearMap map, ReadOnlySpan<double> target, LassoScaling scaling = LassoScaling.SumOfSquares)
    {
        ArgumentNullException.ThrowIfNull(map);
        if (target.Length != map.Outputs)
            throw new ArgumentException($"target holds {target.Length} numbers, but the map gives {map.Outputs}.", nameof(target));
        for (int i = 0; i < target.Length; i++)
        {
            if (!double.IsFinite(target[i])) throw new ArgumentException($"target[{i}] is {target[i]}; it must be finite.", nameof(target));
        }

        if (!Enum.IsDefined(scaling)) throw new ArgumentOutOfRangeException(nameof(scaling), scaling, "No such scaling.");
        double largest = target.IsEmpty ? 0 : Math.Abs(TensorPrimitives.MaxMagnitude(target));
        if (!PowerOfTwoScale.IsSafe(largest))
        {
            throw new ArgumentException(
                $"target holds values up to {largest:G3}, whose squares leave the range of double; scale the target, and the penalty with it, to between "
                + $"{PowerOfTwoScale.SmallestSafe:G3} and {PowerOfTwoScale.LargestSafe:G3}.", nameof(target));
        }

        (Map, _target, Scaling) = (map, target.ToArray(), scaling);
        Curvature = scaling == LassoScaling.SumOfSquares ? 1 : 1.0 / target.Length;
        SquaredNorm = TensorPrimitives.SumOfSquares(target);
    }

    /// <inheritdoc/>
    public ILinearMap Map { get; }

    /// <summary>1/2 or 1/(2m).</summary>
    public LassoScaling Scaling { get; }

    /// <summary>1 or 1/m.</summary>
    public double Curvature { get; }

    /// <summary>x [outputs].</summary>
    public ReadOnlySpan<double> Target => _target;

    /// <summary>||x||^2.</summary>
    public double SquaredNorm { get; }

    /// <summary>One sample and a dictionary.</summary>
    /// <param name="dictionary">D [atoms, features], no atom zero.</param>
    /// <param name="x">[features].</param>
    /// <param name="scaling">1/2 or 1/(2 features). Default 1/2.</param>
    /// <exception cref="ArgumentException">Shapes or values do not fit.</exception>
    public static LeastSquares FromAtoms(Tensor dictionary, Tensor x, LassoScaling scaling = LassoScaling.SumOfSquares)
        => Of(DenseMap.FromAtoms(dictionary), Values(x, nameof(x)), scaling);

    /// <summary>Measurements y = Phi w.</summary>
    /// <param name="phi">Phi [m, n], no column zero.</param>
    /// <param name="y">[m].</param>
    /// <param name="scaling">1/2 or 1/(2m). Default 1/2.</param>
    /// <exception cref="ArgumentException">Shapes or values do not fit.</exception>
    public static LeastSquares FromPhi(Tensor phi, Tensor y, LassoScaling scaling = LassoScaling.SumOfSquares)
        => Of(DenseMap.FromPhi(phi), Values(y, nameof(y)), scaling);

    /// <summary>Lets go of a map that <see cref="FromAtoms"/> or <see cref="FromPhi"/> made. Nobody needs to: its memory is the collector's.</summary>
    public void Dispose() => _made?.Dispose();

    /// <inheritdoc/>
    public double Value(ReadOnlySpan<double> z)
    {
        double distance = TensorPrimitives.Distance(z, _target);
        return Curvature / 2 * distance * distance;
    }

    /// <inheritdoc/>
    public void Derivative(ReadOnlySpan<double> z, Span<double> result)
    {
        TensorPrimitives.Subtract(z, _target, result);
        if (Curvature != 1) TensorPrimitives.Multiply(result, Curvature, result);
    }

    /// <summary>The smallest strength with the zero solution: alpha_max of the lasso, and its like for every convex penalty.</summary>
    /// <param name="penalty">Any penalty; its own strength plays no part.</param>
    public double LargestUsefulStrength(Penalties.IPenalty penalty)
    {
        ArgumentNullException.ThrowIfNull(penalty);
        double[] gradient = new double[Map.Inputs];
        Map.Adjoint(_target, gradient);
        TensorPrimitives.Multiply(gradient, -Curvature, gradient);
        return penalty.LargestUsefulStrength(gradient);
    }

    private static LeastSquares Of(DenseMap map, double[] target, LassoScaling scaling)
    {
        try
        {
            return new(map, target, scaling) { _made = map };
        }
        catch (ArgumentException)
        {
            map.Dispose();
            throw;
        }
    }

    private static double[] Values(Tensor vector, string name)
    {
        ArgumentNullException.ThrowIfNull(vector, name);
        if (vector.dim() != 1 || vector.numel() == 0)
            throw new ArgumentException($"{name} must be a vector that is not empty, but is [{string.Join(", ", vector.shape)}].", name);
        if (vector.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"{name} is {vector.dtype}; it must be Float32 or Float64.", name);
        using Tensor wide = vector.to(ScalarType.Float64), copy = wide.contiguous();
        return copy.data<double>().ToArray();
    }
}
