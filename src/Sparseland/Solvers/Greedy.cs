using System.Numerics.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Solvers;

/// <summary>What the greedy solvers share.</summary>
internal static class Greedy
{
    public static DenseMap Check(LeastSquares fit, int sparsity)
    {
        ArgumentNullException.ThrowIfNull(fit);
        if (fit.Map is not DenseMap map) throw new ArgumentException("Greedy solvers need the columns of a DenseMap.", nameof(fit));
        int most = Math.Min(map.Inputs, map.Outputs);
        if (sparsity < 1 || sparsity > most)
            throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, $"sparsity must be from 1 to min(outputs, inputs) = {most}.");
        return map;
    }

    /// <summary>Indices of the k largest magnitudes, ascending; the lower index wins a tie.</summary>
    public static int[] Largest(ReadOnlySpan<double> values, int k)
    {
        double[] magnitudes = new double[values.Length];
        TensorPrimitives.Abs(values, magnitudes);
        int[] order = [.. Enumerable.Range(0, values.Length)];
        Array.Sort(order, (i, j) => magnitudes[j].CompareTo(magnitudes[i]) is not 0 and int by ? by : i.CompareTo(j));
        int[] top = order[..k];
        Array.Sort(top);
        return top;
    }

    /// <summary>Least squares on some columns, the solution of least norm where they depend on one another.</summary>
    public static double[] LeastSquaresOn(LeastSquares fit, DenseMap map, int[] columns)
    {
        double[] rows = new double[columns.Length * map.Outputs];
        for (int i = 0; i < columns.Length; i++) map.CopyColumn(columns[i], rows.AsSpan(i * map.Outputs));
        using var scope = NewDisposeScope();
        Tensor matrix = tensor(rows, [columns.Length, map.Outputs]).t(), target = tensor(fit.Target.ToArray(), [map.Outputs, 1]);

        // The pseudo-inverse where columns outnumber rows or depend on each other; QR would fail there.
        Tensor solution = linalg.pinv(matrix).mm(target);
        return solution.contiguous().data<double>().ToArray();
    }
}
