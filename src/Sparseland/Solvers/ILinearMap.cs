using TorchSharp;

namespace Sparseland.Solvers;

/// <summary>A linear map z = M a, known by what it does to a vector. Dense matrices, Kronecker products and sketches are such maps.</summary>
public interface ILinearMap
{
    /// <summary>Length of z.</summary>
    int Outputs { get; }

    /// <summary>Length of a.</summary>
    int Inputs { get; }

    /// <summary>z = M a.</summary>
    /// <param name="a">[inputs].</param>
    /// <param name="z">Receives [outputs]; not the same memory as a.</param>
    void Apply(ReadOnlySpan<double> a, Span<double> z);

    /// <summary>q = M^T r.</summary>
    /// <param name="r">[outputs].</param>
    /// <param name="q">Receives [inputs]; not the same memory as r.</param>
    void Adjoint(ReadOnlySpan<double> r, Span<double> q);

    /// <summary>M as a matrix [outputs, inputs], for tests and small problems. The caller disposes it.</summary>
    torch.Tensor ToDense();
}
