using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Selection;

/// <summary>
/// Chooses which entries of a score matrix stay under a <see cref="Budget"/>.
/// </summary>
/// <remarks>
/// <para>The highest scores stay. Equal scores go to the lower index, exactly and on every device; -0.0 equals 0.0.
/// +Inf and -Inf are ordinary scores, the highest and the lowest: an entry of -Inf stays only where the budget cannot
/// be met without it. NaN has no rank and is refused, also where the budget keeps nothing or everything.</para>
/// <para>The result depends on the scores alone, not on the number of threads or the width of vectors. Time is linear
/// in the number of entries for every input.</para>
/// </remarks>
public static class Select
{
    /// <summary>Chooses from a tensor over its last dimension. On the CPU float32 and float64 are read in place; on CUDA
    /// libtorch sorts where the scores are; from other devices they are copied.</summary>
    /// <param name="scores">
    /// [..., columns]: the leading dimensions together are the rows, in row-major order, so [batch, tokens, columns] is a matrix of
    /// batch x tokens rows and [columns] one row. float32, float64, float16 or bfloat16 (the last two are widened to
    /// float32, which changes no order). Any strides, any device, with or without gradient; at most 2^31 - 1 entries.
    /// </param>
    /// <param name="budget">What may stay, said of that matrix: PerColumn and Blocks too see all rows of the batch as one matrix.</param>
    /// <returns>
    /// A support of [rows, columns] that remembers the scores' own shape (<see cref="Support.Shape"/>): <see cref="Support.ToMask"/> has it.
    /// </returns>
    /// <exception cref="ArgumentException">
    /// A score is NaN, the shape or type is another, or the budget does not fit the shape.
    /// </exception>
    public static Support TopK(Tensor scores, Budget budget)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(budget);
        (int rows, int columns) = ShapeOf(scores, nameof(scores));
        _ = budget.CountFor(rows, columns);

        using DisposeScope scope = NewDisposeScope();
        Tensor source = scores.detach();
        if (source.dtype is ScalarType.Float16 or ScalarType.BFloat16)
            source = source.to(ScalarType.Float32);
        else if (source.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"Scores are floating-point, these are {scores.dtype}: convert them first.", nameof(scores));
        if (source.device_type == DeviceType.CUDA)
            return TorchTopK.Select(source.reshape(rows, columns), budget).Of(scores.shape);

        source = source.cpu().contiguous();
        Support support = source.dtype == ScalarType.Float32
            ? MatrixTopK<float>.Widest.Select(TensorMemory.Read<float>(source), rows, columns, budget)
            : MatrixTopK<double>.Widest.Select(TensorMemory.Read<double>(source), rows, columns, budget);
        return support.Of(scores.shape);
    }

    /// <summary>
    /// The mask of <see cref="TopK(Tensor, Budget)"/>, for what is chosen anew in every step of a training or weighs every row of a model: n of every m up to 16 and k of each row make no support on the way.
    /// </summary>
    /// <param name="scores">As there.</param>
    /// <param name="budget">What may stay.</param>
    /// <returns>Bool, of the shape of the scores, on the CPU; true where an entry stays.</returns>
    /// <exception cref="ArgumentException">As there.</exception>
    public static unsafe Tensor Mask(Tensor scores, Budget budget)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(budget);
        if (budget is not (NofMBudget { M: <= ShortRuns<float>.MaximumLength } or PerRowBudget) || scores.device_type != DeviceType.CPU || scores.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            return TopK(scores, budget).ToMask();
        (int rows, int columns) = ShapeOf(scores, nameof(scores));
        _ = budget.CountFor(rows, columns);

        using DisposeScope scope = NewDisposeScope();
        Tensor source = scores.detach().contiguous(), mask = empty(scores.shape, dtype: ScalarType.Bool);
        byte* kept = TensorMemory.Address(mask);
        if (source.dtype == ScalarType.Float32) MatrixTopK<float>.Widest.Mask(TensorMemory.Read<float>(source), rows, columns, budget, kept);
        else MatrixTopK<double>.Widest.Mask(TensorMemory.Read<double>(source), rows, columns, budget, kept);
        return mask.MoveToOuterDisposeScope();
    }

    /// <summary>Chooses from one row of float32 scores.</summary>
    /// <param name="scores">The row.</param>
    /// <param name="budget">What may stay.</param>
    /// <exception cref="ArgumentException">A score is NaN, or the budget does not fit.</exception>
    public static Support TopK(ReadOnlySpan<float> scores, Budget budget) => TopK(scores, 1, scores.Length, budget);

    /// <summary>Chooses from one row of float64 scores.</summary>
    /// <inheritdoc cref="TopK(ReadOnlySpan{float}, Budget)"/>
    public static Support TopK(ReadOnlySpan<double> scores, Budget budget) => TopK(scores, 1, scores.Length, budget);

    /// <summary>Chooses from a row-major matrix of float32 scores.</summary>
    /// <param name="scores">Row-major [rows, columns].</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="columns">Number of columns.</param>
    /// <param name="budget">What may stay.</param>
    /// <exception cref="ArgumentException">
    /// A score is NaN, the number of scores is not rows x columns, or the budget does not fit the shape.
    /// </exception>
    public static Support TopK(ReadOnlySpan<float> scores, int rows, int columns, Budget budget)
    {
        CheckSpan(scores.Length, rows, columns, budget);
        return MatrixTopK<float>.Widest.Select(scores, rows, columns, budget);
    }

    /// <summary>Chooses from a row-major matrix of float64 scores.</summary>
    /// <inheritdoc cref="TopK(ReadOnlySpan{float}, int, int, Budget)"/>
    public static Support TopK(ReadOnlySpan<double> scores, int rows, int columns, Budget budget)
    {
        CheckSpan(scores.Length, rows, columns, budget);
        return MatrixTopK<double>.Widest.Select(scores, rows, columns, budget);
    }

    internal static (int Rows, int Columns) ShapeOf(Tensor matrix, string name)
    {
        long[] shape = matrix.shape;
        if (shape.Length == 0)
            throw new ArgumentException("A single number has no dimension to select over; [..., columns] is needed.", name);

        // Rows may be many where there are no columns.
        UInt128 rows = 1;
        foreach (long length in shape[..^1])
            rows = length == 0 ? 0 : rows > int.MaxValue ? rows : rows * (ulong)length;
        if (matrix.NumberOfElements > int.MaxValue || rows > int.MaxValue || shape[^1] > int.MaxValue)
            throw new ArgumentException($"[{string.Join(", ", shape)}] has more than {int.MaxValue} entries or rows: select in parts.", name);
        return ((int)rows, (int)shape[^1]);
    }

    /// <summary>The refusal of a NaN, the same from every path.</summary>
    internal static ArgumentException NaNAt(long index, int columns) =>
        new($"The score at row {index / columns}, column {index % columns} is NaN, which has no rank.", "scores");

    private static void CheckSpan(int length, int rows, int columns, Budget budget)
    {
        ArgumentNullException.ThrowIfNull(budget);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        if (length != (long)rows * columns)
            throw new ArgumentException($"[{rows}, {columns}] has {(long)rows * columns} scores, not {length}.", "scores");
        _ = budget.CountFor(rows, columns);
    }
}
