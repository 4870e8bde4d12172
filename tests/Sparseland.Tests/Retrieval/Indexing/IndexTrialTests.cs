using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Feedback;
using Sparseland.Retrieval.Indexing;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Retrieval.Indexing;

/// <summary>The index, its searches, feedback and fusion, tried by another hand.</summary>
public class IndexTrialTests
{
    private static readonly TopKAlgorithm[] s_algorithms = Enum.GetValues<TopKAlgorithm>();

    [Fact]
    public void Equal_scores_at_the_end_of_a_list_go_to_the_lower_numbers_by_every_algorithm()
    {
        // Three scores only, over many blocks and windows: whatever k is, it cuts through equal ones.
        SparseVector[] vectors = [.. Enumerable.Range(0, 30_000).Select(d => SparseVector.Of([d % 3, 3], [1, 1 + (d % 5 == 0 ? 1 : 0)]))];
        using InvertedIndex index = InvertedIndex.FromVectors([.. vectors.Select((_, d) => $"d{d}")], vectors, ["a", "b", "c", "all"]);
        SparseVector query = SparseVector.Of([0, 3], [1, 1]);
        Hit[] all = [.. Enumerable.Range(0, 30_000).Select(d => new Hit(d, (d % 3 == 0 ? 1 : 0) + (d % 5 == 0 ? 2 : 1))).OrderByDescending(h => h.Score).ThenBy(h => h.Document)];
        foreach (int k in new[] { 1, 2, 127, 128, 129, 1999, 2001, 29_999, 30_000, int.MaxValue })
        {
            foreach (TopKAlgorithm algorithm in s_algorithms) Assert.Equal(all.Take(k), TopK.Search(algorithm, index, query, k));
        }
    }

    [Theory]
    [InlineData(1e-30, 1e30f, 1e-16f)]
    [InlineData(1e30, 1e-30f, 1e12f)]
    [InlineData(1e-45, 1e20f, 1f)]
    public void Weights_beyond_float32_whose_products_are_plain_lose_no_document(double scale, float value, float asked)
    {
        // One great document in every window; the others are small. A product of the model's and the query's weight leaves float32, the score does not.
        SparseVector[] vectors = [.. Enumerable.Range(0, 40_000).Select(d => SparseVector.Of([0, 1], [value * (1 + (d % 97 / 1000f) + (d % 8191 == 8000 ? d / 8191 : 0)), value * (d % 7 == 0 ? 1 : 0.5f)]))];
        using InvertedIndex index = InvertedIndex.FromVectors([.. vectors.Select((_, d) => $"d{d}")], vectors, ["a", "b"]).With(new GivenImpacts(scale));
        foreach (SparseVector query in new[] { SparseVector.Of([0, 1], [asked, asked / 50]), SparseVector.Of([0, 1], [asked, -asked / 50]) })
        {
            IReadOnlyList<Hit> expected = TopK.Exhaustive(index, query, 3);
            Assert.Equal(3, expected.Count);
            foreach (TopKAlgorithm algorithm in s_algorithms) Assert.Equal(expected, TopK.Search(algorithm, index, query, 3));
        }
    }

    [Fact]
    public void A_noncharacter_in_a_text_stops_no_index_and_no_query()
    {
        // U+FFFE, a byte-order mark the wrong way round, stands in texts that somebody decoded wrongly; .NET's normalisation refuses it.
        foreach (string bad in new[] { "\uFFFE", "\uFFFF", "\uD800", "\uDC00\uD800" })
        {
            using InvertedIndex index = InvertedIndex.Build([new("a", $"caf\u00E9 {bad}cre\u0301me tea{bad}house")], new() { Analyzer = Analyzers.Words() });
            Assert.Equal(["caf\u00E9", "cr\u00E9me", "house", "tea"], Enumerable.Range(0, index.Terms).Select(index.Term).Order(StringComparer.Ordinal).ToArray().OrderBy(t => t.Replace("\u00E9", "e", StringComparison.Ordinal), StringComparer.Ordinal));
            Assert.Single(new Searcher(index).Search($"{bad}cr\u00E9me", 5));
        }
    }

    [Fact]
    public void Right_to_left_text_and_a_token_of_a_megabyte_are_indexed()
    {
        RetrievalDocument[] documents =
        [
            new("he", "\u202B\u05E9\u05DC\u05D5\u05DD \u05E2\u05D5\u05DC\u05DD\u202C"), new("ar", "\u0627\u0644\u0633\u0644\u0627\u0645 \u0639\u0644\u064A\u0643\u0645"),
            new("long", new string('x', 1 << 20) + " tail"), new("ideographs", new string('\u6F22', 1 << 20)), new("marks", "e" + new string('\u0301', 1 << 16) + " tail"), new("empty", "")
        ];
        using InvertedIndex index = InvertedIndex.Build(documents);
        Assert.Equal("he", index.Id(Assert.Single(new Searcher(index).Search("\u05E9\u05DC\u05D5\u05DD", 5)).Document));
        Assert.Equal("ar", index.Id(Assert.Single(new Searcher(index).Search("\u0639\u0644\u064A\u0643\u0645", 5)).Document));
        Assert.Equal(["long", "marks"], new Searcher(index).Search("tail", 5).Select(h => index.Id(h.Document)).Order(StringComparer.Ordinal));
        Assert.Equal(1 << 20, index.Length(3));
    }

    [Fact]
    public void A_file_with_any_byte_flipped_or_cut_anywhere_is_refused_and_named()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("small.index"), broken = folder.File("broken.index");
        using (InvertedIndex index = InvertedIndex.Build(Enumerable.Range(0, 300).Select(d => new RetrievalDocument($"d{d}", $"word{d % 7} term{d % 11} all")))) index.Save(path);
        byte[] bytes = File.ReadAllBytes(path);
        using InvertedIndex whole = InvertedIndex.Open(path);
        int padding = 0;
        for (int at = 0; at < bytes.Length; at += 13)
        {
            byte[] changed = [.. bytes];
            changed[at] ^= 0x41;
            File.WriteAllBytes(broken, changed);
            try
            {
                // Between two sections stands padding, which says nothing.
                using InvertedIndex opened = InvertedIndex.Open(broken);
                padding++;
                Assert.Equal(0, bytes[at]);
                Assert.Equal(TopK.Exhaustive(whole, whole.Query("all word3 term5"), 20), TopK.Exhaustive(opened, opened.Query("all word3 term5"), 20));
            }
            catch (InvalidDataException error)
            {
                Assert.Contains("broken.index", error.Message, StringComparison.Ordinal);
            }
        }

        Assert.InRange(padding, 0, 64 * 14 / 13);
        for (int length = 0; length < bytes.Length - 64; length += 97)
        {
            File.WriteAllBytes(broken, bytes[..length]);
            Assert.Contains("broken.index", Assert.Throws<InvalidDataException>(() => InvertedIndex.Open(broken)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Scores_are_those_of_the_formulas_written_out()
    {
        string[][] texts = [.. Enumerable.Range(0, 60).Select(d => (string[])[.. Enumerable.Range(0, 3 + (d * 7 % 13)).Select(i => $"t{((d * 5) + (i * i)) % 17}")])];
        (double k1, double b, double delta) = (1.7, 0.6, 0.8);
        double average = texts.Average(t => t.Length), n = texts.Length;
        foreach (Bm25Variant variant in Enum.GetValues<Bm25Variant>().Where(v => v != Bm25Variant.Lucene48))
        {
            using InvertedIndex index = InvertedIndex.Build(
                texts.Select((t, d) => new RetrievalDocument($"d{d}", string.Join(' ', t))), new() { Analyzer = Analyzers.Words(), Model = new Bm25(variant, k1, b, delta) });
            SparseVector query = index.Query("t3 t5 t5 t16 t99");
            double absent = ((Bm25)index.Model).Absent;
            Dictionary<int, double> found = TopK.Exhaustive(index, query, 100).ToDictionary(h => h.Document, h => h.Score);
            for (int d = 0; d < texts.Length; d++)
            {
                double score = 0, base0 = 0;
                foreach ((string term, int weight) in new[] { ("t3", 1), ("t5", 2), ("t16", 1) })
                {
                    double df = texts.Count(t => t.Contains(term)), f = texts[d].Count(t => t == term), norm = 1 - b + (b * texts[d].Length / average), c = f / norm;
                    (double idf, double part, double none) = variant switch
                    {
                        Bm25Variant.Robertson => (Math.Log(Math.Max(1, (n - df + 0.5) / (df + 0.5))), f / (f + (k1 * norm)), 0),
                        Bm25Variant.Lucene => (Math.Log(1 + ((n - df + 0.5) / (df + 0.5))), f / (f + (k1 * norm)), 0),
                        Bm25Variant.Atire => (Math.Log(n / df), (k1 + 1) * f / (f + (k1 * norm)), 0),
                        Bm25Variant.Bm25L => (Math.Log((n + 1) / (df + 0.5)), (k1 + 1) * (c + delta) / (k1 + c + delta), (k1 + 1) * delta / (k1 + delta)),
                        _ => (Math.Log((n + 1) / df), ((k1 + 1) * f / (f + (k1 * norm))) + delta, delta),
                    };
                    score += weight * idf * part;
                    base0 += weight * idf * none;
                }

                double absolute = found.GetValueOrDefault(d) + (absent * query.Terms.ToArray().Zip(query.Weights.ToArray()).Sum(t => t.Second * ((Bm25)index.Model).Idf(60, index.DocumentFrequency(t.First))));
                Assert.Equal(score, absolute, 1e-9);
                Assert.True(score - base0 < 1e-12 || found.ContainsKey(d));
            }
        }
    }

    [Fact]
    public void Merging_after_deletions_is_building_of_what_stays_for_any_cut()
    {
        RetrievalDocument[] documents = [.. Enumerable.Range(0, 700).Select(d => new RetrievalDocument($"d{d}", string.Join(' ', Enumerable.Range(0, d % 9).Select(i => $"t{d * (i + 3) % 83}"))))];
        using var folder = new TemporaryFolder();
        foreach (int seed in new[] { 1, 2, 3 })
        {
            var random = new Random(seed);
            string path = folder.File($"segments{seed}");
            HashSet<string> gone = [.. documents.Where(_ => random.Next(3) == 0).Select(d => d.Id)];
            using (IndexFolder writer = IndexFolder.Open(path))
            {
                for (int from = 0; from < documents.Length;)
                {
                    int to = Math.Min(documents.Length, from + random.Next(1, 300));
                    writer.Add(documents[from..to]);
                    from = to;
                }

                Assert.Throws<IOException>(() => IndexFolder.Open(path));
                writer.Delete(gone);
                Same(path);
                writer.Merge();
            }

            Same(path);
            void Same(string where)
            {
                using InvertedIndex read = IndexFolder.Read(where), built = InvertedIndex.Build(documents.Where(d => !gone.Contains(d.Id)));
                read.Save(folder.File("read"));
                built.Save(folder.File("built"));
                Assert.Equal(File.ReadAllBytes(folder.File("built")), File.ReadAllBytes(folder.File("read")));
            }
        }
    }

    [Fact]
    public void A_relevance_model_does_not_see_the_unit_of_the_scores()
    {
        var documents = new DocumentTerms([.. Enumerable.Range(0, 40).Select(d => d < 4 ? SparseVector.Of([d, 5, 6], [1, 2, 3]) : SparseVector.Of([7], [1]))], [.. Enumerable.Range(0, 8).Select(t => $"term{t}")]);
        SparseVector query = SparseVector.Of([5], [1]);
        SparseVector plain = Rm3.Expand(query, [new(0, 4), new(1, 2), new(2, 1)], documents);
        foreach (int power in new[] { -1020, -200, -150, 0, 130, 1020 })
        {
            SparseVector other = Rm3.Expand(query, [new(0, Math.ScaleB(4, power)), new(1, Math.ScaleB(2, power)), new(2, Math.ScaleB(1, power))], documents);
            Assert.Equal(plain.Terms.ToArray(), other.Terms.ToArray());
            Assert.Equal(plain.Weights.ToArray(), other.Weights.ToArray());
        }
    }

    [Fact]
    public void Lists_at_the_ends_of_float64_are_fused_or_refused()
    {
        Fusion minMax = Fusion.Weighted(0.5);
        IReadOnlyList<Hit> tiny = minMax.Fuse([[new(0, double.Epsilon), new(1, 0)], [new(1, 1), new(0, 0)]]);
        Assert.Equal([new(0, 0.5), new(1, 0.5)], tiny);
        IReadOnlyList<Hit> wide = minMax.Fuse([[new(0, double.MaxValue), new(1, double.MinValue)], [new(1, 1), new(0, 0)]]);
        Assert.Equal([new(0, 0.5), new(1, 0.5)], wide);
        Assert.Contains("float64", Assert.Throws<ArgumentException>(() => Fusion.Sum([1, 1], NormaliseScores.None).Fuse([[new(0, double.MaxValue)], [new(0, double.MaxValue)]])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pipeline_wants_a_vector_for_each_query_also_where_it_was_searched_before()
    {
        using DisposeScope scope = NewDisposeScope();
        using DenseIndex dense = DenseIndex.Of(eye(4), ["a", "b", "c", "d"]);
        FeedbackPipeline pipeline = FeedbackPipeline.Prf(dense, VectorFeedback.Average(1));
        Run first = dense.SearchRun(["q"], ones(1, 4), 4);
        Assert.Throws<ArgumentException>(() => pipeline.Run(["q"], ones(2, 4), first: first));
        Assert.Throws<ArgumentException>(() => pipeline.Run(["q"], ones(4), first: first));
        Assert.Throws<ArgumentException>(() => pipeline.Run([], zeros(0, 4)));
        Assert.Throws<ArgumentException>(() => pipeline.Run(["q", "q"], ones(2, 4)));

        // Whole numbers would lose the mean's fraction.
        Assert.Throws<ArgumentException>(() => VectorFeedback.Average().Apply(tensor(new[] { 1L, 2 }), ones(1, 2)));
        Assert.Throws<ArgumentException>(() => VectorFeedback.Rocchio(5).Apply(tensor(new[] { 1L, 2 }), ones(0, 2)));

        // A view is its numbers.
        Tensor queries = rand(4, 3).t(), plain = queries.contiguous();
        Assert.Equal(dense.Search(plain, 4).SelectMany(l => l), dense.Search(queries, 4).SelectMany(l => l));
    }

    [Fact]
    public void A_cancelled_build_save_and_batch_stop_at_once()
    {
        RetrievalDocument[] documents = [.. Enumerable.Range(0, 20_000).Select(d => new RetrievalDocument($"d{d}", string.Join(' ', Enumerable.Range(0, 60).Select(i => $"t{d * (i + 3) % 20011}"))))];
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        using var folder = new TemporaryFolder();
        using InvertedIndex index = InvertedIndex.Build(documents[..2000]);
        Assert.ThrowsAny<OperationCanceledException>(() => InvertedIndex.Build(documents, cancel: cancelled.Token));
        Assert.ThrowsAny<OperationCanceledException>(() => index.Save(folder.File("x.index"), cancelled.Token));
        Assert.ThrowsAny<OperationCanceledException>(() => new Searcher(index).Run([new("q", "t1")], cancel: cancelled.Token));
        Assert.ThrowsAny<OperationCanceledException>(() => index.Quantise(8, cancelled.Token));
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void A_search_that_threw_midway_leaves_nothing_to_the_next_one()
    {
        using var folder = new TemporaryFolder();
        using InvertedIndex index = InvertedIndex.Build(Enumerable.Range(0, 400).Select(d => new RetrievalDocument($"d{d}", $"all word{d % 5}")), new() { Analyzer = Analyzers.Words() });
        index.Save(folder.File("good"));
        string[] names = ["about", "idends", "ids", "lengths", "termends", "terms", "freqs", "totals", "first", "last", "start", "blockmax", "termmax", "postings"];
        Dictionary<string, byte[]> sections;
        using (IndexFile file = IndexFile.Open(folder.File("good"))) sections = names.ToDictionary(n => n, n => file.Read<byte>(n));

        // The checksums are right, as in a file of a strange hand; the second block of "all" has numbers of 60 bits.
        byte[] postings = [.. sections["postings"]];
        postings[index.Lists.BlockStart[index.Lists.FirstBlock[index.FindTerm("all")!.Value] + 1]] = 60;
        Write(("postings", postings));
        using InvertedIndex broken = InvertedIndex.Open(folder.File("broken"));
        SparseVector query = index.Query("all word3");
        foreach (TopKAlgorithm algorithm in s_algorithms)
        {
            IReadOnlyList<Hit> expected = TopK.Search(algorithm, index, query, 50);
            Assert.ThrowsAny<Exception>(() => TopK.Search(algorithm, broken, query, 50));
            foreach (TopKAlgorithm next in s_algorithms) Assert.Equal(expected, TopK.Search(next, index, query, 50));
        }

        byte[] ids = [.. sections["ids"]];
        ids[3] = 0xFF;
        Write(("ids", ids));
        Assert.Contains("UTF-8", Assert.Throws<InvalidDataException>(() => InvertedIndex.Open(folder.File("broken"))).Message, StringComparison.Ordinal);

        void Write((string Name, byte[] Bytes) other) =>
            IndexFile.Write(folder.File("broken"), [.. names.Select(n => (n, (ReadOnlyMemory<byte>)(n == other.Name ? other.Bytes : sections[n])))], CancellationToken.None);
    }

    [Theory]
    [InlineData("\"Documents\":2", "\"Documents\":3", "2 documents")]
    [InlineData("\"Next\":3", "\"Next\":2", "another state")]
    [InlineData("segment-000002.index", "segment-000001.index", "twice")]
    [InlineData("\"segment-000002.index\"", "null", "no list")]
    [InlineData("segment-000002.index", "../x", "no list")]
    [InlineData("segment-000002.index", "", "no list")]
    public void A_list_of_segments_that_is_not_this_folders_is_refused(string from, string to, string what)
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("index"), list = Path.Combine(path, "segments.json");
        using (IndexFolder writer = IndexFolder.Open(path))
        {
            writer.Add([new("a", "x"), new("b", "y")]);
            writer.Add([new("c", "x"), new("d", "y")]);
        }

        string text = File.ReadAllText(list), changed = text.Replace(from, to, StringComparison.Ordinal);
        Assert.NotEqual(text, changed);
        File.WriteAllText(list, changed);
        Assert.Contains(what, Assert.Throws<InvalidDataException>(() => IndexFolder.Read(path)).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidDataException>(() =>
        {
            using IndexFolder writer = IndexFolder.Open(path);
            writer.Add([new("e", "z")]);
        });
        Assert.Equal(2, Directory.GetFiles(path, "segment-*").Length);
    }

    [Fact]
    public void Ids_of_a_run_are_refused_before_the_search()
    {
        using InvertedIndex index = InvertedIndex.Build([new("a", "x")]);
        var told = new List<ProgressReport>();
        var searcher = new Searcher(index);
        Assert.Throws<ArgumentException>(() => searcher.Run([new("q", "x"), new("q", "x")], progress: new Told(told)));
        Assert.Throws<ArgumentException>(() => searcher.Run([new("q", "x"), null!], progress: new Told(told)));
        Assert.Throws<ArgumentException>(() => searcher.Run(["q", "q"], [SparseVector.Empty, SparseVector.Empty], progress: new Told(told)));
        Assert.Throws<ArgumentException>(() => searcher.Run(["q", ""], [SparseVector.Empty, SparseVector.Empty], progress: new Told(told)));
        using DisposeScope scope = NewDisposeScope();
        using DenseIndex dense = DenseIndex.Of(eye(2), ["a", "b"]);
        Assert.Throws<ArgumentException>(() => dense.SearchRun(["q", "q"], eye(2), progress: new Told(told)));
        Assert.Empty(told);
    }

    private sealed class Told(List<ProgressReport> told) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value)
        {
            lock (told) told.Add(value);
        }
    }
}
