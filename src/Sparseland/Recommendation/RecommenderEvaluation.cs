using System.Globalization;
using Sparseland.Evaluation;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Recommendation;

/// <summary>What can score all items for some users.</summary>
public interface IRecommender
{
    /// <summary>Scores, higher for what is recommended more; no gradients are kept.</summary>
    /// <param name="users">Numbers of users.</param>
    /// <returns>[users, items]; the caller disposes it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such user.</exception>
    Tensor Scores(IReadOnlyList<int> users);
}

/// <summary>How well the held-out items of each user are ranked.</summary>
/// <param name="K">Ranks that count.</param>
/// <param name="Users">Users with a held-out item; the others are in no average.</param>
/// <param name="Recall">Share of a user's held-out items within the first K.</param>
/// <param name="Ndcg">Normalised discounted cumulative gain of a user's first K.</param>
public sealed record RecommendationReport(int K, IReadOnlyList<int> Users, IReadOnlyList<double> Recall, IReadOnlyList<double> Ndcg)
{
    /// <summary>Mean recall over users.</summary>
    public double MeanRecall => Recall.Average();

    /// <summary>Mean nDCG over users.</summary>
    public double MeanNdcg => Ndcg.Average();

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"Recall@{K} {MeanRecall:0.0000}, NDCG@{K} {MeanNdcg:0.0000}, {Users.Count} users");
}

/// <summary>Recall@K and NDCG@K over all items that a user has not been seen with in training: no sampled candidates.</summary>
public static class RecommenderEvaluation
{
    private const int UsersAtOnce = 256;

    /// <summary>Ranks all unseen items for each user with held-out ones; equal scores go to the lower item.</summary>
    /// <param name="recommender">The model.</param>
    /// <param name="seen">Interactions that are taken out of the ranking: those of training.</param>
    /// <param name="heldOut">Interactions that should be found.</param>
    /// <param name="k">Ranks that count. Default 20.</param>
    /// <param name="cancel">Checked for every 256 users.</param>
    /// <exception cref="ArgumentException">Other users or items, a pair that is seen and held out, no held-out pair, or a NaN score.</exception>
    public static RecommendationReport Of(IRecommender recommender, Interactions seen, Interactions heldOut, int k = 20, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(recommender);
        ArgumentNullException.ThrowIfNull(seen);
        ArgumentNullException.ThrowIfNull(heldOut);
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        if (seen.Users != heldOut.Users || seen.Items != heldOut.Items) throw new ArgumentException("Seen and held-out interactions are of other users and items.", nameof(heldOut));
        if (seen.Pairs.Intersect(heldOut.Pairs).Count is > 0 and int both) throw new ArgumentException($"{both} held-out pairs are also seen; they could never be found.", nameof(heldOut));
        int[] users = [.. Enumerable.Range(0, heldOut.Users).Where(user => !heldOut.Pairs.Row(user).IsEmpty)];
        if (users.Length == 0) throw new ArgumentException("No user has a held-out item; there is nothing to measure.", nameof(heldOut));
        var (recall, ndcg) = (new double[users.Length], new double[users.Length]);
        for (int from = 0; from < users.Length; from += UsersAtOnce)
        {
            cancel.ThrowIfCancellationRequested();
            int[] some = users[from..Math.Min(users.Length, from + UsersAtOnce)];
            using DisposeScope scope = NewDisposeScope();
            Tensor scores = recommender.Scores(some).to(ScalarType.Float32).contiguous();
            if (!scores.shape.SequenceEqual([some.Length, seen.Items])) throw new ArgumentException($"Scores are [{string.Join(", ", scores.shape)}] for {some.Length} users and {seen.Items} items.", nameof(recommender));
            float[] all = scores.data<float>().ToArray();
            for (int i = 0; i < some.Length; i++)
            {
                int[] grades = Grades(all.AsSpan(i * seen.Items, seen.Items), seen.Pairs.Row(some[i]), heldOut.Pairs.Row(some[i]), k);
                int[] judged = new int[heldOut.Pairs.Row(some[i]).Length];
                Array.Fill(judged, 1);
                recall[from + i] = RankingMetrics.Recall(grades, judged.Length, k);
                ndcg[from + i] = RankingMetrics.Ndcg(grades, judged, k);
            }
        }

        return new(k, users, recall, ndcg);
    }

    /// <summary>Whether each of a user's first k unseen items is held out.</summary>
    private static int[] Grades(Span<float> scores, ReadOnlySpan<int> seen, ReadOnlySpan<int> heldOut, int k)
    {
        // Unseen items move together, and no score is changed: a model may itself say minus infinity of what it rules out.
        int[] items = new int[scores.Length - seen.Length];
        for (int item = 0, kept = 0, next = 0; item < scores.Length; item++)
        {
            if (float.IsNaN(scores[item])) throw new ArgumentException($"The score of item {item} is NaN.", nameof(scores));
            if (next < seen.Length && seen[next] == item)
            {
                next++;
                continue;
            }

            (items[kept], scores[kept]) = (item, scores[item]);
            kept++;
        }

        int[] best = Select.TopK(scores[..items.Length], Budget.Global(Math.Min(k, items.Length))).ColumnIndices.ToArray();
        float[] keys = new float[best.Length];
        for (int i = 0; i < best.Length; i++) keys[i] = scores[best[i]];

        // Stable: equal scores stay in the order of the items.
        int[] ranks = [.. Enumerable.Range(0, best.Length).OrderByDescending(i => keys[i])];
        int[] grades = new int[best.Length];
        for (int rank = 0; rank < grades.Length; rank++) grades[rank] = heldOut.BinarySearch(items[best[ranks[rank]]]) >= 0 ? 1 : 0;
        return grades;
    }
}

/// <summary>Recommends what most users had to do with: the baseline that knows nobody.</summary>
public sealed class PopularityRecommender : IRecommender
{
    private readonly float[] _counts;
    private readonly int _users;

    /// <summary>Counts.</summary>
    /// <param name="training">The interactions that are counted.</param>
    public PopularityRecommender(Interactions training)
    {
        ArgumentNullException.ThrowIfNull(training);
        _counts = [.. training.ItemDegrees().Select(n => (float)n)];
        _users = training.Users;
    }

    /// <inheritdoc/>
    public Tensor Scores(IReadOnlyList<int> users)
    {
        Interactions.CheckUsers(users, _users);
        using DisposeScope scope = NewDisposeScope();
        return tensor(_counts).repeat([users.Count, 1]).MoveToOuterDisposeScope();
    }
}
