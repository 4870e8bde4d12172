using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Prefill;

/// <summary>By what a head's shape is chosen.</summary>
public enum SearchCriterion
{
    /// <summary>The smallest error of the attention's output: the paper's.</summary>
    OutputError,

    /// <summary>The largest recall of attention mass: the released code's.</summary>
    MassRecall,
}

/// <summary>One candidate in one head.</summary>
/// <param name="Layer">Block.</param>
/// <param name="Head">Query head.</param>
/// <param name="Pattern">The shape.</param>
/// <param name="Recall">Mean attention mass on computed keys.</param>
/// <param name="OutputError">norm(O' - O) / norm(O).</param>
/// <param name="Density">Computed cells over causal ones.</param>
public sealed record PatternScore(int Layer, int Head, HeadPattern Pattern, double Recall, double OutputError, double Density);

/// <summary>Decides the shape of each head once, on recorded queries, keys and values, at a budget of computed cells that all candidates share.</summary>
public static class PatternSearch
{
    /// <summary>Tries every candidate in every head of a block.</summary>
    /// <param name="layer">Block, for the scores.</param>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, tokens, headDim].</param>
    /// <param name="v">Values [batch, keyValueHeads, tokens, headDim].</param>
    /// <param name="candidates">Shapes, of about equal computed cells.</param>
    /// <param name="options">How indices are estimated, and whether selected cells alone are computed; null for the defaults.</param>
    /// <param name="skip">First queries that do not count; null, the default, for an eighth.</param>
    /// <param name="cancel">Checked between candidates.</param>
    /// <exception cref="ArgumentException">No candidate, or shapes that do not fit.</exception>
    public static IReadOnlyList<PatternScore> Try(int layer, Tensor q, Tensor k, Tensor v, IReadOnlyList<HeadPattern> candidates, MInferenceOptions? options = null, int? skip = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(candidates);
        options ??= new();
        if (candidates.Count == 0) throw new ArgumentException("There is no candidate.", nameof(candidates));
        (int batch, int heads, _, _, _, _, _) = AttentionShape.Of(q, k, v, causal: true);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (Tensor Output, Tensor LogSumExp) exact = ExactAttention.Attend(q, k, v);
        List<PatternScore> scores = [];
        foreach (HeadPattern candidate in candidates)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope inner = NewDisposeScope();
            double[] density;
            (Tensor, Tensor) kept;
            if (options.Exact)
            {
                AttentionSupport support = PatternEstimator.Select([candidate], q, k, options);
                density = [.. support.Heads.Select(s => s.Count / (double)AttentionCost.Cells(support.Tokens))];
                kept = SparseAttention.Attend(q, k, v, support, emptyRows: true);
            }
            else
            {
                IReadOnlyList<BlockSupport> blocks = PatternEstimator.Estimate([candidate], q, k, options);
                density = [.. blocks.Select(b => b.Density)];
                kept = SparseAttention.Attend(q, k, v, blocks);
            }

            AttentionErrors errors = AttentionError.Of(exact, kept, skip);
            double Mean(IReadOnlyList<double> all, int head) => Enumerable.Range(0, batch).Average(b => all[(b * heads) + head]);
            for (int h = 0; h < heads; h++) scores.Add(new(layer, h, candidate, Mean(errors.Recall, h), Mean(errors.Output, h), Mean(density, h)));
        }

        return scores;
    }

    /// <summary>The best candidate of each head.</summary>
    /// <param name="scores">What <see cref="Try"/> found, of all blocks together.</param>
    /// <param name="criterion">By what. Default the error of the output.</param>
    /// <returns>The map; among equals the first candidate wins.</returns>
    /// <exception cref="ArgumentException">Blocks or heads are missing, or a score is NaN.</exception>
    public static HeadPatternMap Choose(IReadOnlyList<PatternScore> scores, SearchCriterion criterion = SearchCriterion.OutputError)
    {
        ArgumentNullException.ThrowIfNull(scores);
        if (!Enum.IsDefined(criterion)) throw new ArgumentOutOfRangeException(nameof(criterion), criterion, "criterion is none that is known.");
        if (scores.Count == 0) throw new ArgumentException("There are no scores.", nameof(scores));
        int layers = scores.Max(s => s.Layer) + 1, heads = scores.Max(s => s.Head) + 1;
        HeadPattern Best(int layer, int head)
        {
            PatternScore[] own = [.. scores.Where(s => s.Layer == layer && s.Head == head)];
            if (own.Length == 0) throw new ArgumentException($"Head {head} of block {layer} has no scores.", nameof(scores));
            if (own.FirstOrDefault(s => double.IsNaN(criterion == SearchCriterion.OutputError ? s.OutputError : s.Recall)) is { } none) throw new ArgumentException($"Head {head} of block {layer} has no number under {none.Pattern}, but NaN.", nameof(scores));
            return (criterion == SearchCriterion.OutputError ? own.MinBy(s => s.OutputError) : own.MaxBy(s => s.Recall))!.Pattern;
        }

        return new([.. Enumerable.Range(0, layers).Select(l => Enumerable.Range(0, heads).Select(h => Best(l, h)).ToArray())]);
    }
}
