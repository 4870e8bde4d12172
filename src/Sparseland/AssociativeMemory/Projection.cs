using System.Buffers;
using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace Sparseland.AssociativeMemory;

/// <summary>
/// All binary weights from one source (the receptive field, the previous code, a higher code) to the cells of a macrocolumn, with the
/// critical period of each cell: once too many of its weights are ones, they change no more.
/// </summary>
public sealed class Projection
{
    private readonly int[] increased;
    private readonly Permanence? permanence;

    internal Projection(int sources, int cells, double freezeFraction, PermanenceOptions? permanence)
    {
        Weights = new BitMatrix(sources, cells);
        FreezeFraction = freezeFraction;
        increased = new int[cells];
        this.permanence = permanence is null ? null : new Permanence(permanence, Weights);
    }

    /// <summary>Sources that feed it.</summary>
    public int Sources => Weights.Rows;

    /// <summary>Cells that it feeds.</summary>
    public int Cells => Weights.Columns;

    /// <summary>A cell is frozen once its share of ones is above this.</summary>
    public double FreezeFraction { get; }

    /// <summary>Share of ones among all weights.</summary>
    public double Density => increased.Sum(i => (long)i) / ((double)Sources * Cells);

    /// <summary>Share of frozen cells.</summary>
    public double FrozenShare => (double)Enumerable.Range(0, Cells).Count(IsFrozen) / Cells;

    internal BitMatrix Weights { get; }

    internal Permanence? Forgetting => permanence;

    /// <summary>Whether a weight is one.</summary>
    /// <param name="source">From 0.</param>
    /// <param name="cell">From 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">Outside the projection.</exception>
    public bool this[int source, int cell] => Weights[source, cell];

    /// <summary>Number of ones among the weights of a cell.</summary>
    /// <param name="cell">From 0.</param>
    public int Increased(int cell) => increased[cell];

    /// <summary>Whether a cell's weights have stopped changing.</summary>
    /// <param name="cell">From 0.</param>
    public bool IsFrozen(int cell) => increased[cell] > FreezeFraction * Sources;

    /// <summary>Normalised support min(1, boost count / normaliser) of every cell, where count is its number of active sources.</summary>
    /// <param name="active">Active sources.</param>
    /// <param name="normalizer">Support that counts as full, positive.</param>
    /// <param name="boost">Strength of the signal, 1 but for several hypotheses.</param>
    /// <param name="support">[cells], overwritten.</param>
    internal void Support(ReadOnlySpan<int> active, double normalizer, double boost, Span<double> support)
    {
        int[] counts = ArrayPool<int>.Shared.Rent(Cells);
        Weights.CountOver(active, counts.AsSpan(0, Cells));

        // boost * count / normalizer, in this order: count / normalizer is exactly 1 for a full match.
        TensorPrimitives.ConvertTruncating<int, double>(counts.AsSpan(0, Cells), support);
        if (boost != 1) TensorPrimitives.Multiply(support, boost, support);
        TensorPrimitives.Divide(support, normalizer, support);
        if (boost * active.Length > normalizer) TensorPrimitives.Min(support, 1, support);
        ArrayPool<int>.Shared.Return(counts);
    }

    /// <summary>Sets the weights from all active sources to all given cells that are not frozen.</summary>
    [SkipLocalsInit]
    internal void Learn(ReadOnlySpan<int> active, ReadOnlySpan<int> cells, int now)
    {
        int stride = Weights.Stride;
        ulong[] mask = ArrayPool<ulong>.Shared.Rent(stride);
        mask.AsSpan(0, stride).Clear();
        foreach (int cell in cells)
        {
            if (!IsFrozen(cell)) mask[cell / BitMatrix.WordBits] |= 1UL << (cell % BitMatrix.WordBits);
        }

        foreach (int source in active)
        {
            Span<ulong> row = Weights.Row(source);
            for (int w = 0; w < row.Length; w++)
            {
                if (mask[w] == 0) continue;
                ulong fresh = mask[w] & ~row[w];
                if (permanence is not null) Touch(source, w, mask[w], fresh, now);
                row[w] |= mask[w];
                for (; fresh != 0; fresh &= fresh - 1) increased[(w * BitMatrix.WordBits) + BitOperations.TrailingZeroCount(fresh)]++;
            }
        }

        ArrayPool<ulong>.Shared.Return(mask);
        permanence?.Forget(now, this);
    }

    /// <summary>Forgets one weight, unless its cell is frozen.</summary>
    internal void Clear(int source, int cell)
    {
        if (IsFrozen(cell)) return;
        Weights[source, cell] = false;
        increased[cell]--;
    }

    /// <summary>Takes saved words over; counts follow from them.</summary>
    internal void Restore(ReadOnlySpan<ulong> words, int wordsPerRow)
    {
        for (int source = 0; source < Sources; source++) words.Slice(source * wordsPerRow, wordsPerRow).CopyTo(Weights.Row(source));
        Weights.ColumnCounts().CopyTo(increased, 0);
    }

    private void Touch(int source, int word, ulong all, ulong fresh, int now)
    {
        for (; all != 0; all &= all - 1)
        {
            int bit = BitOperations.TrailingZeroCount(all);
            permanence!.Touch(source, (word * BitMatrix.WordBits) + bit, ((fresh >> bit) & 1) != 0, now);
        }
    }
}
