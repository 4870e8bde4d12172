using Microsoft.Data.Analysis;
using Sparseland.Notebooks;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Measures;

namespace Sparseland.Kernel.Tests.Retrieval;

public class RetrievalFramesTests
{
    [Fact]
    public void Evaluations_become_tables_of_queries()
    {
        static RetrievalEvaluation Of(string name, string found) => RetrievalMetrics.Evaluate(
            new Run([KeyValuePair.Create<string, IReadOnlyList<RankedDocument>>("q1", [new(found, 1)]), KeyValuePair.Create<string, IReadOnlyList<RankedDocument>>("q2", [])], name),
            new Qrels([new("q1", "a", 1), new("q2", "a", 1)]), ["MRR@10", "MAP"]);
        DataFrame frame = new[] { Of("good", "a"), Of("poor", "b") }.ToDataFrame();
        Assert.Equal(["run", "query", "MRR@10", "MAP"], frame.Columns.Select(c => c.Name));
        Assert.Equal(["good", "good", "poor", "poor"], Enumerable.Range(0, 4).Select(i => (string)frame["run"][i]));
        Assert.Equal([1.0, 0.0, 0.0, 0.0], Enumerable.Range(0, 4).Select(i => (double)frame["MAP"][i]));
        Assert.Equal(2, Of("good", "a").ToDataFrame().Rows.Count);
        Assert.Throws<ArgumentException>(() => Array.Empty<RetrievalEvaluation>().ToDataFrame());
    }
}
