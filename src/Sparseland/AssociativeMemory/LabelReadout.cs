using Sparseland.Tensors;

namespace Sparseland.AssociativeMemory;

/// <summary>
/// Supervised label units over the codes of a macrocolumn: how often each cell won for each class. A code belongs to the class with the
/// largest sum of log frequencies over its winners, (n[cell, class] + a) / (n[class] + a K): naive Bayes with one variable per module.
/// </summary>
public sealed class LabelReadout
{
    private readonly long[] counts;
    private readonly long[] classCounts;

    /// <summary>An empty readout.</summary>
    /// <param name="cells">Q K, cells of the macrocolumn.</param>
    /// <param name="k">Cells per module.</param>
    /// <param name="classes">Number of classes, at least 2.</param>
    /// <param name="smoothing">a, added to every count, positive. Default 0.1.</param>
    /// <exception cref="ArgumentException">A number is out of range.</exception>
    public LabelReadout(int cells, int k, int classes, double smoothing = 0.1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        if (cells < 1 || cells % k != 0) throw new ArgumentException($"{cells} cells are not a positive number of modules of {k}.", nameof(cells));
        ArgumentOutOfRangeException.ThrowIfLessThan(classes, 2);
        Finite.Positive(smoothing);
        Cells = cells;
        K = k;
        Classes = classes;
        Smoothing = smoothing;
        counts = new long[cells * classes];
        classCounts = new long[classes];
    }

    /// <summary>Cells of the macrocolumn.</summary>
    public int Cells { get; }

    /// <summary>Cells per module.</summary>
    public int K { get; }

    /// <summary>Number of classes.</summary>
    public int Classes { get; }

    /// <summary>a, added to every count.</summary>
    public double Smoothing { get; }

    /// <summary>Codes learned per class.</summary>
    public IReadOnlyList<long> ClassCounts => classCounts;

    /// <summary>How often a cell won for a class.</summary>
    /// <param name="cell">From 0.</param>
    /// <param name="label">From 0.</param>
    public long this[int cell, int label] => counts[(cell * Classes) + label];

    /// <summary>Counts a code for its class.</summary>
    /// <param name="winners">[Q].</param>
    /// <param name="label">From 0.</param>
    /// <exception cref="ArgumentException">The code or the label is out of range.</exception>
    public void Learn(int[] winners, int label)
    {
        Check(winners);
        ArgumentOutOfRangeException.ThrowIfNegative(label);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(label, Classes);
        foreach (int cell in winners) counts[(cell * Classes) + label]++;
        classCounts[label]++;
    }

    /// <summary>Sum of log frequencies for each class.</summary>
    /// <param name="winners">[Q].</param>
    /// <returns>[classes]; the largest wins.</returns>
    /// <exception cref="ArgumentException">The code is malformed.</exception>
    public double[] Scores(int[] winners)
    {
        Check(winners);
        var scores = new double[Classes];
        for (int label = 0; label < Classes; label++)
        {
            double all = classCounts[label] + (Smoothing * K);
            foreach (int cell in winners) scores[label] += Math.Log((counts[(cell * Classes) + label] + Smoothing) / all);
        }

        return scores;
    }

    /// <summary>The most probable class; ties go to the lower.</summary>
    /// <param name="winners">[Q].</param>
    /// <exception cref="ArgumentException">The code is malformed.</exception>
    public int Classify(int[] winners)
    {
        double[] scores = Scores(winners);
        return Array.IndexOf(scores, scores.Max());
    }

    internal long[] Counts => counts;

    internal void Restore(ReadOnlySpan<long> saved, ReadOnlySpan<long> savedClasses)
    {
        saved.CopyTo(counts);
        savedClasses.CopyTo(classCounts);
    }

    private void Check(int[] winners)
    {
        ArgumentNullException.ThrowIfNull(winners);
        if (winners.Length != Cells / K) throw new ArgumentException($"The code has {winners.Length} winners; there are {Cells / K} modules.", nameof(winners));
        for (int q = 0; q < winners.Length; q++)
        {
            if (winners[q] / K != q || winners[q] < 0)
                throw new ArgumentException($"winners[{q}] is {winners[q]}; cells of module {q} are {q * K} .. {((q + 1) * K) - 1}.", nameof(winners));
        }
    }
}
