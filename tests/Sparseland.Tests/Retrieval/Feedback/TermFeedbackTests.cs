using Sparseland.Retrieval;
using Sparseland.Retrieval.Feedback;

namespace Sparseland.Tests.Retrieval.Feedback;

public class TermFeedbackTests
{
    private static readonly string[] s_terms = ["x", "open", "file", "stream", "the", "averyveryverylongname"];

    // Twenty documents: the first two are found; "the" stands in all of them and "file" in two, 10 %.
    private static readonly DocumentTerms s_documents = new(
        [
            SparseVector.Of([0, 1, 2, 3, 4], [9, 2, 1, 1, 5]), SparseVector.Of([2, 3, 4, 5], [3, 1, 4, 8]),
            .. Enumerable.Range(0, 18).Select(_ => SparseVector.Of([4], [1])),
        ], s_terms);

    private static readonly SparseVector s_query = SparseVector.Of([1], [2]);
    private static readonly Hit[] s_hits = [new(0, 3), new(1, 1)];

    // Left of document 0: open 2, file 1, stream 1 (sum 4); of document 1: file 3, stream 1 (sum 4). Weighted by scores 3 and 1:
    // open 1.5, file 0.75 + 0.75, stream 0.75 + 0.25; sum 4.
    [Fact]
    public void The_relevance_model_worked_by_hand()
    {
        Assert.Equal("open 0.38, file 0.38, stream 0.25", Rm3.RelevanceModel(s_hits, s_documents).Describe(t => s_terms[t]));
        SparseVector expanded = Rm3.Expand(s_query, s_hits, s_documents, new() { QueryWeight = 0.75 });
        Assert.Equal([1, 2, 3], expanded.Terms.ToArray());
        Assert.Equal([0.75f + (0.25f * 0.375f), 0.25f * 0.375f, 0.25f * 0.25f], expanded.Weights.ToArray());
    }

    // Two terms each: document 0 keeps open and file (ties go to the lower term), 2/3 and 1/3; document 1 file and stream, 3/4 and 1/4.
    // Summed: open 2, file 1.75, stream 0.25; the model keeps two.
    [Fact]
    public void Few_terms_are_the_heaviest_and_ties_go_to_the_lower_term()
    {
        SparseVector model = Rm3.RelevanceModel(s_hits, s_documents, new() { Terms = 2 });
        Assert.Equal([1, 2], model.Terms.ToArray());
        Assert.Equal(2 / 3.75, model.Weights[0], 1e-6);
        Assert.Equal(1.75 / 3.75, model.Weights[1], 1e-6);
        Assert.Equal([1, 2, 3], Rm3.RelevanceModel(s_hits, s_documents, new() { Documents = 1 }).Terms.ToArray());
        Assert.DoesNotContain(2, Rm3.RelevanceModel(s_hits, s_documents, new() { LargestShare = 0.05 }).Terms.ToArray());
    }

    [Fact]
    public void Without_feedback_the_query_stays()
    {
        Assert.Equal([1f], Rm3.Expand(s_query, [], s_documents).Weights.ToArray());
        Assert.Equal([1f], Rm3.Expand(s_query, [new(5, 1)], s_documents).Weights.ToArray());
        Assert.Equal(0, Rm3.Expand(SparseVector.Empty, [], s_documents).Count);
        Assert.Equal([1f], Rocchio.Expand(s_query, [], s_documents).Weights.ToArray());
    }

    [Fact]
    public void Rocchio_worked_by_hand()
    {
        var documents = new DocumentTerms([SparseVector.Of([1, 2], [3, 4]), SparseVector.Of([3], [2]), SparseVector.Of([1, 4], [5, 12])], s_terms);
        Hit[] hits = [new(0, 3), new(1, 2), new(2, 1)];
        SparseVector moved = Rocchio.Expand(s_query, hits, documents, new() { Documents = 2, Beta = 0.5, Gamma = 0.26, Bottom = 1 });

        // query (1); top (0.6, 0.8) of terms 1 and 2, and 1 of term 3; bottom (5, 12) / 13 of terms 1 and 4: term 4 falls below 0 and goes:
        // 1 + 0.25 * 0.6 - 0.26 * 5 / 13, 0.25 * 0.8, 0.25.
        Assert.Equal([1, 2, 3], moved.Terms.ToArray());
        Assert.Equal([1.05, 0.2, 0.25], moved.Weights.ToArray().Select(w => Math.Round(w, 6)));
        Assert.Equal([1, 3], Rocchio.Expand(s_query, hits, documents, new() { Documents = 2, Terms = 2 }).Terms.ToArray());
        Assert.Equal(s_query.Terms.ToArray(), Rocchio.Expand(s_query, hits, documents, new() { Beta = 0 }).Terms.ToArray());
    }

    [Fact]
    public void Bad_arguments_are_refused()
    {
        Assert.Throws<ArgumentException>(() => Rm3.Expand(SparseVector.Of([1], [-1]), s_hits, s_documents));
        Assert.Throws<ArgumentException>(() => Rm3.Expand(s_query, [new(0, 0)], s_documents));
        Assert.Throws<ArgumentException>(() => Rm3.Expand(s_query, [new(20, 1)], s_documents));
        Assert.Throws<ArgumentException>(() => Rocchio.Expand(s_query, [new(-1, 1)], s_documents));
        Assert.Throws<ArgumentException>(() => Rocchio.Expand(s_query, [new(0, double.NaN)], s_documents));
        Assert.Throws<ArgumentOutOfRangeException>(() => Rm3.Expand(s_query, s_hits, s_documents, new() { QueryWeight = 1.5 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Rm3.Expand(s_query, s_hits, s_documents, new() { Terms = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Rocchio.Expand(s_query, s_hits, s_documents, new() { Alpha = -1 }));
        Assert.Throws<ArgumentException>(() => new DocumentTerms([SparseVector.Of([9], [1])], s_terms));
        Assert.Throws<ArgumentException>(() => new DocumentTerms([SparseVector.Of([1], [-1])], s_terms));
    }
}
