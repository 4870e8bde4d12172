using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// SET's own rule (Mocanu et al. 2018): of the positive weights the share nearest to zero goes, and the same share of the negative ones. Zeros belong to the sign
/// that has fewer weights (to the negatives where both have as many) and go first. The number is that of <see cref="DropMagnitude"/> within 1; the set is another where the signs are unbalanced.
/// </summary>
public sealed class DropSignWise : IDropScore
{
    /// <inheritdoc/>
    public string Name => "sign-wise";

    /// <inheritdoc/>
    public bool NeedsGradient => false;

    /// <inheritdoc/>
    public long CountOf(TopologyContext layer, long planned)
    {
        (Support positive, Support negative) = Dropped(layer);
        return positive.Count + negative.Count;
    }

    /// <summary>Below 1 for what goes, the smallest lowest, and 1 for what stays: the ranks are those of each sign by itself.</summary>
    /// <param name="layer">The layer; <see cref="TopologyContext.Fraction"/> is the share of each sign.</param>
    public Tensor Of(TopologyContext layer)
    {
        (Support positive, Support negative) = Dropped(layer);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor size = layer.Weight.abs().to(ScalarType.Float64), goes = positive.Union(negative).ToMask().reshape(size.shape).to(size.device);
        return ones_like(size).where(goes.logical_not(), 0.5 * size / (size + 1)).MoveToOuterDisposeScope();
    }

    private static (Support Positive, Support Negative) Dropped(TopologyContext layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        if (!(layer.Fraction is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(layer), layer.Fraction, $"The share of weights to drop from {layer.Layer} must be from 0 to 1.");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor active = layer.Mask, positive = layer.Weight.gt(0).logical_and(active), negative = layer.Weight.lt(0).logical_and(active);
        Tensor zero = layer.Weight.eq(0).logical_and(active);
        if (MaskSet.TrueIn(positive) < MaskSet.TrueIn(negative)) positive = positive.logical_or(zero);
        else negative = negative.logical_or(zero);
        return (Lowest(layer, positive), Lowest(layer, negative));
    }

    private static Support Lowest(TopologyContext layer, Tensor sign)
    {
        long count = (long)Math.Floor((layer.Fraction * MaskSet.TrueIn(sign)) + 1e-6);

        // Among equals the higher index goes, as everywhere here: what stays is chosen.
        Support all = Support.FromMask(sign);
        Support kept = Select.TopK(layer.Weight.abs().masked_fill(sign.logical_not(), double.NegativeInfinity), Budget.Global(checked((int)(all.Count - count))));
        return Support.FromMask(sign.logical_and(kept.ToMask().reshape(sign.shape).to(sign.device).logical_not()));
    }
}
