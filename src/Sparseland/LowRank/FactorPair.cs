using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>A matrix of low rank as two factors, What = B A.</summary>
public sealed class FactorPair : IDisposable
{
    private readonly NativeSize _size;

    internal FactorPair(Tensor b, Tensor a, double[] singular, double squaredError) =>
        (B, A, SingularValues, SquaredError, _size) = (b.DetachFromDisposeScope(), a.DetachFromDisposeScope(), singular, squaredError, NativeSize.Of(b, a));

    /// <summary>B [out, r]. It belongs to the pair.</summary>
    public Tensor B { get; }

    /// <summary>A [r, in]. It belongs to the pair.</summary>
    public Tensor A { get; }

    /// <summary>Singular values that decided, falling: of the matrix, or of what a method decomposed in its place. A randomised method knows the leading ones only.</summary>
    public IReadOnlyList<double> SingularValues { get; }

    /// <summary>The squared error that the method minimises: of the matrix itself, or of its products with the calibration data.</summary>
    public double SquaredError { get; }

    /// <summary>r.</summary>
    public int Rank => (int)B.shape[1];

    /// <summary>Numbers in both factors, r (out + in).</summary>
    public long ParameterCount => B.numel() + A.numel();

    /// <summary>Whether the factors hold fewer numbers than the matrix: r &lt; out in / (out + in).</summary>
    public bool Saves => ParameterCount < B.shape[0] * A.shape[1];

    /// <summary>B A [out, in]; the caller disposes it.</summary>
    public Tensor Product() => B.mm(A);

    /// <inheritdoc/>
    public void Dispose()
    {
        B.Dispose();
        A.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"FactorPair [{B.shape[0]}, {A.shape[1]}] of rank {Rank}, squared error {SquaredError:G4}";
}
