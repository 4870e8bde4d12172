using Sparseland.Retrieval;
using Sparseland.Retrieval.Collections;
using Sparseland.Retrieval.Indexing;
using Sparseland.Retrieval.Measures;

namespace Sparseland.Tests.Retrieval.Collections;

public class GeneratedCollectionTests
{
    [Fact]
    public void Words_follow_Zipf_and_lengths_their_median()
    {
        RetrievalCollection made = GeneratedCollection.Make(1, new() { Documents = 8000, TopicShare = 0, Zipf = 1 });
        string[][] words = [.. made.Documents.Select(d => d.Text.Split(' '))];
        Assert.InRange(words.Select(w => w.Length).Order().ElementAt(4000), 22, 26);
        int[] counts = [.. words.SelectMany(w => w).GroupBy(w => w).Select(g => g.Count()).OrderDescending()];

        // Under exponent 1 the tenth word is ten times as rare as the first, and the hundredth a hundred times.
        Assert.InRange((double)counts[0] / counts[9], 8.5, 11.5);
        Assert.InRange((double)counts[0] / counts[99], 80, 120);
    }

    [Fact]
    public void Answers_can_be_found_and_more_so_the_more_they_share()
    {
        double Map(double share)
        {
            RetrievalCollection made = GeneratedCollection.Make(2, new() { Documents = 2000, Queries = 60, TopicShare = share });
            using InvertedIndex index = InvertedIndex.Build(made.Documents);
            Assert.Equal(60 * 20, made.Qrels.Count);
            return RetrievalMetrics.Evaluate(new Searcher(index).Run(made.Queries, 100), made).Mean("MAP");
        }

        double none = Map(0), some = Map(0.3), much = Map(0.6);
        Assert.True(none < 0.05 && some > none + 0.1 && much > some + 0.1, $"{none}, {some}, {much}");
    }

    [Fact]
    public void A_document_depends_on_the_seed_and_not_on_the_number_of_documents()
    {
        RetrievalCollection small = GeneratedCollection.Make(3, new() { Documents = 50, Queries = 5 }), large = GeneratedCollection.Make(3, new() { Documents = 500, Queries = 5 });
        Assert.Equal(small.Documents, large.Documents.Take(50));
        Assert.NotEqual(small.Documents[0], GeneratedCollection.Make(4, new() { Documents = 50 }).Documents[0]);
        Assert.Throws<ArgumentOutOfRangeException>(() => GeneratedCollection.Make(1, new() { Documents = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => GeneratedCollection.Make(1, new() { TopicShare = 1.1 }));
        Assert.Throws<OperationCanceledException>(() => GeneratedCollection.Make(1, cancel: new CancellationToken(true)));
    }
}
