using Sparseland.Tensors;
using Sparseland.Training;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>What a model's folder is pruned with. The tensors stay the caller's.</summary>
public sealed record FolderPruningOptions
{
    /// <summary>What prunes a layer.</summary>
    public required ILayerPruner Method { get; init; }

    /// <summary>How sparse, and who competes with whom; not global.</summary>
    public required PruningPattern Pattern { get; init; }

    /// <summary>Calibration texts, token ids [sequences, tokens], int64; null, the default, for a method that asks for nothing of the inputs.</summary>
    public Tensor? Calibration { get; init; }

    /// <summary>Windows on which perplexity is measured before and after, token ids [windows, tokens + 1], int64; null, the default, for none.</summary>
    public Tensor? Evaluation { get; init; }

    /// <summary>Order of work. Default that of <see cref="BlockwiseOptions"/>.</summary>
    public BlockwiseOptions Blockwise { get; init; } = new();

    /// <summary>Whether to go on where a stopped call of the same options was. Default false.</summary>
    public bool Resume { get; init; }

    /// <summary>What is noted of the texts in the folder; null, the default, for nothing.</summary>
    public string? Texts { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>What is in the folder that was written.</summary>
/// <param name="Layers">Kept weights by the mask, and the error where it is known.</param>
/// <param name="ZerosSaved">Share of zeros in each pruned matrix as it is in the file, by the name there.</param>
/// <param name="Before">Losses of the dense model on the evaluation windows; null where there were none.</param>
/// <param name="After">Losses of the pruned model on the same windows.</param>
/// <param name="BytesRead">Bytes of the weights that were read.</param>
/// <param name="Remarks">What the user should know.</param>
/// <param name="Seconds">Time of this call.</param>
public sealed record FolderPruningResult(
    IReadOnlyList<PrunedLayer> Layers, IReadOnlyDictionary<string, double> ZerosSaved, Models.Language.WindowedLoss? Before, Models.Language.WindowedLoss? After,
    long BytesRead, IReadOnlyList<string> Remarks, double Seconds)
{
    /// <summary>Share of the prunable weights that went.</summary>
    public double Sparsity => 1 - ((double)Layers.Sum(l => l.Kept) / Layers.Sum(l => l.Size));

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"{Sparsity:0.##%} of {Layers.Count} layers removed{(After is null ? "" : $", perplexity {Before!.Perplexity:F3} to {After.Perplexity:F3}")}");
}
