using Sparseland.Tensors;

namespace Sparseland.FineTuning;

/// <summary>How well every task is done after every task was learned, also those that were not learned yet.</summary>
/// <param name="Values">R[t][u], after task t on task u; square.</param>
/// <param name="AreErrors">Whether less is better; else they are accuracies. Default true.</param>
public sealed record TaskMatrix(IReadOnlyList<IReadOnlyList<double>> Values, bool AreErrors = true)
{
    /// <summary>Number of tasks.</summary>
    public int Tasks => Values.Count;

    /// <summary>Mean of the diagonal: each task right after it was learned.</summary>
    public double Learned => Enumerable.Range(0, Tasks).Average(t => Values[t][t]);

    /// <summary>Mean of the final row.</summary>
    public double Last => Values[^1].Average();

    /// <summary>Mean over the tasks learned so far, averaged over the whole sequence.</summary>
    public double Average => Enumerable.Range(0, Tasks).Average(t => Values[t].Take(t + 1).Average());

    /// <summary>Mean above the diagonal: tasks that were not learned yet; NaN where there is one task alone.</summary>
    public double Transfer => Tasks < 2 ? double.NaN : Enumerable.Range(0, Tasks - 1).SelectMany(t => Values[t].Skip(t + 1)).Average();

    /// <summary>What the tasks lose from when they were learned to the end, the last one aside; above 0 is a loss, for errors and for accuracies. NaN where there is one task alone.</summary>
    public double Forgetting => Tasks < 2 ? double.NaN : (AreErrors ? 1 : -1) * Enumerable.Range(0, Tasks - 1).Average(u => Values[^1][u] - Values[u][u]);

    /// <summary>Throws when it is not square or holds NaN.</summary>
    /// <exception cref="ArgumentException">It is empty, not square, or holds NaN.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Values);
        if (Tasks == 0) throw new ArgumentException("The matrix has no task.", nameof(Values));
        for (int t = 0; t < Tasks; t++)
        {
            if (Values[t].Count != Tasks) throw new ArgumentException($"Row {t} has {Values[t].Count} values for {Tasks} tasks.", nameof(Values));
            if (Values[t].Any(double.IsNaN)) throw new ArgumentException($"Row {t} holds NaN.", nameof(Values));
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
