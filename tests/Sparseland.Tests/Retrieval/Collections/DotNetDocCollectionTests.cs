using System.Xml.Linq;
using Sparseland.Data.Documentation;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Collections;
using Sparseland.Retrieval.Indexing;
using Sparseland.Retrieval.Measures;

namespace Sparseland.Tests.Retrieval.Collections;

public class DotNetDocCollectionTests
{
    private static readonly Lazy<IReadOnlyList<DocMember>> s_members = new(() => DotNetDocs.Load());
    private static readonly Lazy<DotNetDocCollection> s_all = new(() => DotNetDocCollection.Build(s_members.Value));

    // Other SDKs have somewhat more or fewer members than 10.0's: the counts of the data sheet hold within a tenth.
    [Theory]
    [InlineData(DocQueryKind.Result, 893)]
    [InlineData(DocQueryKind.Failure, 480)]
    [InlineData(DocQueryKind.Summary, 2752)]
    [InlineData(DocQueryKind.Topic, 126)]
    public void It_has_the_test_queries_of_the_data_sheet(DocQueryKind kind, int queries)
    {
        Assert.InRange(s_all.Value.Members.Count, 55_000, 68_000);
        Assert.InRange(s_all.Value.Of(kind).Count, 0.9 * queries, 1.1 * queries);
        Assert.InRange(s_all.Value.Of(kind, DocSplit.Train).Count, 12 * queries, 25 * queries);
    }

    // The table of the data sheet; other SDKs move it by less than this.
    [Fact]
    public void BM25_on_it_is_what_the_data_sheet_says()
    {
        using InvertedIndex index = InvertedIndex.Build(s_all.Value.Documents(DocView.Cards));
        foreach ((DocQueryKind kind, double ndcg, double recall) in new[] { (DocQueryKind.Result, 0.567, 0.877), (DocQueryKind.Failure, 0.267, 0.581), (DocQueryKind.Topic, 0.338, 0.622) })
        {
            RetrievalCollection collection = s_all.Value.Collection(DocView.Cards, kind);
            RetrievalEvaluation measured = RetrievalMetrics.Evaluate(new Searcher(index).Run(collection.Queries, 100), collection);
            Assert.Equal(ndcg, measured.Mean("nDCG@10"), 0.03);
            Assert.Equal(recall, measured.Mean("Recall@100"), 0.03);

            // Where the answer holds the words, words find it.
            double[] strata = [.. Enum.GetValues<OverlapStratum>().Select(s => measured.Of(s_all.Value.Of(kind).Where(q => q.Stratum(DocView.Cards) == s).Select(q => q.Id)).Mean("nDCG@10"))];
            Assert.True(strata[1] > 1.5 * strata[0] && strata[2] > 1.5 * strata[1], string.Join(", ", strata));
        }
    }

    [Fact]
    public void A_query_is_a_line_of_the_field_that_its_kind_names()
    {
        Dictionary<string, DocMember> members = s_all.Value.Members.ToDictionary(m => m.Id);
        foreach (DocQuery query in s_all.Value.Queries.Where((_, i) => i % 40 == 0))
        {
            if (query.Kind == DocQueryKind.Topic) continue;
            DocMember member = members[query.Judgements[0].Document];
            IEnumerable<string> field = query.Kind switch
            {
                DocQueryKind.Result => [member.Returns],
                DocQueryKind.Remark => [member.Remarks],
                DocQueryKind.Summary => [member.Summary],
                _ => member.Exceptions.Select(e => e.Text),
            };
            Assert.Contains(field, f => f.Contains(query.Text, StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Every_query_has_four_terms_and_answers_of_its_own_split()
    {
        Analyzer analyzer = Analyzers.English();
        int Terms(string text) => analyzer.Analyze(text).Select(t => t.Text).Distinct().Count();
        Dictionary<string, DocMember> members = s_all.Value.Members.ToDictionary(m => m.Id);
        HashSet<string> test = [.. DocCorpus.Split(s_members.Value).HeldOutTypes];
        foreach (DocQuery query in s_all.Value.Queries.Where((_, i) => i % 17 == 0))
        {
            Assert.True(Terms(query.Text) >= 4, query.ToString());
            if (query.BlindText is { } blind) Assert.True(Terms(blind) >= 4, query.ToString());
            DocMember[] answers = [.. query.Judgements.Where(j => j.Grade == 2).Select(j => members[j.Document])];
            Assert.InRange(answers.Length, 1, query.Kind == DocQueryKind.Topic ? 100 : 20);
            Assert.All(answers, a => Assert.Equal(query.Split == DocSplit.Test, test.Contains(a.TypeKey)));
            Assert.Equal(query.Judgements.Count, query.Judgements.Select(j => j.Document).Distinct().Count());
        }
    }

    [Fact]
    public void Strata_are_of_the_views_that_a_kind_is_asked_of()
    {
        foreach (DocQuery query in s_all.Value.Queries.Where((_, i) => i % 31 == 0))
        {
            foreach (DocView view in Enum.GetValues<DocView>())
            {
                bool asked = query.Kind == DocQueryKind.Topic || view == DocView.Signatures == (query.Kind == DocQueryKind.Summary);
                Assert.Equal(asked, query.Stratum(view) is not null);
                if (asked) Assert.InRange(query.Overlap(view), 0, 1 + 1e-12);
            }
        }

        // Names seldom hold the words of sentences, cards often do.
        double Share(DocView view) => s_all.Value.Of(DocQueryKind.Topic).Average(q => q.Stratum(view) == OverlapStratum.Mismatch ? 1.0 : 0);
        Assert.True(Share(DocView.Signatures) > 2 * Share(DocView.Cards));
    }

    [Fact]
    public void Building_it_again_gives_the_same()
    {
        DocMember[] some = [.. s_members.Value.Where(m => m.Namespace.StartsWith("System.IO", StringComparison.Ordinal) || m.Namespace == "System.Text.Json")];
        var options = new DotNetDocCollectionOptions { DevTypes = 10 };
        DotNetDocCollection first = DotNetDocCollection.Build(some, options), second = DotNetDocCollection.Build(some, options);
        Assert.NotEmpty(first.Queries);
        Assert.Equal(first.Queries.Select(q => (q.Id, q.Text, q.BlindText, q.Split, q.Stratum(DocView.Cards), q.Overlap(DocView.Signatures))), second.Queries.Select(q => (q.Id, q.Text, q.BlindText, q.Split, q.Stratum(DocView.Cards), q.Overlap(DocView.Signatures))));
        Assert.Equal(first.Queries.SelectMany(q => q.Judgements), second.Queries.SelectMany(q => q.Judgements));
        Assert.NotEqual(
            first.Queries.Where(q => q.Split == DocSplit.Dev).Select(q => q.Id),
            DotNetDocCollection.Build(some, options with { Seed = 2 }).Queries.Where(q => q.Split == DocSplit.Dev).Select(q => q.Id));
    }

    [Fact]
    public void The_smaller_collection_holds_every_judged_document()
    {
        RetrievalCollection small = s_all.Value.SubCollection(DocView.Cards, DocQueryKind.Topic, seed: 1);
        Assert.InRange(small.Documents.Count, 7_000, 9_000);
        Assert.Equal(0, small.UnknownDocuments);
        Assert.Equal(small.Documents.Select(d => d.Id), s_all.Value.SubCollection(DocView.Cards, DocQueryKind.Result, seed: 1).Documents.Select(d => d.Id));
        Assert.NotEqual(small.Documents.Select(d => d.Id), s_all.Value.SubCollection(DocView.Cards, DocQueryKind.Topic, seed: 2).Documents.Select(d => d.Id));
        Assert.Equal(small.Documents.Count - 500, s_all.Value.SubCollection(DocView.Cards, DocQueryKind.Topic, 1, others: 3_000).Documents.Count);
    }

    [Fact]
    public void Collections_name_what_they_hold_and_refuse_what_they_would_give_away()
    {
        RetrievalCollection blind = s_all.Value.Collection(DocView.Cards, DocQueryKind.Result, blind: true);
        Assert.Equal(".NET cards, result, blind", blind.Name);
        Assert.True(blind.Queries.Count < s_all.Value.Of(DocQueryKind.Result).Count);
        Assert.Equal(blind.Queries.Count, blind.Qrels.Queries.Count);
        Assert.Throws<ArgumentException>(() => s_all.Value.Collection(DocView.Cards, DocQueryKind.Summary));
        Assert.Throws<ArgumentException>(() => s_all.Value.Collection(DocView.Signatures, DocQueryKind.Result));
        Assert.Throws<ArgumentOutOfRangeException>(() => s_all.Value.SubCollection(DocView.Cards, DocQueryKind.Topic, 1, -1));
        Assert.Throws<ArgumentException>(() => DotNetDocCollection.Build([]));
        Assert.Throws<ArgumentOutOfRangeException>(() => DotNetDocCollection.Build(s_members.Value, new() { DevTypes = 0 }));
        Assert.Throws<OperationCanceledException>(() => DotNetDocCollection.Build(s_members.Value, cancel: new CancellationToken(true)));
    }

    [Fact]
    public void The_rules_on_a_page_of_their_own()
    {
        DotNetDocCollection made = Planted();
        DocQuery result = Assert.Single(made.Queries, q => q.Kind == DocQueryKind.Result);
        Assert.Equal("The opened file with all its buffered bytes.", result.Text);

        // "opened" is Open's; "with", "all" and "its" are words whose parts its name has not.
        Assert.Equal("The file with all its buffered bytes.", result.BlindText);
        Assert.Equal([("M:A.File.Open(System.String)", 2), ("M:A.File.Open(System.Int32)", 1)], result.Judgements.Select(j => (j.Document, j.Grade)));
        DocQuery[] failures = [.. made.Queries.Where(q => q.Kind == DocQueryKind.Failure)];
        Assert.Equal(["The path is empty or holds white space only.", "The caller lacks rights for this folder."], failures.Select(q => q.Text));
        DocQuery topic = Assert.Single(made.Queries, q => q.Kind == DocQueryKind.Topic);
        Assert.Equal("Provides ways of reading stored bytes from disk.", topic.Text);
        Assert.Equal(5, topic.Judgements.Count(j => j.Grade == 2));
        Assert.Equal(["M:A.Other.Use(A.File)"], topic.Judgements.Where(j => j.Grade == 1).Select(j => j.Document));
        RetrievalDocument card = made.Documents(DocView.Cards)[0], signature = made.Documents(DocView.Signatures)[0];
        Assert.Equal(("File.Open(String)", "Opens it.\npath: Where it lies."), (card.Title, card.Text));
        Assert.Equal(("File.Open(String)", "A path mode"), (signature.Title, signature.Text));

        // Result terms: open(ed), file, all, buffer(ed), byte; the card has open and file.
        Assert.Equal(OverlapStratum.Mismatch, failures[1].Stratum(DocView.Cards));
        Assert.True(result.Overlap(DocView.Cards) > failures[1].Overlap(DocView.Cards));
    }

    private static DotNetDocCollection Planted()
    {
        static DocMember Of(string xml) => DotNetDocs.Member(XElement.Parse(xml), new HashSet<string> { "A.File", "A.Other", "B.Third", "B.Fourth" });
        DocMember[] members =
        [
            Of("""<member name="T:A.File"><summary>Provides ways of reading stored bytes from disk.</summary></member>"""),
            Of("""
               <member name="M:A.File.Open(System.String)"><summary>Opens it.</summary><param name="path">Where it lies.</param><param name="mode"/>
               <returns>The opened file with all its buffered bytes.</returns>
               <exception cref="T:System.ArgumentException">The path is empty or holds white space only.<para>-or-</para>The caller lacks rights for this folder.</exception></member>
               """),
            Of("""<member name="M:A.File.Open(System.Int32)"><summary>Opens again.</summary><returns>Another.</returns></member>"""),
            .. Enumerable.Range(0, 3).Select(i => Of($"""<member name="M:A.File.Read{i}"><summary>Reads part {i}.</summary></member>""")),
            Of("""<member name="T:A.Other"><summary>Shares one summary with the third type of all.</summary></member>"""),
            Of("""<member name="M:A.Other.Use(A.File)"><summary>Uses a <see cref="T:A.File"/>.</summary></member>"""),
            Of("""<member name="T:B.Third"><summary>Shares one summary with the third type of all.</summary></member>"""),
            .. Enumerable.Range(0, 25).Select(i => Of($"""<member name="M:B.Third.Go{i}"><summary>Goes.</summary><returns>Twenty five members own this same sentence.</returns></member>""")),
            Of("""<member name="T:B.Fourth"><summary>Fourth.</summary></member>"""),
        ];
        return DotNetDocCollection.Build(members, new() { DevTypes = 1, Corpus = new() { HeldOut = 0.25 } });
    }
}
