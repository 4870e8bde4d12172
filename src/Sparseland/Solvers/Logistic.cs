namespace Sparseland.Solvers;

/// <summary>The data fit 1/m sum_i log(1 + exp(-y_i z_i)) of two classes, z = M a.</summary>
public sealed class Logistic : IDataFit
{
    private readonly double[] _labels;

    /// <summary>Fits labels.</summary>
    /// <param name="map">M.</param>
    /// <param name="labels">y [outputs], each -1 or 1; copied.</param>
    /// <exception cref="ArgumentException">The length differs, or a label is something else.</exception>
    public Logistic(ILinearMap map, ReadOnlySpan<double> labels)
    {
        ArgumentNullException.ThrowIfNull(map);
        if (labels.Length != map.Outputs)
            throw new ArgumentException($"labels holds {labels.Length} numbers, but the map gives {map.Outputs}.", nameof(labels));
        for (int i = 0; i < labels.Length; i++)
        {
            if (labels[i] is not (1 or -1)) throw new ArgumentException($"labels[{i}] is {labels[i]}; it must be -1 or 1.", nameof(labels));
        }

        (Map, _labels, Curvature) = (map, labels.ToArray(), 0.25 / labels.Length);
    }

    /// <inheritdoc/>
    public ILinearMap Map { get; }

    /// <inheritdoc/>
    public double Curvature { get; }

    /// <inheritdoc/>
    public double Value(ReadOnlySpan<double> z)
    {
        double sum = 0;
        for (int i = 0; i < z.Length; i++)
        {
            double margin = _labels[i] * z[i];
            sum += Math.Max(0, -margin) + Math.Log(1 + Math.Exp(-Math.Abs(margin)));
        }

        return sum / z.Length;
    }

    /// <inheritdoc/>
    public void Derivative(ReadOnlySpan<double> z, Span<double> result)
    {
        for (int i = 0; i < z.Length; i++) result[i] = -_labels[i] / (1 + Math.Exp(_labels[i] * z[i])) / z.Length;
    }
}
