using Sparseland.Models.Language;
using Sparseland.Tensors;

namespace Sparseland.ActivationSparsity;

/// <summary>One check of drafted tokens by the full model.</summary>
/// <param name="Position">Position of the first token of the check, the full model's own.</param>
/// <param name="Tree">What was checked: a chain, or a tree of branches.</param>
/// <param name="Likelihoods">Likelihood of each node under the full model at the temperature of the options; 1 for the root, which is the full model's.</param>
/// <param name="Path">Nodes from the root to the last accepted one.</param>
/// <param name="Rejected">The sparse model's own next token behind the last accepted one, with its likelihood; null where all were accepted.</param>
/// <param name="Next">The full model's token behind the last accepted one.</param>
/// <param name="NextLikelihood">Its likelihood.</param>
/// <param name="Drafted">Tokens drafted in a row: K - 1, or fewer at the end of the context.</param>
public sealed record CorrectionCheck(int Position, TokenTree Tree, IReadOnlyList<double> Likelihoods, IReadOnlyList<int> Path, (int Id, double Likelihood)? Rejected, int Next, double NextLikelihood, int Drafted)
{
    /// <summary>Drafted tokens that stay.</summary>
    public int Accepted => Path.Count - 1;

    /// <summary>Whether the full model's token stands where the sparse model had another.</summary>
    public bool Replaced => Accepted < Drafted;

    /// <summary>Tokens by which the text grows: the accepted ones and the full model's.</summary>
    public int Advance => Accepted + 1;

    /// <inheritdoc/>
    public override string ToString() => $"check at {Position}: {Drafted} drafted, {Accepted} accepted{(Replaced ? ", one replaced" : "")}";
}

/// <summary>A token of a corrected text.</summary>
/// <param name="Id">The token.</param>
/// <param name="BySparse">Whether the sparse model wrote it and the full one let it stay.</param>
/// <param name="Likelihood">Its likelihood under the full model at the temperature of the options.</param>
/// <param name="InPlaceOf">The drafted token that the full model replaced by it; null where there was none.</param>
public readonly record struct WrittenToken(int Id, bool BySparse, double Likelihood, int? InPlaceOf);

/// <summary>Why a corrected text ends.</summary>
public enum CorrectedEnd
{
    /// <summary>It has as many tokens as were asked for.</summary>
    Length,

    /// <summary>The stop token was accepted.</summary>
    StopToken,

    /// <summary>The context is full.</summary>
    Context,

    /// <summary>It was cancelled; the text ends with the last check.</summary>
    Cancelled,
}

/// <summary>A text drafted by a sparse model and corrected by the full one.</summary>
/// <param name="Tokens">New tokens.</param>
/// <param name="Checks">The checks in their order.</param>
/// <param name="End">Why it ends.</param>
/// <param name="Step">Reads of one sparse token by the formula.</param>
/// <param name="DraftReads">What the drafts have read.</param>
/// <param name="CheckReads">What the checks have read.</param>
public sealed record CorrectedText(IReadOnlyList<WrittenToken> Tokens, IReadOnlyList<CorrectionCheck> Checks, CorrectedEnd End, WeightReads Step, PassReads DraftReads, PassReads CheckReads)
{
    /// <summary>New tokens.</summary>
    public IReadOnlyList<int> Ids => [.. Tokens.Select(t => t.Id)];

    /// <summary>Tokens that the checks have produced, those beyond the end included.</summary>
    public int Produced => Checks.Sum(c => c.Advance);

    /// <summary>Average advancement length (AAL): tokens produced by a check, at most K; NaN without a check.</summary>
    public double AverageAdvance => Checks.Count == 0 ? double.NaN : (double)Produced / Checks.Count;

    /// <summary>Checks that replaced a drafted token.</summary>
    public int Corrections => Checks.Count(c => c.Replaced);

    /// <summary>
    /// Effective density by the formula: reads of the blocks' weights for a produced token over those of a step of the full model, (drafted d_S + checks) / produced, with d_S the share that a sparse
    /// token reads and one read of all weights for a check, whatever its length. The prompt is not counted. NaN without a check.
    /// </summary>
    public double EffectiveDensity => ((Checks.Sum(c => c.Drafted) * Step.Share) + Checks.Count) / Produced;

    /// <summary>The same from the reads that were counted. In a tree the branches of a step read the union of their units, which the formula does not know.</summary>
    public double CountedDensity => (double)(DraftReads.Weights + CheckReads.Weights) / Step.Dense / Produced;

    /// <summary>The same as <see cref="CountedDensity"/> with the head, which every pass reads whole.</summary>
    public double CountedDensityWithHead => (DraftReads.Weights + CheckReads.Weights + ((double)(DraftReads.Passes + CheckReads.Passes) * Step.Head)) / (Step.Dense + Step.Head) / Produced;

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
