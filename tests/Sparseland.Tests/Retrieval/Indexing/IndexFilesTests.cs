using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Indexing;

namespace Sparseland.Tests.Retrieval.Indexing;

public sealed class IndexFilesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("index").FullName;

    public void Dispose() => Directory.Delete(_folder, true);

    private string In(string name) => Path.Combine(_folder, name);

    private static void Same(InvertedIndex expected, InvertedIndex actual)
    {
        Assert.Equal((expected.Documents, expected.Terms, expected.Postings, expected.TotalTerms), (actual.Documents, actual.Terms, actual.Postings, actual.TotalTerms));
        Assert.Equal((expected.Model, expected.Analyzer?.Options, expected.Counting), (actual.Model, actual.Analyzer?.Options, actual.Counting));
        var random = new Random(3);
        for (int q = 0; q < 40; q++)
        {
            int[] terms = [.. Enumerable.Range(0, 4).Select(_ => random.Next(expected.Terms)).Distinct()];
            SparseVector query = SparseVector.Of(terms, [.. terms.Select(_ => 1f)]);
            foreach (TopKAlgorithm algorithm in Enum.GetValues<TopKAlgorithm>())
                Assert.Equal(TopK.Exhaustive(expected, query, 100), TopK.Search(algorithm, actual, query, 100));
        }
    }

    [Fact]
    public void A_saved_index_opens_mapped_and_finds_the_same()
    {
        using InvertedIndex index = InvertedIndex.Build(InvertedIndexTests.Texts(2000), new IndexOptions
        {
            Analyzer = Analyzers.English(Stemming.Krovetz, stopWords: ["w3"]), Model = new Bm25(Bm25Variant.Bm25Plus, 0.9, 0.4, 0.7, LengthEncoding.Lucene7), Length = LengthCount.Positions,
        });
        foreach (InvertedIndex one in new[] { index, index.Quantise(), InvertedIndex.FromVectors(["a", "b"], [SparseVector.Of([1, 3], [0.5f, 2]), SparseVector.Of([3], [1])], ["p", "q", "r", "s"]) })
        {
            one.Save(In("one.index"));
            using InvertedIndex read = InvertedIndex.Open(In("one.index"));
            Assert.True(read.Mapped);
            Same(one, read);
            Assert.Equal(Enumerable.Range(0, one.Documents).Select(one.Id), Enumerable.Range(0, read.Documents).Select(read.Id));
            Assert.Equal(Enumerable.Range(0, one.Terms).Select(one.Term), Enumerable.Range(0, read.Terms).Select(read.Term));
            // A model set later is worked out anew.
            Same(one.With(new GivenImpacts(2)), read.With(new GivenImpacts(2)));
        }

        Assert.Equal(["one.index"], Directory.GetFiles(_folder).Select(Path.GetFileName));
    }

    [Fact]
    public void A_closed_index_says_so()
    {
        InvertedIndex.Build(InvertedIndexTests.Texts(300)).Save(In("a"));
        InvertedIndex read = InvertedIndex.Open(In("a"));
        SparseVector query = read.Query("w1 w2");
        read.Dispose();
        read.Dispose();
        Assert.Throws<ObjectDisposedException>(() => TopK.MaxScore(read, query, 3));
        Assert.Throws<ObjectDisposedException>(() => read.PostingsOf(0));
    }

    [Fact]
    public void A_file_may_be_replaced_while_it_is_open()
    {
        using InvertedIndex first = InvertedIndex.Build(InvertedIndexTests.Texts(500)), second = InvertedIndex.Build(InvertedIndexTests.Texts(400, seed: 2));
        first.Save(In("a"));
        using InvertedIndex old = InvertedIndex.Open(In("a"));
        second.Save(In("a"));
        using InvertedIndex replaced = InvertedIndex.Open(In("a"));
        Same(first, old);
        Same(second, replaced);
    }

    [Fact]
    public void Damaged_cut_and_foreign_files_are_refused_by_name()
    {
        InvertedIndex.Build(InvertedIndexTests.Texts(300)).Save(In("good"));
        byte[] good = File.ReadAllBytes(In("good"));
        string Refused(Action<byte[]> change, int? length = null)
        {
            byte[] bad = [.. good];
            change(bad);
            File.WriteAllBytes(In("bad"), bad[..(length ?? bad.Length)]);
            string message = Assert.Throws<InvalidDataException>(() => InvertedIndex.Open(In("bad")).Dispose()).Message;
            Assert.Contains("bad", message);
            return message;
        }

        Assert.Contains("no index", Refused(_ => { }, 0));
        Assert.Contains("no index", Refused(_ => { }, 23));
        Assert.Contains("no index", Refused(b => b[0] = (byte)'X'));
        Assert.Contains("version 2", Refused(b => b[8] = 2));
        Assert.Contains("byte order", Refused(b => Array.Reverse(b, 12, 4)));
        Assert.Contains("cut", Refused(_ => { }, 300));
        Assert.Contains("cut", Refused(_ => { }, good.Length / 2));
        // Any flipped bit of the table or of a section; only the gaps between sections hold nothing.
        var random = new Random(6);
        for (int i = 0; i < 60; i++)
        {
            int at = random.Next(24, good.Length);
            byte[] bad = [.. good];
            bad[at] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(In("bad"), bad);
            Exception? refused = Record.Exception(() => InvertedIndex.Open(In("bad")).Dispose());
            if (refused is null) Assert.Equal(0, good[at]);
            else Assert.Contains("bad", Assert.IsType<InvalidDataException>(refused).Message);
        }

        Assert.Throws<FileNotFoundException>(() => InvertedIndex.Open(In("none")));
    }

    [Fact]
    public void A_cancelled_save_leaves_nothing_and_what_a_file_cannot_keep_is_refused()
    {
        using InvertedIndex index = InvertedIndex.Build(InvertedIndexTests.Texts(300));
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => index.Save(In("a"), cancelled.Token));
        Assert.Contains(nameof(Own), Assert.Throws<InvalidOperationException>(() => index.With(new Own()).Save(In("a"))).Message);
        Assert.ThrowsAny<ArgumentException>(() => InvertedIndex.Build([new("x\uD800", "word")]).Save(In("a")));
        Assert.Empty(Directory.GetFiles(_folder));
    }

    private sealed class Own : IImpactModel
    {
        public double TermWeight(int documents, int documentFrequency) => 1;

        public double[]? Norms(ReadOnlySpan<int> lengths, long totalTerms) => null;
    }

    [Fact]
    public void Segments_added_deleted_and_merged_are_one_index_of_what_is_in_force()
    {
        RetrievalDocument[] documents = InvertedIndexTests.Texts(900);
        string folder = In("folder");
        string[] gone = ["id3", "id301", "id899", "unknown"];
        using (IndexFolder writer = IndexFolder.Open(folder))
        {
            writer.Add(documents[..300]);
            using (InvertedIndex one = IndexFolder.Read(folder)) Assert.True(one.Mapped);
            writer.Add(documents[300..600]);
            writer.Add(documents[600..]);
            Assert.Equal(3, writer.Delete(gone));
            Assert.Equal(0, writer.Delete(gone));
            Assert.Equal((3, 897), (writer.Segments, writer.Documents));
        }

        using InvertedIndex expected = InvertedIndex.Build(documents.Where(d => !gone.Contains(d.Id)));
        using (InvertedIndex joined = IndexFolder.Read(folder)) Same(expected, joined);
        using (IndexFolder writer = IndexFolder.Open(folder))
        {
            // What was deleted may come again, now as the last.
            writer.Add([documents[3]]);
            Assert.Contains("'id4'", Assert.Throws<ArgumentException>(() => writer.Add([documents[4]])).Message);
            writer.Merge();
            Assert.Equal((1, 898), (writer.Segments, writer.Documents));
            writer.Merge();
            Assert.Contains("other options", Assert.Throws<ArgumentException>(() => { using IndexFolder other = Reopened(writer, folder); other.Add([new("new", "x")]); }).Message);
        }

        using InvertedIndex merged = IndexFolder.Read(folder), again = InvertedIndex.Build([.. documents.Where(d => !gone.Contains(d.Id)), documents[3]]);
        Assert.True(merged.Mapped);
        Same(again, merged);
        merged.Save(In("merged"));
        again.Save(In("again"));
        Assert.Equal(File.ReadAllBytes(In("again")), File.ReadAllBytes(In("merged")));
        Assert.Equal(3, Directory.GetFiles(folder).Length);
    }

    private static IndexFolder Reopened(IndexFolder writer, string folder)
    {
        writer.Dispose();
        return IndexFolder.Open(folder, new IndexOptions { Analyzer = Analyzers.Words() });
    }

    [Fact]
    public void Two_writers_at_once_are_refused_and_nothing_half_done_is_in_force()
    {
        string folder = In("folder");
        using IndexFolder writer = IndexFolder.Open(folder);
        Assert.Contains("Another writer", Assert.Throws<IOException>(() => IndexFolder.Open(folder)).Message);
        Assert.Contains("no document", Assert.Throws<InvalidDataException>(() => IndexFolder.Read(folder)).Message);
        Assert.Throws<InvalidOperationException>(() => writer.Merge());
        writer.Add(InvertedIndexTests.Texts(10));
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => writer.Add([new("new", "x")], cancel: cancelled.Token));
        Assert.Equal(10, IndexFolder.Read(folder).Documents);
        Assert.Equal(10, writer.Delete(Enumerable.Range(0, 10).Select(i => $"id{i}")));
        Assert.Throws<InvalidDataException>(() => IndexFolder.Read(folder));
        writer.Dispose();
        Assert.Throws<ObjectDisposedException>(() => writer.Add([new("new", "x")]));
        Assert.Throws<DirectoryNotFoundException>(() => IndexFolder.Read(In("none")));
        File.WriteAllText(Path.Combine(folder, "segments.json"), "{");
        Assert.Contains("segments.json", Assert.Throws<InvalidDataException>(() => IndexFolder.Open(folder)).Message);
    }

    [Fact]
    public void The_next_writer_takes_away_what_a_killed_one_left()
    {
        string folder = In("folder");
        using (IndexFolder writer = IndexFolder.Open(folder)) writer.Add(InvertedIndexTests.Texts(10));
        File.Copy(Path.Combine(folder, "segment-000001.index"), Path.Combine(folder, "segment-000002.index"));
        File.WriteAllText(Path.Combine(folder, "segment-000002.index.abcdefgh.xyz.tmp"), "half");
        File.WriteAllText(Path.Combine(folder, "segment-backup.index"), "the user's own");
        using (IndexFolder.Open(folder))
            Assert.Equal(["segment-000001.index", "segment-backup.index"], Directory.GetFiles(folder, "segment-*").Select(Path.GetFileName).Order(StringComparer.Ordinal));
        using (InvertedIndex index = IndexFolder.Read(folder)) Assert.Equal(10, index.Documents);

        // A folder that lost its list keeps its segments.
        File.Delete(Path.Combine(folder, "segments.json"));
        using (IndexFolder.Open(folder)) Assert.True(File.Exists(Path.Combine(folder, "segment-000001.index")));
    }

    [Fact]
    public void Long_work_on_an_index_is_cancelled_at_once()
    {
        using InvertedIndex index = InvertedIndex.Build(InvertedIndexTests.Texts(50));
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => InvertedIndex.Merge([index], cancel: cancelled.Token));
        Assert.ThrowsAny<OperationCanceledException>(() => index.Quantise(8, cancelled.Token));
        Assert.ThrowsAny<OperationCanceledException>(() => index.QuantiseBy(1, cancelled.Token));
        Assert.ThrowsAny<OperationCanceledException>(() => InvertedIndex.FromVectors(["a"], [SparseVector.Of([0], [1f])], ["x"], cancelled.Token));
    }

    [Fact]
    public void An_id_that_no_file_can_hold_is_named()
    {
        string folder = Directory.CreateTempSubdirectory("index").FullName;
        try
        {
            using InvertedIndex index = InvertedIndex.Build([new("good", "x"), new("bad\ud800", "x")]);
            ArgumentException error = Assert.Throws<ArgumentException>(() => index.Save(Path.Combine(folder, "x.index")));
            Assert.Contains("id or term 1, holds half a surrogate pair", error.Message);
            Assert.Empty(Directory.GetFiles(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
