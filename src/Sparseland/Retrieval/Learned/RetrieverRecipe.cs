using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Collections;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>
/// The small retrievers that the notebooks share: one vocabulary and one start by masked words, from which a dense, a siamese sparse, two inference-free
/// and a distilled retriever are trained on the signatures of the .NET documentation and the first lines of their summaries.
/// </summary>
public sealed record RetrieverRecipe
{
    /// <summary>Masked words: the start of the others.</summary>
    public const string Masked = "masked";

    /// <summary>Dense, mean pooling.</summary>
    public const string Dense = "dense";

    /// <summary>SPLADE on both sides.</summary>
    public const string Siamese = "siamese";

    /// <summary>Inference-free, every token of a query counts 1.</summary>
    public const string Binary = "binary";

    /// <summary>Inference-free, tokens of a query count their idf.</summary>
    public const string Idf = "idf";

    /// <summary>Inference-free with idf, taught by the dense and the siamese one.</summary>
    public const string Distilled = "distilled";

    /// <summary>Names of the retrievers in the order in which they are made.</summary>
    public static IReadOnlyList<string> Names { get; } = [Masked, Dense, Siamese, Binary, Idf, Distilled];

    /// <summary>Tokens of the vocabulary. Default 4096.</summary>
    public int Vocabulary { get; init; } = 4096;

    /// <summary>Width of the encoders. Default 128.</summary>
    public int Width { get; init; } = 128;

    /// <summary>Blocks. Default 2.</summary>
    public int Layers { get; init; } = 2;

    /// <summary>Heads. Default 4.</summary>
    public int Heads { get; init; } = 4;

    /// <summary>Longest text in tokens: shorter ones lose parameter names. Default 48.</summary>
    public int Context { get; init; } = 48;

    /// <summary>Steps on masked words. Default 2000.</summary>
    public long MaskedSteps { get; init; } = 2000;

    /// <summary>Steps of each retriever. Default 1500.</summary>
    public long Steps { get; init; } = 1500;

    /// <summary>Pairs a step. Default 64.</summary>
    public int Batch { get; init; } = 64;

    /// <summary>Highest learning rate. Default 2e-3.</summary>
    public double LearningRate { get; init; } = 2e-3;

    /// <summary>lambda of the FLOPS penalty where labels teach. Default 0.05.</summary>
    public double Lambda { get; init; } = 0.05;

    /// <summary>lambda of the FLOPS penalty where teachers do. Default 0.01.</summary>
    public double DistilledLambda { get; init; } = 0.01;

    /// <summary>Seed of weights and order. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Learns the vocabulary on the words of documents and queries of training types.</summary>
    /// <param name="documentation">The documentation.</param>
    /// <param name="cancel">Checked all the time. Never by default.</param>
    public IReadOnlyList<string> Words(DotNetDocCollection documentation, CancellationToken cancel = default) =>
        WordPieceTrainer.Train(Texts(documentation), Vocabulary, cancel: cancel);

    /// <summary>A fresh encoder.</summary>
    /// <param name="words">The vocabulary.</param>
    public BertEncoder Body(IReadOnlyList<string> words) =>
        new(new() { Vocabulary = words.Count, Width = Width, MlpWidth = 4 * Width, Layers = Layers, Heads = Heads, Context = Context }, words, Seed) { Pooling = Pooling.Mean };

    /// <summary>The loop on masked words, over cards of training types.</summary>
    /// <param name="documentation">The documentation.</param>
    /// <param name="model">Encoder and head.</param>
    /// <param name="checkpoint">File of the checkpoint; null, the default, for none.</param>
    /// <param name="every">Steps between checkpoints. Default 100.</param>
    public TrainingLoop MaskedLoop(DotNetDocCollection documentation, SpladeEncoder model, string? checkpoint = null, long every = 100) =>
        MaskedLanguageTraining.Loop(model, Texts(documentation), Training(MaskedSteps, 0.01, checkpoint, every), batch: 64);

    /// <summary>The loop of a retriever.</summary>
    /// <param name="pairs">Training pairs whose names are split.</param>
    /// <param name="scorer">The retriever.</param>
    /// <param name="teacher">Logits of teachers; null, the default, where labels teach.</param>
    /// <param name="checkpoint">File of the checkpoint; null, the default, for none.</param>
    /// <param name="every">Steps between checkpoints. Default 100.</param>
    public TrainingLoop Loop(TrainingPairs pairs, ITextScorer scorer, Func<IReadOnlyList<int>, IReadOnlyList<int>, Tensor>? teacher = null, string? checkpoint = null, long every = 100)
    {
        ArgumentNullException.ThrowIfNull(scorer);
        double lambda = teacher is null ? Lambda : DistilledLambda;
        return RetrieverTraining.Loop(scorer, pairs, new()
        {
            Training = Training(Steps, 0, checkpoint, every), Loss = teacher is null ? RetrieverLoss.InfoNce : RetrieverLoss.Kl, Ramp = Math.Max(1, Steps / 3),
            Lambda = scorer.Sparse ? lambda : 0, QueryLambda = scorer is SpladeEncoder ? lambda : 0,
        }, teacher);
    }

    /// <summary>Training pairs: signatures and summaries of training types, names split.</summary>
    /// <param name="documentation">The documentation.</param>
    public TrainingPairs Pairs(DotNetDocCollection documentation)
    {
        ArgumentNullException.ThrowIfNull(documentation);
        return new(CamelCaseText.Split(documentation.Collection(DocView.Signatures, DocQueryKind.Summary, DocSplit.Train)), Batch, Seed);
    }

    /// <summary>Logits of a teacher that is the scaled average of retrievers (Geng et al. 2024).</summary>
    /// <param name="pairs">Training pairs of the same collection.</param>
    /// <param name="teachers">The retrievers.</param>
    /// <param name="scale">What averages are multiplied with. Default 30.</param>
    /// <param name="normalise">Whether each list is scaled first. Default true.</param>
    public static Func<IReadOnlyList<int>, IReadOnlyList<int>, Tensor> Teacher(TrainingPairs pairs, IReadOnlyList<ITextScorer> teachers, double scale = 30, bool normalise = true)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        ArgumentNullException.ThrowIfNull(teachers);
        return (queries, documents) =>
        {
            using IDisposable off = no_grad();
            using DisposeScope scope = NewDisposeScope();
            Tensor[] scores = [.. teachers.Select(t => t.Queries([.. queries.Select(q => t.TokenizeQuery(pairs.Collection.Queries[q].Text))])
                .MatMul(t.Documents([.. documents.Select(d => t.TokenizeDocument(pairs.Collection.Documents[d].Contents))]).t()))];
            return EnsembleTeacher.Combine(scores, scale, normalise).MoveToOuterDisposeScope();
        };
    }

    private static string[] Texts(DotNetDocCollection documentation)
    {
        ArgumentNullException.ThrowIfNull(documentation);
        HashSet<string> other = [.. documentation.Queries.Where(q => q.Split != DocSplit.Train).SelectMany(q => q.Judgements).Where(j => j.Grade == 2).Select(j => j.Document)];
        return [.. documentation.Documents(DocView.Cards).Where(d => !other.Contains(d.Id)).Select(d => CamelCaseText.Split(d.Contents))];
    }

    private TrainingOptions Training(long steps, double decay, string? checkpoint, long every) => new()
    {
        Steps = steps, LearningRate = LearningRate, WarmUp = steps / 20, WeightDecay = decay, LinearDecay = true, FinalRate = 0, Beta2 = 0.999, Seed = Seed,
        Checkpoint = checkpoint, CheckpointEvery = checkpoint is null ? 0 : every,
    };
}
