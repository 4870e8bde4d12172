namespace Sparseland.Solvers;

/// <summary>A smooth data fit f(a) = F(M a) of a linear map, as solvers see it.</summary>
public interface IDataFit
{
    /// <summary>M.</summary>
    ILinearMap Map { get; }

    /// <summary>Lipschitz constant of F'.</summary>
    double Curvature { get; }

    /// <summary>F(z).</summary>
    /// <param name="z">M a [outputs].</param>
    double Value(ReadOnlySpan<double> z);

    /// <summary>F'(z).</summary>
    /// <param name="z">M a [outputs].</param>
    /// <param name="result">Receives [outputs].</param>
    void Derivative(ReadOnlySpan<double> z, Span<double> result);
}
