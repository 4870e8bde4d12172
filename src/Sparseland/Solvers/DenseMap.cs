using System.Numerics.Tensors;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Solvers;

/// <summary>A matrix as a linear map, stored column after column: z = sum_j a_j d_j. Columns are the atoms.</summary>
/// <remarks>A float64 dictionary with its atoms one after another is used where it lies: leave it unchanged while the map is in use.</remarks>
public sealed unsafe class DenseMap : ILinearMap
{
    private const int ParallelFrom = 1 << 18;
    private readonly Tensor _atoms;
    private readonly double* _columns;

    private DenseMap(Tensor atoms, string name)
    {
        _atoms = atoms.DetachFromDisposeScope();
        (Inputs, Outputs) = ((int)atoms.shape[0], (int)atoms.shape[1]);
        fixed (byte* start = atoms.bytes) _columns = (double*)start;
        double[] squares = new double[Inputs];
        EachColumn(j => squares[j] = TensorPrimitives.SumOfSquares(Column(j)));
        SquaredNorms = squares;
        for (int j = 0; j < squares.Length; j++)
        {
            if (squares[j] == 0) throw new ArgumentException($"Atom {j} is zero; every atom needs a direction.", name);
            if (!double.IsFinite(squares[j])) throw new ArgumentException($"{name} holds a value that is not finite, in atom {j}.", name);
        }
    }

    /// <inheritdoc/>
    public int Outputs { get; }

    /// <inheritdoc/>
    public int Inputs { get; }

    /// <summary>||d_j||^2 [inputs].</summary>
    public IReadOnlyList<double> SquaredNorms { get; }

    /// <summary>The map of a dictionary: z = a D.</summary>
    /// <param name="dictionary">D [atoms, features], float32 or float64.</param>
    /// <exception cref="ArgumentException">Not a matrix of finite numbers, or an atom is zero.</exception>
    public static DenseMap FromAtoms(Tensor dictionary)
    {
        TensorInput.CheckShape(dictionary, nameof(dictionary), "[atoms, features]");
        return new DenseMap(Rows(dictionary), nameof(dictionary));
    }

    /// <summary>The map of a measurement or design matrix: z = Phi a.</summary>
    /// <param name="phi">Phi [m, n], float32 or float64; copied.</param>
    /// <exception cref="ArgumentException">Not a matrix of finite numbers, or a column is zero.</exception>
    public static DenseMap FromPhi(Tensor phi)
    {
        TensorInput.CheckShape(phi, nameof(phi), "[m, n]");
        using Tensor transposed = phi.t();
        return new DenseMap(Rows(transposed), nameof(phi));
    }

    /// <summary>d_j [outputs].</summary>
    /// <param name="j">Which.</param>
    public ReadOnlySpan<double> Column(int j) => new(_columns + ((long)j * Outputs), Outputs);

    /// <inheritdoc/>
    public void Apply(ReadOnlySpan<double> a, Span<double> z)
    {
        Check(a.Length, Inputs, nameof(a));
        Check(z.Length, Outputs, nameof(z));
        z.Clear();
        for (int j = 0; j < a.Length; j++)
        {
            if (a[j] != 0) TensorPrimitives.MultiplyAdd(Column(j), a[j], z, z);
        }
    }

    /// <inheritdoc/>
    public void Adjoint(ReadOnlySpan<double> r, Span<double> q)
    {
        Check(r.Length, Outputs, nameof(r));
        Check(q.Length, Inputs, nameof(q));
        fixed (double* rp = r, qp = q)
        {
            (nint rn, nint qn) = ((nint)rp, (nint)qp);
            int length = r.Length;
            EachColumn(j => ((double*)qn)[j] = TensorPrimitives.Dot(Column(j), new ReadOnlySpan<double>((double*)rn, length)));
        }
    }

    /// <inheritdoc/>
    public Tensor ToDense()
    {
        using Tensor transposed = _atoms.t();
        return transposed.clone();
    }

    private static void Check(int length, int expected, string name)
    {
        if (length != expected) throw new ArgumentException($"{name} holds {length} numbers, but the map has {expected}.", name);
    }

    // The matrix itself where it already lies as needed; another handle on it, so that the caller may dispose his.
    private static Tensor Rows(Tensor atoms)
        => atoms.dtype == ScalarType.Float64 && atoms.is_contiguous() ? atoms.alias() : atoms.to(ScalarType.Float64).contiguous().clone();

    // Every column is computed whole by one thread, so the result does not depend on their number.
    private void EachColumn(Action<int> action)
    {
        if ((long)Inputs * Outputs < ParallelFrom)
        {
            for (int j = 0; j < Inputs; j++) action(j);
            return;
        }

        int chunks = Math.Min(Inputs, 64);
        Parallel.For(0, chunks, c =>
        {
            for (int j = (int)((long)c * Inputs / chunks), to = (int)((long)(c + 1) * Inputs / chunks); j < to; j++) action(j);
        });
    }
}
