using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Feedback;
using Sparseland.Retrieval.Learned;
using Sparseland.Tests.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Retrieval.Learned;

/// <summary>Learned retrievers, their losses and penalties, tried by another hand.</summary>
public class LearnedTrialTests
{
    [Fact]
    public void Pooling_is_its_formula_on_any_form_of_input()
    {
        using DisposeScope scope = NewDisposeScope();
        random.manual_seed(2);
        Tensor logits = randn(3, 5, 7) * 4, mask = tensor(new[] { true, true, false, false, false, true, true, true, true, true, false, false, false, false, false }, [3, 5]);
        float[,,] z = new float[3, 5, 7];
        for (int t = 0; t < 3; t++) for (int i = 0; i < 5; i++) for (int j = 0; j < 7; j++) z[t, i, j] = logits[t, i, j].item<float>();
        bool[] stands = mask.data<bool>().ToArray();
        Tensor view = logits.permute(2, 0, 1).contiguous().permute(1, 2, 0);
        Assert.False(view.is_contiguous());
        foreach (bool twice in new[] { false, true })
        {
            foreach (Tensor form in new[] { logits, view, logits.to(ScalarType.Float64) })
            {
                Tensor pooled = SparsePooling.Max(form, mask, twice);
                for (int t = 0; t < 3; t++)
                {
                    for (int j = 0; j < 7; j++)
                    {
                        double most = Enumerable.Range(0, 5).Where(i => stands[(t * 5) + i]).Select(i => (double)z[t, i, j]).DefaultIfEmpty(0).Max(), w = Math.Log(1 + Math.Max(0, most));
                        Assert.Equal(twice ? Math.Log(1 + w) : w, pooled[t, j].to(ScalarType.Float64).item<double>(), 1e-5);
                    }
                }
            }
        }

        // No text is no row, and not an error of libtorch's.
        Assert.Equal([0L, 7], SparsePooling.OfLinear(zeros(0, 5, 4), null, randn(7, 4), zeros(7)).shape);
        Assert.Equal([0L, 7], SparsePooling.OfLinear(zeros(0, 5, 4), zeros(0, 5, ScalarType.Bool), randn(7, 4), zeros(7)).shape);
        Assert.Empty(SparsePooling.ToVectors(zeros(0, 7)));
    }

    [Fact]
    public void Penalties_are_their_formulas_and_finite_or_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        random.manual_seed(3);
        Tensor weights = randn(6, 9), idf = rand(9) + 0.1;
        idf[4] = 0;
        float[] w = weights.contiguous().data<float>().ToArray(), f = idf.data<float>().ToArray();
        double Flops(int group, bool aware) => Enumerable.Range(0, group).Sum(g => Enumerable.Range(0, 9).Sum(j =>
            Math.Pow(Enumerable.Range(0, 6 / group).Average(q => Math.Abs(w[(((q * group) + g) * 9) + j]) / (aware ? f[j] == 0 ? double.PositiveInfinity : f[j] : 1)), 2)));
        foreach (int group in new[] { 1, 2, 3, 6 })
        {
            Assert.Equal(Flops(group, false), FlopsPenalty.Of(weights, group).item<float>(), 1e-4);
            Assert.Equal(Flops(group, false), FlopsPenalty.Of(weights.t().contiguous().t(), group).item<float>(), 1e-4);
            Assert.Equal(1, FlopsPenalty.IdfAware(weights, idf, group).item<float>() / Flops(group, true), 1e-4);
        }

        // The reciprocal of 1e-40 is none in float32: times a weight of 0 it would be NaN, and the training with it.
        Assert.Contains("idf", Assert.Throws<ArgumentException>(() => FlopsPenalty.IdfAware(zeros(2, 2), tensor(new[] { 1f, 1e-40f }))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => FlopsPenalty.WeightAt(1, 10, -5));
        Assert.Equal(0.25, FlopsPenalty.WeightAt(1, 10, 5));
    }

    [Fact]
    public void Losses_name_bad_places_of_positives()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor scores = tensor(new[,] { { 1f, 2, 3 }, { 0, -1, 4 } });
        double Expected(int row, int positive, params int[] left) => -Math.Log(Math.Exp(scores[row, positive].item<float>()) / Enumerable.Range(0, 3).Where(c => !left.Contains(c)).Sum(c => Math.Exp(scores[row, c].item<float>())));
        Tensor relevant = tensor(new[,] { { true, false, true }, { false, true, false } });
        Assert.Equal((Expected(0, 0, 2) + Expected(1, 1)) / 2, RankingLosses.InfoNce(scores, tensor(new[] { 0L, 1 }), relevant).item<float>(), 1e-5);
        Assert.Throws<ArgumentException>(() => RankingLosses.InfoNce(scores, tensor(new[] { 0L, 3 })));
        Assert.Throws<ArgumentException>(() => RankingLosses.InfoNce(scores, tensor(new[] { 0L, -1 }), relevant));
        Assert.Throws<ArgumentException>(() => RankingLosses.InfoNce(scores, tensor(new[] { 0, 1 })));
        Assert.Throws<ArgumentException>(() => EnsembleTeacher.Combine([scores, null!]));
        Assert.Throws<ArgumentException>(() => EnsembleTeacher.Combine([zeros(2, 0)]));
    }

    [Fact]
    public void A_table_is_read_with_a_byte_order_mark_and_multiplied_within_float32()
    {
        using var folder = new TemporaryFolder();
        using BertEncoder encoder = TinyBert.New();
        int dog = Array.IndexOf(TinyBert.Vocabulary, "dog");
        File.WriteAllBytes(folder.File("idf.json"), [0xEF, 0xBB, 0xBF, .. "{\"dog\": 2.5}\r\n"u8]);
        QueryTable table = QueryTable.Read(encoder, folder.File("idf.json"));
        Assert.Equal(2.5f, table.Weights[dog]);
        Assert.Equal(5f, table.Times(2).Weights[dog]);
        Assert.Throws<ArgumentOutOfRangeException>(() => table.Times(3e38f));
        File.WriteAllText(folder.File("idf.json"), "{\"dog\": 1, \"\\ud800\": 2}");
        Assert.Throws<InvalidDataException>(() => QueryTable.Read(encoder, folder.File("idf.json")));
    }

    [Fact]
    public void Hard_negatives_leave_out_the_query_itself_where_queries_are_documents()
    {
        RetrievalCollection collection = new("c", [new("q", "x"), new("b", "y"), new("c", "z")], [new("q", "x")], RetrievalData.Qrels(("q", "c", 1)));
        Run run = RetrievalData.Run("r", ("q", [("q", 3), ("b", 2), ("c", 1)]));
        Assert.Equal([0, 1], HardNegatives.Mine(run, collection)["q"]);
        Assert.Equal([1], HardNegatives.Mine(run, new RetrievalCollection("c", collection.Documents, collection.Queries, collection.Qrels) { DropsIdenticalIds = true })["q"]);
    }

    [Fact]
    public void Progress_of_a_frozen_head_ends_at_the_end()
    {
        using BertEncoder encoder = new(TinyBert.Config, TinyBert.Vocabulary);
        string[] texts = [.. Enumerable.Range(0, 150).Select(i => Text(i, i / 64))];
        using TokenStates some = TokenStates.Of(encoder, texts[..64]), states = TokenStates.Of(encoder, texts);
        using FrozenTermHead head = FrozenTermHead.Start(encoder, [5, 6, 7, 8, 11, 12, 13, 14], some);
        static string Text(int i, int more) => string.Join(' ', Enumerable.Range(0, 5).Select(j => TinyBert.Vocabulary[new[] { 5, 6, 7, 8, 11, 12, 13, 14 }[((i * (j + 3)) + (i / 7) + j) % 8]]).Concat(Enumerable.Repeat("the", more)));
        var told = new List<long>();
        head.Encode(states, new Told(told));
        Assert.True(states.Count > 64);
        Assert.Equal(told.Order(), told);
        Assert.Equal(states.Count, told[^1]);
    }

    [Fact]
    public void A_vocabulary_is_learned_from_texts_with_noncharacters()
    {
        IReadOnlyList<string> plain = WordPieceTrainer.Train(["caf\u00E9 tables", "caf\u00E9 chairs"], 40);
        Assert.Contains(plain, t => t.StartsWith('c'));
        Assert.NotEmpty(WordPieceTrainer.Train(["caf\u00E9 tables \uFFFE", "caf\u00E9 \uD800 chairs \uFFFF"], 40));
    }

    private sealed class Told(List<long> told) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => told.Add((long)value.Done);
    }

    [Fact]
    public void Nothing_is_left_to_the_collector()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor logits = randn(3, 5, 7), weights = rand(4, 7), idf = rand(7) + 0.1, scores = randn(3, 4), places = tensor(new[] { 0L, 1, 2 }), states = randn(3, 5, 6), embeddings = randn(7, 6), bias = zeros(7), query = randn(6), rows = randn(2, 6);
        using DenseIndex dense = DenseIndex.Of(randn(20, 6), [.. Enumerable.Range(0, 20).Select(i => $"d{i}")], new() { HalfPrecision = true });
        var calls = new (string Name, Func<IDisposable?> Call)[]
        {
            ("Max", () => SparsePooling.Max(logits, null)), ("OfLinear", () => SparsePooling.OfLinear(states, null, embeddings, bias)), ("ToVectors", () => None(SparsePooling.ToVectors(weights.t()))),
            ("ToVectors64", () => { using Tensor w = weights.to(ScalarType.Float64); return None(SparsePooling.ToVectors(w)); }), ("Of", () => FlopsPenalty.Of(weights, 2)), ("IdfAware", () => FlopsPenalty.IdfAware(weights, idf)),
            ("InfoNce", () => RankingLosses.InfoNce(scores, places)), ("Kl", () => RankingLosses.Kl(scores, scores)), ("MarginMse", () => RankingLosses.MarginMse(idf, idf, idf, idf)),
            ("Combine", () => EnsembleTeacher.Combine([scores, scores])), ("Scaled", () => EnsembleTeacher.Scaled(scores)), ("Average", () => VectorFeedback.Average(2).Apply(query, rows)),
            ("Rocchio", () => VectorFeedback.Rocchio(2, gamma: 0.1, bottom: 1).Apply(query, rows, rows)), ("Search", () => None(dense.Search(rows, 3))), ("Vector", () => dense.Vector("d3")), ("Vectors", () => dense.Vectors([1, 2])),
        };
        foreach ((string name, Func<IDisposable?> call) in calls)
        {
            call()?.Dispose();
            long alive = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
            for (int i = 0; i < 5; i++) call()?.Dispose();
            // ToVectors of a transposed view: the view itself is the caller's.
            long mine = name == "ToVectors" ? 5 : 0;
            Assert.True(alive + mine == DisposeScopeManager.Statistics.ThreadTotalLiveCount, $"{name} leaves {(DisposeScopeManager.Statistics.ThreadTotalLiveCount - alive) / 5.0} tensors a call.");
        }

        static IDisposable? None(object made) => made is null ? throw new InvalidOperationException() : null;
    }

    [Fact]
    public void Null_texts_are_named_by_every_encoder()
    {
        using BertEncoder encoder = TinyBert.New();
        using var unicoil = new UnicoilEncoder(TinyBert.New());
        BertEncoder body = TinyBert.New();
        using var splade = new SpladeEncoder(body, new VocabularyHead(body));
        Assert.ThrowsAny<ArgumentException>(() => unicoil.Encode(["the", null!]));
        Assert.ThrowsAny<ArgumentException>(() => splade.Encode(["the", null!]));
        Assert.ThrowsAny<ArgumentException>(() => QueryTable.FromIdf(encoder, ["the", null!]));
        Assert.ThrowsAny<ArgumentException>(() => QueryTable.Binary(encoder).Encode(null!));
        Assert.Empty(unicoil.Encode([]));
        Assert.Empty(splade.Encode([]));
        Assert.Equal(0, unicoil.Encode([""])[0].Count);
    }
}
