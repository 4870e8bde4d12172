using Microsoft.Data.Analysis;
using Sparseland.Retrieval.Measures;

namespace Sparseland.Notebooks;

/// <summary>Results of retrieval as tables to sort, filter, join and save.</summary>
public static class RetrievalFrames
{
    /// <summary>A row for each query: "run", "query", and a column for each measure.</summary>
    /// <param name="evaluation">What was measured.</param>
    public static DataFrame ToDataFrame(this RetrievalEvaluation evaluation)
    {
        ArgumentNullException.ThrowIfNull(evaluation);
        return ToDataFrame([evaluation]);
    }

    /// <summary>The rows of several evaluations of the same measures, one run after another.</summary>
    /// <param name="evaluations">At least one.</param>
    /// <exception cref="ArgumentException">None, or their measures differ.</exception>
    public static DataFrame ToDataFrame(this IReadOnlyList<RetrievalEvaluation> evaluations)
    {
        ArgumentNullException.ThrowIfNull(evaluations);
        if (evaluations.Count == 0) throw new ArgumentException("There is no evaluation.", nameof(evaluations));
        if (evaluations.FirstOrDefault(e => !e.Measures.SequenceEqual(evaluations[0].Measures)) is { } other)
            throw new ArgumentException($"'{other.Name}' has the measures {string.Join(", ", other.Measures)} and '{evaluations[0].Name}' {string.Join(", ", evaluations[0].Measures)}.", nameof(evaluations));
        return new DataFrame(
        [
            new StringDataFrameColumn("run", evaluations.SelectMany(e => e.Queries.Select(_ => e.Name))),
            new StringDataFrameColumn("query", evaluations.SelectMany(e => e.Queries)),
            .. evaluations[0].Measures.Select(m => new DoubleDataFrameColumn(m.ToString(), evaluations.SelectMany(e => e[m]))),
        ]);
    }
}
