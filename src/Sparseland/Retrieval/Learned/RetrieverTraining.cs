using Sparseland.Solvers;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>What a retriever learns from.</summary>
public enum RetrieverLoss
{
    /// <summary>Labels: the softmax over the batch's documents should name the positive.</summary>
    InfoNce,

    /// <summary>The teacher's distribution over the batch's documents.</summary>
    Kl,

    /// <summary>Both, added.</summary>
    InfoNceAndKl,

    /// <summary>The teacher's margin between the positive and the query's first hard negative.</summary>
    MarginMse,
}

/// <summary>Settings of <see cref="RetrieverTraining"/>.</summary>
public sealed record RetrieverTrainingOptions
{
    /// <summary>Steps, rates, checkpoints. Default 300 steps at 1e-3, warm-up 30, no decay of weights.</summary>
    public TrainingOptions Training { get; init; } = new() { Steps = 300, LearningRate = 1e-3, WarmUp = 30, WeightDecay = 0, LinearDecay = true, FinalRate = 0, Beta2 = 0.999 };

    /// <summary>What is learned from. Default labels.</summary>
    public RetrieverLoss Loss { get; init; }

    /// <summary>lambda of the FLOPS penalty of documents; 0 for a dense retriever. Default 0.05.</summary>
    public double Lambda { get; init; } = 0.05;

    /// <summary>lambda of the FLOPS penalty of queries, where a network writes them. Default 0.</summary>
    public double QueryLambda { get; init; }

    /// <summary>T, steps over which the penalty grows quadratically, at least 1. Default 100.</summary>
    public long Ramp { get; init; } = 100;

    /// <summary>Hard negatives of each query a step. Default 0: the batch's other documents alone.</summary>
    public int Negatives { get; init; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Training);
        Training.Validate();
        if (!Enum.IsDefined(Loss)) throw new ArgumentOutOfRangeException(nameof(Loss), Loss, "There is no such loss.");
        FlopsPenalty.WeightAt(Lambda, Ramp, 0);
        FlopsPenalty.WeightAt(QueryLambda, Ramp, 0);
        ArgumentOutOfRangeException.ThrowIfNegative(Negatives);
        if (Loss == RetrieverLoss.MarginMse && Negatives < 1) throw new ArgumentOutOfRangeException(nameof(Negatives), Negatives, "MarginMse needs a hard negative of each query.");
    }
}

/// <summary>
/// Trains any <see cref="ITextScorer"/> on pairs: the batch's documents are the candidates of each of its queries, those that are relevant to another
/// query as well are left out, and sparse vectors pay the FLOPS penalty. Runs in <see cref="TrainingLoop"/>, so it goes on from checkpoints.
/// </summary>
public static class RetrieverTraining
{
    /// <summary>A loop that trains a retriever.</summary>
    /// <param name="scorer">The retriever.</param>
    /// <param name="pairs">What it learns from.</param>
    /// <param name="options">Settings; null, the default, for those of the record.</param>
    /// <param name="teacher">
    /// Logits of the teacher for queries and documents by their numbers in the collection [queries, documents]; needed where the loss asks for one. See
    /// <see cref="EnsembleTeacher"/>. Null, the default, for none.
    /// </param>
    /// <param name="hooks">Evaluation and callbacks; null, the default, for none.</param>
    /// <returns>The loop; run and dispose it. Its loss is that of the ranking and the weighted penalties together.</returns>
    /// <exception cref="ArgumentException">A setting is out of its range, or a teacher is missing or one too many.</exception>
    public static TrainingLoop Loop(
        ITextScorer scorer, TrainingPairs pairs, RetrieverTrainingOptions? options = null, Func<IReadOnlyList<int>, IReadOnlyList<int>, Tensor>? teacher = null, TrainingHooks? hooks = null)
    {
        ArgumentNullException.ThrowIfNull(scorer);
        ArgumentNullException.ThrowIfNull(pairs);
        options ??= new();
        options.Validate();
        if ((options.Loss != RetrieverLoss.InfoNce) != (teacher is not null))
            throw new ArgumentException(teacher is null ? $"The loss {options.Loss} learns from a teacher; give one." : "A teacher is given, but the loss is InfoNce, which learns from labels alone.", nameof(teacher));
        if (!scorer.Sparse && (options.Lambda > 0 || options.QueryLambda > 0)) options = options with { Lambda = 0, QueryLambda = 0 };
        var documents = new Dictionary<int, int[]>();
        var queries = new Dictionary<int, int[]>();
        int[] Document(int n) => documents.TryGetValue(n, out int[]? ids) ? ids : documents[n] = scorer.TokenizeDocument(pairs.Collection.Documents[n].Contents);
        int[] Query(int n) => queries.TryGetValue(n, out int[]? ids) ? ids : queries[n] = scorer.TokenizeQuery(pairs.Collection.Queries[n].Text);

        TrainingLoop? loop = null;

        // Held while the calls that read them run.
        Scalar scale = scorer.Scale;
        Tensor Loss(Batch batch)
        {
            (int[] asked, int[] offered) = pairs.Of(batch, options.Negatives);
            if (offered.Length < 2) throw new ArgumentException("A batch with one document has no negative.", nameof(pairs));
            Tensor q = scorer.Queries([.. asked.Select(Query)]), d = scorer.Documents([.. offered.Select(Document)]);
            Tensor scores = q.MatMul(d.t()) * scale, loss = Ranking(scores, asked, offered, pairs, options, teacher);
            double weight = FlopsPenalty.WeightAt(options.Lambda, options.Ramp, loop!.Done), own = FlopsPenalty.WeightAt(options.QueryLambda, options.Ramp, loop.Done);
            if (weight > 0 && d.detach().abs().sum().item<float>() == 0)
                throw new DivergenceException($"All documents of the batch of step {loop.Done + 1} have empty vectors: the penalty has won. Take a lambda below {options.Lambda:G3}.");
            Scalar ofDocuments = weight, ofQueries = own;
            if (weight > 0) loss = loss + (FlopsPenalty.Of(d) * ofDocuments);
            if (own > 0) loss = loss + (FlopsPenalty.Of(q) * ofQueries);
            GC.KeepAlive(ofDocuments);
            GC.KeepAlive(ofQueries);
            return loss;
        }

        return loop = new(scorer.Module, pairs, Loss, options.Training, hooks);
    }

    private static Tensor Ranking(
        Tensor scores, int[] asked, int[] offered, TrainingPairs pairs, RetrieverTrainingOptions options, Func<IReadOnlyList<int>, IReadOnlyList<int>, Tensor>? teacher)
    {
        Tensor positives = arange(0, asked.Length, dtype: ScalarType.Int64);
        Tensor Labels() => RankingLosses.InfoNce(scores, positives, pairs.Relevant(asked, offered));
        if (options.Loss == RetrieverLoss.InfoNce) return Labels();
        Tensor logits = teacher!(asked, offered);
        if (!logits.shape.SequenceEqual(scores.shape))
            throw new ArgumentException($"The teacher gave [{string.Join(", ", logits.shape)}] scores for {asked.Length} queries and {offered.Length} documents.", nameof(teacher));
        if (options.Loss == RetrieverLoss.Kl) return RankingLosses.Kl(logits, scores);
        if (options.Loss == RetrieverLoss.InfoNceAndKl) return Labels() + RankingLosses.Kl(logits, scores);

        // Hard negatives stand behind the positives, those of a query together; queries without one have no margin.
        int place = asked.Length;
        var (rows, columns) = (new List<long>(), new List<long>());
        for (int q = 0; q < asked.Length; q++)
        {
            if (pairs.Negatives[asked[q]].Count == 0) continue;
            rows.Add(q);
            columns.Add(place);
            place += options.Negatives;
        }

        if (rows.Count == 0) throw new ArgumentException("No query of a batch has a hard negative, which MarginMse compares with.", nameof(pairs));
        Tensor at = tensor(rows.ToArray()), negative = tensor(columns.ToArray());
        Tensor Pick(Tensor s, Tensor column) => s.index_select(0, at).gather(1, column.unsqueeze(1)).squeeze(1);
        return RankingLosses.MarginMse(Pick(logits, at), Pick(logits, negative), Pick(scores, at), Pick(scores, negative));
    }
}
