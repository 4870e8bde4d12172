using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// The permutation that reads a matrix of numbers column by column: a vector of rows times columns numbers is written row by row into a matrix, and read in the other order. Between the two factors of
/// a Monarch matrix it carries what each block has made to all blocks; in the Fourier transform it is the order "every m-th number first".
/// </summary>
public sealed record StridePermutation
{
    /// <summary>A permutation of rows times columns numbers.</summary>
    /// <param name="rows">At least 1.</param>
    /// <param name="columns">At least 1. Number r columns + c goes to place c rows + r.</param>
    public StridePermutation(int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        (Rows, Columns) = (rows, columns);
    }

    /// <summary>Rows of the matrix.</summary>
    public int Rows { get; }

    /// <summary>Columns of the matrix.</summary>
    public int Columns { get; }

    /// <summary>How many numbers are permuted.</summary>
    public int Length => checked(Rows * Columns);

    /// <summary>The way back; the same permutation where rows and columns are equal.</summary>
    public StridePermutation Inverse => new(Columns, Rows);

    /// <summary>Where the number of each place comes from.</summary>
    public int[] Order()
    {
        int[] order = new int[Length];
        for (int at = 0; at < order.Length; at++) order[at] = (at % Rows * Columns) + (at / Rows);
        return order;
    }

    /// <summary>P x along the last dimension. Gradients flow through it.</summary>
    /// <param name="x">[..., rows columns].</param>
    /// <exception cref="ArgumentException">Another length.</exception>
    public Tensor Apply(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.dim() == 0 || x.shape[^1] != Length) throw new ArgumentException($"x must be [..., {Length}], but is [{string.Join(", ", x.shape)}].", nameof(x));
        using DisposeScope scope = NewDisposeScope();

        // With one row or one column nothing is turned, and a reshape is no copy: the caller's numbers would change with these.
        return Rows == 1 || Columns == 1 ? x.clone().MoveToOuterDisposeScope() : x.reshape([.. x.shape[..^1], Rows, Columns]).transpose(-1, -2).reshape(x.shape).MoveToOuterDisposeScope();
    }

    /// <summary>P as a matrix, P x as a product.</summary>
    /// <param name="type">Type of its numbers. Default Float64.</param>
    public Tensor ToDense(ScalarType type = ScalarType.Float64)
    {
        using DisposeScope scope = NewDisposeScope();
        using Tensor one = eye(Length, dtype: type);
        // Row p of P picks the number of Order()[p].
        return Inverse.Apply(one).contiguous().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
