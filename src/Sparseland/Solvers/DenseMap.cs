using System.Numerics.Tensors;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Solvers;

/// <summary>A matrix as a linear map, stored column after column: z = sum_j a_j d_j. Columns are the atoms.</summary>
/// <remarks>
/// A float64 dictionary with its atoms one after another is used where it lies: leave it unchanged while the map is in use. Everything
/// else is copied into managed memory, which the collector sees and frees; disposing is needed by nobody and lets go at once. No span of
/// the dictionary's own memory leaves the map: nothing would keep that memory while the span is read.
/// </remarks>
public sealed unsafe class DenseMap : ILinearMap, IDisposable
{
    private const int ParallelFrom = 1 << 18;

    // Squares below this have lost digits, or their products with those of the data will have.
    private const double LeastSquare = 1e-290;
    private readonly Tensor? _lent;
    private readonly double* _columns;
    private double[]? _owned;
    private bool _disposed;

    private DenseMap(Tensor atoms, string name)
    {
        (Inputs, Outputs) = ((int)atoms.shape[0], (int)atoms.shape[1]);
        if (atoms.dtype == ScalarType.Float64 && atoms.is_contiguous())
        {
            // Another handle on it, so that the caller may dispose his.
            _lent = atoms.alias().DetachFromDisposeScope();
            _columns = (double*)TensorMemory.Address(_lent);
        }
        else
        {
            _owned = GC.AllocateUninitializedArray<double>(checked(Inputs * Outputs), pinned: true);
            using Tensor wide = atoms.to(ScalarType.Float64), rows = wide.contiguous();
            TensorMemory.Read<double>(rows).CopyTo(_owned);
            _columns = (double*)System.Runtime.CompilerServices.Unsafe.AsPointer(ref _owned[0]);
        }

        double[] squares = new double[Inputs];
        EachColumn(j => squares[j] = Squares(j));
        SquaredNorms = squares;
        for (int j = 0; j < squares.Length; j++)
        {
            if (squares[j] >= LeastSquare && double.IsFinite(squares[j])) continue;
            double largest = Math.Abs(TensorPrimitives.MaxMagnitude(Raw(j)));
            Dispose();
            throw new ArgumentException(
                largest == 0 ? $"Atom {j} is zero; every atom needs a direction."
                : double.IsFinite(largest) ? $"Atom {j} has entries up to {largest:G3}, whose squares leave the range of double; scale {name} and the data."
                : $"{name} holds a value that is not finite, in atom {j}.", name);
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
        return new DenseMap(dictionary, nameof(dictionary));
    }

    /// <summary>The map of a measurement or design matrix: z = Phi a.</summary>
    /// <param name="phi">Phi [m, n], float32 or float64; copied.</param>
    /// <exception cref="ArgumentException">Not a matrix of finite numbers, or a column is zero.</exception>
    public static DenseMap FromPhi(Tensor phi)
    {
        TensorInput.CheckShape(phi, nameof(phi), "[m, n]");
        using Tensor transposed = phi.t();
        return new DenseMap(transposed, nameof(phi));
    }

    /// <summary>d_j [outputs], in managed memory that outlives the map; a copy where the map uses the dictionary in place.</summary>
    /// <param name="j">Which, from 0 to <see cref="Inputs"/> - 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">No such column.</exception>
    /// <exception cref="ObjectDisposedException">The map is disposed.</exception>
    public ReadOnlySpan<double> Column(int j)
    {
        // Through the array and not the pointer: the span then keeps the array.
        ReadOnlySpan<double> column = Raw(j);
        if (_owned is { } owned) return owned.AsSpan(j * Outputs, Outputs);
        double[] copy = column.ToArray();
        GC.KeepAlive(this);
        return copy;
    }

    /// <inheritdoc/>
    public void Apply(ReadOnlySpan<double> a, Span<double> z)
    {
        Check(a.Length, Inputs, nameof(a));
        Check(z.Length, Outputs, nameof(z));
        z.Clear();
        for (int j = 0; j < a.Length; j++)
        {
            if (a[j] != 0) VectorMath.AddScaled(Raw(j), a[j], z);
        }

        GC.KeepAlive(this);
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
            EachColumn(j => ((double*)qn)[j] = Dot(j, new ReadOnlySpan<double>((double*)rn, length)));
        }
    }

    /// <inheritdoc/>
    public Tensor ToDense()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        Tensor dense = empty([Outputs, Inputs], dtype: ScalarType.Float64);
        double* to = (double*)TensorMemory.Address(dense);
        for (int j = 0; j < Inputs; j++)
        {
            for (int i = 0; i < Outputs; i++) to[((long)i * Inputs) + j] = _columns[((long)j * Outputs) + i];
        }

        GC.KeepAlive(this);
        return dense;
    }

    /// <summary>Lets go of the matrix.</summary>
    public void Dispose()
    {
        _disposed = true;
        _lent?.Dispose();
        _owned = null;
    }

    /// <summary>d_j^T r, r [outputs].</summary>
    internal double Dot(int j, ReadOnlySpan<double> r)
    {
        double product = VectorMath.Dot(Raw(j), r);
        GC.KeepAlive(this);
        return product;
    }

    /// <summary>d_i^T d_j.</summary>
    internal double Dot(int i, int j)
    {
        double product = VectorMath.Dot(Raw(i), Raw(j));
        GC.KeepAlive(this);
        return product;
    }

    /// <summary>Writes d_j into the first numbers of <paramref name="target"/>.</summary>
    internal void CopyColumn(int j, Span<double> target)
    {
        Raw(j).CopyTo(target);
        GC.KeepAlive(this);
    }

    /// <summary>d_j where it lies. Valid only while something keeps the map: whoever takes it ends with GC.KeepAlive(this).</summary>
    private ReadOnlySpan<double> Raw(int j)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)j, (uint)Inputs, nameof(j));
        return new(_columns + ((long)j * Outputs), Outputs);
    }

    private double Squares(int j)
    {
        double sum = TensorPrimitives.SumOfSquares(Raw(j));
        GC.KeepAlive(this);
        return sum;
    }

    private static void Check(int length, int expected, string name)
    {
        if (length != expected) throw new ArgumentException($"{name} holds {length} numbers, but the map has {expected}.", name);
    }

    // Every column is computed whole by one thread, so the result does not depend on their number.
    private void EachColumn(Action<int> action)
    {
        if ((long)Inputs * Outputs < ParallelFrom)
        {
            for (int j = 0; j < Inputs; j++) action(j);
            return;
        }

        int chunks = Math.Min(Inputs, 64);
        Pieces.Each(chunks, c =>
        {
            for (int j = (int)(c * Inputs / chunks), to = (int)((c + 1) * Inputs / chunks); j < to; j++) action(j);
        });
    }
}
