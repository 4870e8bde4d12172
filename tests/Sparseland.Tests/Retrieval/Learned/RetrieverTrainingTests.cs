using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Learned;
using Sparseland.Solvers;
using Sparseland.Tensors;
using Sparseland.Tests.IO;
using Sparseland.Tests.Models.Language;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Retrieval.Learned;

public class RetrieverTrainingTests
{
    // Documents say one word, queries another one for the same thing: nothing but learning can bring them together.
    private static readonly string[] s_documents = ["ape", "bee", "cow", "doe", "elk", "fox", "gnu", "hen"], s_queries = ["one", "two", "six", "ten", "red", "tan", "big", "shy"];

    private static RetrievalCollection Collection() => new(
        "words", [.. s_documents.Select(d => new RetrievalDocument(d, $"the {d} here"))], [.. s_queries.Select(q => new RetrievalQuery(q, $"where is {q}"))],
        new(s_queries.Select((q, i) => new Judgement(q, s_documents[i], 2))));

    private static BertEncoder Body(Pooling pooling = Pooling.Mean)
    {
        IReadOnlyList<string> words = WordPieceTrainer.Train([.. s_documents.Concat(s_queries).Concat(["the", "here", "where", "is"]).SelectMany(w => new[] { w, w })], 200);
        return new(new() { Vocabulary = words.Count, Width = 16, MlpWidth = 32, Layers = 1, Heads = 2, Context = 16 }, words) { Pooling = pooling };
    }

    private static RetrieverTrainingOptions Options(long steps = 150, double lambda = 0.001, string? checkpoint = null) => new()
    {
        Lambda = lambda, Ramp = 50, Training = new() { Steps = steps, LearningRate = 1e-2, WarmUp = 10, WeightDecay = 0, Checkpoint = checkpoint },
    };

    private static ITextScorer Scorer(string kind)
    {
        BertEncoder body = Body();
        if (kind == "dense") return new DenseScorer(body);
        if (kind == "unicoil") return new UnicoilEncoder(body);
        var encoder = new SpladeEncoder(body, new VocabularyHead(body));

        // A term below 0 in every text has no gradient; trained encoders start with a head that has learned, this one with all terms alive.
        using (no_grad()) encoder.Head.Bias.fill_(1);
        return kind == "siamese" ? encoder : new InferenceFreeScorer(encoder, QueryTable.Binary(body));
    }

    private static int Right(ITextScorer scorer, RetrievalCollection collection)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor q = scorer.Queries([.. collection.Queries.Select(x => scorer.TokenizeQuery(x.Text))]), d = scorer.Documents([.. collection.Documents.Select(x => scorer.TokenizeDocument(x.Contents))]);
        long[] first = q.matmul(d.t()).argmax(1).data<long>().ToArray();
        return first.Where((found, i) => found == i).Count();
    }

    [Theory]
    [InlineData("dense")]
    [InlineData("siamese")]
    [InlineData("inference-free")]
    public void Words_that_never_match_are_learned_to_mean_the_same(string kind)
    {
        RetrievalCollection collection = Collection();
        ITextScorer scorer = Scorer(kind);
        using (scorer.Module)
        {
            using TrainingLoop loop = RetrieverTraining.Loop(scorer, new(collection, batch: 8), Options());
            loop.Run();
            Assert.Equal(8, Right(scorer, collection));
        }
    }

    /// <summary>No term but the text's own can get a weight, so nothing can be learned here: the boundary of the model, not of its training.</summary>
    [Fact]
    public void Unicoil_cannot_learn_what_no_token_shares()
    {
        RetrievalCollection collection = Collection();
        ITextScorer scorer = Scorer("unicoil");
        using (scorer.Module)
        {
            using TrainingLoop loop = RetrieverTraining.Loop(scorer, new(collection, batch: 8), Options(lambda: 0));
            Assert.Equal(Math.Log(8), loop.Run().History[^1].Loss, 1e-4);
        }
    }

    [Theory]
    [InlineData(RetrieverLoss.Kl)]
    [InlineData(RetrieverLoss.InfoNceAndKl)]
    [InlineData(RetrieverLoss.MarginMse)]
    public void A_teacher_is_followed(RetrieverLoss loss)
    {
        RetrievalCollection collection = Collection();

        // The teacher means the next document: what its student finds is wrong by the labels and right by the teacher.
        Tensor Teacher(IReadOnlyList<int> queries, IReadOnlyList<int> documents) =>
            tensor(queries.SelectMany(q => documents.Select(d => d == (loss == RetrieverLoss.Kl ? (q + 1) % 8 : q) ? (loss == RetrieverLoss.MarginMse ? 2f : 10f) : 0f)).ToArray(), [queries.Count, documents.Count]);
        ITextScorer scorer = Scorer(loss == RetrieverLoss.MarginMse ? "dense" : "siamese");
        using (scorer.Module)
        {
            var negatives = s_queries.ToDictionary(q => q, q => (IReadOnlyList<int>)[.. Enumerable.Range(0, 8).Where(d => s_documents[d] != s_documents[Array.IndexOf(s_queries, q)])]);
            using TrainingLoop loop = RetrieverTraining.Loop(scorer, new(collection, batch: 8, negatives: negatives), Options(steps: 300, lambda: 0) with { Loss = loss, Negatives = loss == RetrieverLoss.MarginMse ? 2 : 0 }, Teacher);
            loop.Run();
            Assert.InRange(Right(scorer, collection), loss == RetrieverLoss.Kl ? 0 : 7, loss == RetrieverLoss.Kl ? 1 : 8);
        }
    }

    [Fact]
    public void A_training_goes_on_where_it_stopped_bit_for_bit()
    {
        using var folder = new TemporaryFolder();
        RetrievalCollection collection = Collection();
        float[] Train(long first)
        {
            string file = folder.File($"{first}.safetensors");
            for (long steps = first; ;)
            {
                ITextScorer scorer = Scorer("inference-free");
                using nn.Module module = scorer.Module;
                using var stop = new CancellationTokenSource();
                using TrainingLoop loop = RetrieverTraining.Loop(
                    scorer, new(collection, batch: 4), Options(steps: 20, checkpoint: file), hooks: new() { OnStep = (l, _) => { if (l.Done == steps) stop.Cancel(); } });
                if (File.Exists(file)) loop.Load(file);
                try
                {
                    loop.Run(cancel: stop.Token);
                    return [.. module.parameters().SelectMany(p => p.data<float>().ToArray())];
                }
                catch (OperationCanceledException)
                {
                    steps = -1;
                }
            }
        }

        Assert.Equal(Train(-1), Train(7));
    }

    [Fact]
    public void A_collapse_stops_and_names_lambda()
    {
        RetrievalCollection collection = Collection();
        ITextScorer scorer = Scorer("inference-free");
        using (scorer.Module)
        {
            using TrainingLoop loop = RetrieverTraining.Loop(scorer, new(collection, batch: 8), Options(steps: 400, lambda: 1e5));
            Assert.Contains("lambda below 1E+05", Assert.Throws<DivergenceException>(() => loop.Run()).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Pairs_are_those_of_the_best_grade_and_relevant_documents_are_masked()
    {
        RetrievalCollection collection = new(
            "small", [.. "abcd".Select(c => new RetrievalDocument($"{c}", $"{c}"))], [new("q", "x"), new("r", "y"), new("none", "z")],
            new([new("q", "a", 2), new("q", "b", 2), new("q", "c", 1), new("q", "unknown", 2), new("r", "d", 1), new("r", "a", 0)]));
        var pairs = new TrainingPairs(collection, batch: 2);
        Assert.Equal([(0, 0), (0, 1), (1, 3)], pairs.Pairs);
        using DisposeScope scope = NewDisposeScope();
        Assert.Equal([true, true, true, false, false, false, false, true], pairs.Relevant([0, 1], [0, 1, 2, 3]).data<bool>().ToArray());
        Assert.Equal(pairs.At(5).Input.data<long>().ToArray(), pairs.At(5).Input.data<long>().ToArray());
        var run = new Run([KeyValuePair.Create<string, IReadOnlyList<RankedDocument>>("r", [new("a", 3), new("d", 2), new("c", 1), new("gone", 0.5), new("b", 0.1)])]);
        Assert.Equal([2, 1], HardNegatives.Mine(run, collection)["r"]);
        Assert.Equal([2], HardNegatives.Mine(run, collection, depth: 3)["r"]);
        (int[] queries, int[] documents) = new TrainingPairs(collection, 2, negatives: HardNegatives.Mine(run, collection)).Of(new(tensor(new long[] { 2, 0 }), tensor(0L)), perQuery: 2);
        Assert.Equal([1, 0], queries);
        Assert.Equal(4, documents.Length);
        Assert.All(documents[2..], d => Assert.Contains(d, new[] { 1, 2 }));
        Assert.Throws<ArgumentOutOfRangeException>("batch", () => new TrainingPairs(collection, batch: 1));
        Assert.Throws<ArgumentException>("collection", () => new TrainingPairs(collection.With([new("none", "z")])));
    }

    [Fact]
    public void Settings_are_checked()
    {
        RetrievalCollection collection = Collection();
        ITextScorer scorer = Scorer("inference-free");
        using (scorer.Module)
        {
            var pairs = new TrainingPairs(collection, batch: 4);
            Assert.Throws<ArgumentException>("teacher", () => RetrieverTraining.Loop(scorer, pairs, Options() with { Loss = RetrieverLoss.Kl }));
            Assert.Throws<ArgumentException>("teacher", () => RetrieverTraining.Loop(scorer, pairs, Options(), (_, _) => zeros(1, 1)));
            Assert.Throws<ArgumentOutOfRangeException>("lambda", () => RetrieverTraining.Loop(scorer, pairs, Options(lambda: -1)));
            Assert.Throws<ArgumentOutOfRangeException>("ramp", () => RetrieverTraining.Loop(scorer, pairs, Options() with { Ramp = 0 }));
            Assert.Throws<ArgumentOutOfRangeException>("Negatives", () => RetrieverTraining.Loop(scorer, pairs, Options() with { Loss = RetrieverLoss.MarginMse }, (_, _) => zeros(1, 1)));
            using TrainingLoop loop = RetrieverTraining.Loop(scorer, pairs, Options() with { Loss = RetrieverLoss.Kl }, (_, _) => zeros(1, 1));
            Assert.Throws<ArgumentException>("teacher", () => loop.Run());
        }
    }

    [Fact]
    public void Hidden_words_are_learned()
    {
        using BertEncoder body = Body();
        using var model = new SpladeEncoder(body, new VocabularyHead(body));
        using TrainingLoop loop = MaskedLanguageTraining.Loop(model, [.. s_documents.Select((d, i) => $"the {d} is {s_queries[i]} here")], new() { Steps = 200, LearningRate = 1e-2, WarmUp = 10, WeightDecay = 0 }, batch: 8, share: 0.3);
        TrainingResult result = loop.Run();
        Assert.InRange(result.RecentLoss(20), 0, 0.75 * result.History.Take(20).Average(s => s.Loss));
        Assert.Throws<ArgumentOutOfRangeException>("share", () => MaskedLanguageTraining.Loop(model, ["the"], share: 1));
        Assert.Throws<ArgumentException>("texts", () => MaskedLanguageTraining.Loop(model, [""]));
    }
}
