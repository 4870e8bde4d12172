using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Probabilistic;

/// <summary>Checks of the arguments that the models share.</summary>
internal static class ProbabilisticInput
{
    /// <summary>The values of a finite float64 or float32 matrix, row-major.</summary>
    public static double[] Matrix(Tensor matrix, string name, string shape)
    {
        ArgumentNullException.ThrowIfNull(matrix, name);
        if (matrix.dim() != 2 || matrix.numel() == 0)
            throw new ArgumentException($"{name} must be a matrix {shape} that is not empty, but is [{string.Join(", ", matrix.shape)}].", name);
        if (matrix.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"{name} is {matrix.dtype}; it must be Float32 or Float64.", name);
        using var scope = NewDisposeScope();
        double[] values = matrix.detach().to(ScalarType.Float64).cpu().contiguous().data<double>().ToArray();
        Finite(values, name);
        return values;
    }

    /// <summary>Data points that fit a model.</summary>
    public static double[] Data(Tensor Y, int features, string name = "Y")
    {
        double[] values = Matrix(Y, name, "[points, features]");
        if (Y.shape[1] != features)
            throw new ArgumentException($"{name} has {Y.shape[1]} features and the model {features}.", name);
        return values;
    }

    public static void Finite(ReadOnlySpan<double> values, string name)
    {
        for (int i = 0; i < values.Length; i++)
        {
            if (!double.IsFinite(values[i])) throw new ArgumentException($"{name} holds {values[i]} (entry {i}); all values must be finite.", name);
        }
    }

    public static double Probability(double value, string name)
    {
        if (!(value > 0 && value < 1)) throw new ArgumentOutOfRangeException(name, value, $"{name} must lie strictly between 0 and 1.");
        return value;
    }
}
