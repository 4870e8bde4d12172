using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Sketching;

/// <summary>What all sketches share: checks, shapes, and columns side by side. A sketch says how it multiplies and what one column is.</summary>
public abstract class Sketch : ISketch
{
    private const int ParallelFrom = 1 << 15;

    private protected Sketch(int rows, int inputs)
    {
        if (rows < 1) throw new ArgumentOutOfRangeException(nameof(rows), rows, "A sketch needs at least 1 row.");
        if (inputs < 1) throw new ArgumentOutOfRangeException(nameof(inputs), inputs, "A sketch needs at least 1 input.");
        (Outputs, Inputs) = (rows, inputs);
    }

    /// <inheritdoc/>
    public abstract string Name { get; }

    /// <summary>m, the number of rows of S.</summary>
    public int Outputs { get; }

    /// <summary>n, the number of rows of what is sketched.</summary>
    public int Inputs { get; }

    /// <inheritdoc/>
    public Tensor Apply(Tensor X)
    {
        SketchInput.CheckShape(X, nameof(X), "[inputs] or [inputs, columns]", 1, 2);
        if (X.shape[0] != Inputs)
            throw new ArgumentException($"X has {X.shape[0]} rows, but {Name} has {Inputs} inputs.", nameof(X));
        using var scope = NewDisposeScope();
        Tensor block = X.detach().reshape(Inputs, -1).contiguous();
        Tensor result = zeros([Outputs, block.shape[1]], dtype: ScalarType.Float64);
        Multiply(block, result);

        // No sketch has a zero column, so a value that is not finite reaches the result, which is far smaller to look through than X.
        if (!TensorInput.IsFinite(result))
            throw new ArgumentException("X holds a value that is not finite, or values so large that their sums are not.", nameof(X));
        return (X.dim() == 1 ? result.view(Outputs) : result).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Apply(ReadOnlySpan<double> a, Span<double> z)
    {
        CheckLength(a.Length, Inputs, nameof(a));
        CheckLength(z.Length, Outputs, nameof(z));
        using var scope = NewDisposeScope();
        Tensor result = zeros([Outputs, 1], dtype: ScalarType.Float64);
        Multiply(tensor(a.ToArray()).view(Inputs, 1), result);
        TensorMemory.Read<double>(result).CopyTo(z);
    }

    /// <inheritdoc/>
    public void Adjoint(ReadOnlySpan<double> r, Span<double> q)
    {
        CheckLength(r.Length, Outputs, nameof(r));
        CheckLength(q.Length, Inputs, nameof(q));
        q.Clear();
        Transposed(r, q);
    }

    /// <inheritdoc/>
    public Tensor Columns(IReadOnlyList<int> coordinates)
    {
        ArgumentNullException.ThrowIfNull(coordinates);
        if (coordinates.Count == 0) throw new ArgumentException("There is no coordinate; name at least one.", nameof(coordinates));
        for (int k = 0; k < coordinates.Count; k++)
        {
            if (coordinates[k] < 0 || coordinates[k] >= Inputs)
                throw new ArgumentException($"coordinates[{k}] is {coordinates[k]}; it must be from 0 to {Inputs - 1}.", nameof(coordinates));
        }

        double[] columns = new double[(long)coordinates.Count * Outputs];
        void Fill(int k) => Column(coordinates[k], columns.AsSpan(k * Outputs, Outputs));
        if (columns.Length < ParallelFrom)
        {
            for (int k = 0; k < coordinates.Count; k++) Fill(k);
        }
        else
        {
            Pieces.Each(coordinates.Count, k => Fill((int)k));
        }

        using Tensor rows = tensor(columns, [coordinates.Count, Outputs]), transposed = rows.t();
        return transposed.contiguous();
    }

    /// <summary>S as a matrix [m, n], entry by entry and not by the fast product: for tests and pictures. The caller disposes it.</summary>
    public Tensor ToDense() => Columns([.. Enumerable.Range(0, Inputs)]);

    /// <summary>result := S X; X [n, columns] contiguous, result [m, columns] zeros.</summary>
    private protected abstract void Multiply(Tensor X, Tensor result);

    /// <summary>q := S^T r; q holds zeros.</summary>
    private protected abstract void Transposed(ReadOnlySpan<double> r, Span<double> q);

    /// <summary>Column j of S; it holds zeros.</summary>
    private protected abstract void Column(int j, Span<double> column);

    private static void CheckLength(int length, int expected, string name)
    {
        if (length != expected) throw new ArgumentException($"{name} holds {length} numbers, but the sketch has {expected}.", name);
    }
}
