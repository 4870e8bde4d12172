using Sparseland.Tensors;

namespace Sparseland.Training.Continual;

/// <summary>A[i, j], the accuracy on task j after learning task i, for tasks learned one after another.</summary>
/// <param name="Rows">Row i has the accuracies on the tasks 0 to i.</param>
public sealed record AccuracyMatrix(IReadOnlyList<IReadOnlyList<double>> Rows)
{
    /// <summary>Tasks, T.</summary>
    public int Tasks => Rows.Count;

    /// <summary>ACC, the mean of the last row.</summary>
    public double Accuracy => Last.Average();

    /// <summary>Mean of the diagonal: how well each task was learned when it was its turn.</summary>
    public double LearningAccuracy => Rows.Select((row, i) => row[i]).Average();

    /// <summary>BWT, the mean over all tasks but the last of A[T, j] - A[j, j]: below zero for what was forgotten. NaN for one task.</summary>
    public double BackwardTransfer => Tasks < 2 ? double.NaN : Enumerable.Range(0, Tasks - 1).Average(j => Last[j] - Rows[j][j]);

    /// <summary>The last row.</summary>
    public IReadOnlyList<double> Last => Rows[^1];

    /// <summary>Refuses rows of other lengths.</summary>
    /// <exception cref="ArgumentException">No row, or row i has not i + 1 numbers.</exception>
    public void Validate()
    {
        if (Rows is null || Rows.Count == 0) throw new ArgumentException("There is no row.", nameof(Rows));
        for (int i = 0; i < Rows.Count; i++)
        {
            if (Rows[i].Count != i + 1) throw new ArgumentException($"Row {i} has {Rows[i].Count} accuracies; after task {i} there are {i + 1}.", nameof(Rows));
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
