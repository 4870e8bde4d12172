using Sparseland.Tensors;

namespace Sparseland.Retrieval.Feedback;

/// <summary>How the scores of a list are brought to one scale before they are summed, query by query and list by list.</summary>
public enum NormaliseScores
{
    /// <summary>(s - min) / (max - min); a constant list becomes 1. What papers on interpolation mean.</summary>
    MinMax,

    /// <summary>(s - (min + max) / 2) / (max - min), so from -1/2 to 1/2; a constant list becomes 1/2.</summary>
    Centred,

    /// <summary>As they are. A sum of BM25 and a cosine is then BM25.</summary>
    None,
}

/// <summary>What a document counts in a list that lacks it.</summary>
public enum AbsentScore
{
    /// <summary>0 after scaling; under min-max that is the list's own minimum.</summary>
    Zero,

    /// <summary>The list's least score, scaled like the others.</summary>
    ListMinimum,
}

/// <summary>A fused run and what was met on the way.</summary>
/// <param name="Run">Fused lists, best first.</param>
/// <param name="ConstantLists">Number of lists of two and more documents whose scores are all equal, so that scaling says nothing.</param>
/// <param name="QueriesLeftOut">Number of queries that stand in some of the runs only and were left out.</param>
public sealed record FusedRun(Run Run, int ConstantLists, int QueriesLeftOut);

/// <summary>
/// Makes one list of several, over the union of their documents: reciprocal ranks (Cormack et al. 2009) or weighted sums of scores. Lists
/// keep the order of results: score, then document number.
/// </summary>
public abstract class Fusion
{
    private protected Fusion()
    {
    }

    /// <summary>Reciprocal rank fusion: the sum over lists of 1 / (constant + rank), ranks from 1, absent 0.</summary>
    /// <param name="constant">Above 0. Default 60.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not a finite number above 0.</exception>
    public static Fusion ReciprocalRank(double constant = 60) => new ReciprocalRankFusion(constant);

    /// <summary>The interpolation alpha * first + (1 - alpha) * second of two lists. At 0 and at 1 it is one list alone, with its own documents.</summary>
    /// <param name="alpha">Weight of the first list, in [0, 1].</param>
    /// <param name="normalise">Scaling of each list. Default min-max.</param>
    /// <param name="absent">What a missing document counts; null, the default, for 0 and, in the centred scale, the list's minimum.</param>
    /// <exception cref="ArgumentOutOfRangeException">alpha outside, or no such rule.</exception>
    public static Fusion Weighted(double alpha, NormaliseScores normalise = NormaliseScores.MinMax, AbsentScore? absent = null)
    {
        if (!(alpha is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "A mixing weight lies in [0, 1].");
        return new WeightedFusion([alpha, 1 - alpha], normalise, absent);
    }

    /// <summary>A weighted sum of two or more lists.</summary>
    /// <param name="weights">One for each list, finite, at least 0, not all 0. A list of weight 0 gives no documents.</param>
    /// <param name="normalise">Scaling of each list. Default min-max.</param>
    /// <param name="absent">What a missing document counts; null, the default, for 0 and, in the centred scale, the list's minimum.</param>
    /// <exception cref="ArgumentException">Fewer than two weights, or one out of its range.</exception>
    public static Fusion Sum(IReadOnlyList<double> weights, NormaliseScores normalise = NormaliseScores.MinMax, AbsentScore? absent = null)
    {
        ArgumentNullException.ThrowIfNull(weights);
        if (weights.Count < 2) throw new ArgumentException($"A sum has at least two lists, not {weights.Count}.", nameof(weights));
        if (weights.Any(w => !(w >= 0) || !double.IsFinite(w)) || weights.All(w => w == 0))
            throw new ArgumentException($"Weights are finite, at least 0 and not all 0, but are {string.Join(", ", weights)}.", nameof(weights));
        return new WeightedFusion([.. weights], normalise, absent);
    }

    /// <summary>Fuses the lists of one query.</summary>
    /// <param name="lists">Two or more, each in the order of results.</param>
    /// <returns>The union of their documents, best first.</returns>
    /// <exception cref="ArgumentException">Fewer than two lists, another number than there are weights, or a score or a sum of scores that is not finite.</exception>
    public IReadOnlyList<Hit> Fuse(IReadOnlyList<IReadOnlyList<Hit>> lists)
    {
        ArgumentNullException.ThrowIfNull(lists);
        CheckCount(lists.Count);
        var scores = new Dictionary<int, double>();
        for (int i = 0; i < lists.Count; i++)
        {
            ArgumentNullException.ThrowIfNull(lists[i]);
            foreach (Hit hit in lists[i])
            {
                if (!double.IsFinite(hit.Score)) throw new ArgumentException($"List {i}: document {hit.Document} has the score {hit.Score}; scores are finite.", nameof(lists));
                if (Gives(i)) scores.TryAdd(hit.Document, 0);
            }
        }

        var seen = new HashSet<int>();
        for (int i = 0; i < lists.Count; i++)
        {
            // Every document takes the lists in their order, so that a sum does not depend on who found it first.
            seen.Clear();
            Func<int, double> part = Part(i, lists[i], out double absent);
            for (int rank = 0; rank < lists[i].Count; rank++)
            {
                int document = lists[i][rank].Document;
                if (!seen.Add(document)) throw new ArgumentException($"List {i} holds document {document} twice.", nameof(lists));
                if (scores.TryGetValue(document, out double sum)) scores[document] = sum + part(rank);
            }

            if (absent == 0) continue;
            foreach (int document in scores.Keys.ToArray())
            {
                if (!seen.Contains(document)) scores[document] += absent;
            }
        }

        foreach ((int document, double score) in scores)
        {
            if (!double.IsFinite(score)) throw new ArgumentException($"The sum of document {document}'s scores leaves float64; scale the lists first.", nameof(lists));
        }

        Hit[] fused = [.. scores.Select(s => new Hit(s.Key, s.Value))];
        Array.Sort(fused);
        return fused;
    }

    /// <summary>Fuses runs.</summary>
    /// <param name="runs">Two or more over the same queries.</param>
    /// <param name="number">
    /// Number of a document by its id, as <see cref="RetrievalCollection.Find"/> gives it, which parts equal scores; null, the default, parts
    /// them by id, ordinal and ascending.
    /// </param>
    /// <param name="depth">Longest list that is kept, at least 1; null, the default, for the longest one that comes in.</param>
    /// <param name="intersect">Takes the queries that all runs have and counts the others. Default false: runs over other queries are refused.</param>
    /// <param name="name">Name of the fused run; null, the default, for the names of the runs with " + ".</param>
    /// <exception cref="ArgumentException">
    /// Fewer than two runs or another number than there are weights, runs over different queries, or a document without a number.
    /// </exception>
    public FusedRun Fuse(IReadOnlyList<Run> runs, Func<string, int?>? number = null, int? depth = null, bool intersect = false, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(runs);
        CheckCount(runs.Count);
        if (depth < 1) throw new ArgumentOutOfRangeException(nameof(depth), depth, "A depth is at least 1.");
        string[] queries = [.. runs[0].Queries.Where(q => runs.All(r => r.Has(q)))];
        int all = runs.SelectMany(r => r.Queries).Distinct(StringComparer.Ordinal).Count();
        if (all != queries.Length && !intersect)
        {
            string missing = runs.SelectMany(r => r.Queries).First(q => runs.Any(r => !r.Has(q)));
            throw new ArgumentException(
                $"The runs are over different queries: '{missing}' is in '{runs.First(r => r.Has(missing)).Name}' and not in '{runs.First(r => !r.Has(missing)).Name}'. intersect takes those that all have.", nameof(runs));
        }

        int constant = 0;
        var lists = new List<KeyValuePair<string, IReadOnlyList<RankedDocument>>>(queries.Length);
        foreach (string query in queries)
        {
            IReadOnlyList<RankedDocument>[] parts = [.. runs.Select(r => r[query])];
            constant += parts.Count(p => p.Count > 1 && p.All(d => d.Score == p[0].Score));
            lists.Add(KeyValuePair.Create(query, FuseOne(parts, number, depth ?? Math.Max(1, parts.Max(p => p.Count)))));
        }

        return new(new Run(lists, name ?? string.Join(" + ", runs.Select(r => r.Name))), constant, all - queries.Length);
    }

    /// <summary>Number of lists that it takes; null for any number from two on.</summary>
    private protected virtual int? Lists => null;

    /// <summary>Whether a list's documents take part.</summary>
    private protected virtual bool Gives(int list) => true;

    /// <summary>What a rank of a list adds, and what a document adds that the list lacks.</summary>
    private protected abstract Func<int, double> Part(int list, IReadOnlyList<Hit> hits, out double absent);

    private void CheckCount(int count)
    {
        if (count < 2) throw new ArgumentException($"At least two are fused, not {count}.", nameof(count));
        if (Lists is { } wanted && wanted != count) throw new ArgumentException($"{this} takes {wanted} lists, not {count}.", nameof(count));
    }

    private IReadOnlyList<RankedDocument> FuseOne(IReadOnlyList<RankedDocument>[] parts, Func<string, int?>? number, int depth)
    {
        string[] ids = [.. parts.SelectMany(p => p.Select(d => d.Id)).Distinct(StringComparer.Ordinal)];
        if (number is null) Array.Sort(ids, StringComparer.Ordinal);
        else ids = [.. ids.OrderBy(id => number(id) ?? throw new ArgumentException($"The document '{id}' of a run has no number in the collection.", nameof(number)))];
        var places = new Dictionary<string, int>(ids.Length, StringComparer.Ordinal);
        for (int i = 0; i < ids.Length; i++) places.Add(ids[i], i);
        return [.. Fuse([.. parts.Select(p => (IReadOnlyList<Hit>)[.. p.Select(d => new Hit(places[d.Id], d.Score))])]).Take(depth).Select(h => new RankedDocument(ids[h.Document], h.Score))];
    }
}

internal sealed class ReciprocalRankFusion : Fusion
{
    private readonly double _constant;

    public ReciprocalRankFusion(double constant)
    {
        Finite.Positive(constant);
        _constant = constant;
    }

    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"reciprocal ranks ({_constant})");

    private protected override Func<int, double> Part(int list, IReadOnlyList<Hit> hits, out double absent)
    {
        absent = 0;
        return rank => 1 / (_constant + rank + 1);
    }
}

internal sealed class WeightedFusion : Fusion
{
    private readonly double[] _weights;
    private readonly NormaliseScores _normalise;
    private readonly AbsentScore _absent;

    public WeightedFusion(double[] weights, NormaliseScores normalise, AbsentScore? absent)
    {
        if (!Enum.IsDefined(normalise)) throw new ArgumentOutOfRangeException(nameof(normalise), normalise, "No such scale.");
        if (absent is { } rule && !Enum.IsDefined(rule)) throw new ArgumentOutOfRangeException(nameof(absent), absent, "No such rule.");
        (_weights, _normalise) = (weights, normalise);
        _absent = absent ?? (normalise == NormaliseScores.Centred ? AbsentScore.ListMinimum : AbsentScore.Zero);
    }

    private protected override int? Lists => _weights.Length;

    public override string ToString() => string.Create(
        System.Globalization.CultureInfo.InvariantCulture, $"weighted sum ({string.Join(", ", _weights.Select(w => w.ToString("0.###", System.Globalization.CultureInfo.InvariantCulture)))}; {_normalise})");

    private protected override bool Gives(int list) => _weights[list] > 0;

    private protected override Func<int, double> Part(int list, IReadOnlyList<Hit> hits, out double absent)
    {
        double weight = _weights[list];
        absent = 0;
        if (weight == 0 || hits.Count == 0) return _ => 0;
        double low = hits.Min(h => h.Score), high = hits.Max(h => h.Score);
        // Of halves: the distance of the largest from the smallest float64 is none.
        // Where the halves of the smallest numbers are one, what is above the least is the largest.
        double Share(double score) => !(high > low) ? 1 : high / 2 > low / 2 ? ((score / 2) - (low / 2)) / ((high / 2) - (low / 2)) : score > low ? 1 : 0;
        double Scaled(double score) => _normalise switch
        {
            NormaliseScores.None => score,
            NormaliseScores.MinMax => Share(score),
            _ => Share(score) - 0.5,
        };
        if (_absent == AbsentScore.ListMinimum) absent = weight * Scaled(low);
        return rank => weight * Scaled(hits[rank].Score);
    }
}
