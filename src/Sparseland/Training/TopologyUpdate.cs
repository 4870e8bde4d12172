using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>What a topology update changes in one layer. Supports over the weights, leading dimensions together as rows.</summary>
/// <param name="Kept">Active before, and not dropped.</param>
/// <param name="Dropped">Active before, with the lowest drop scores.</param>
/// <param name="Grown">Places outside <paramref name="Kept"/> with the highest growth scores, as many as were dropped unless another number was asked for; some may just have been dropped.</param>
public sealed record TopologyChange(Support Kept, Support Dropped, Support Grown)
{
    /// <summary>Active afterwards: kept and grown.</summary>
    public Support Active => Kept.Union(Grown);

    /// <summary>Dropped and grown at once: their weights stay as they were.</summary>
    public Support Regrown => Dropped.Intersect(Grown);

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// One topology update of one layer: drop the active weights with the lowest scores, grow as many elsewhere. It looks at the layer and changes
/// nothing; ties keep the lower index.
/// </summary>
public static class TopologyUpdate
{
    /// <summary>Chooses what is dropped and what grows.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="drop">Scores of the active weights.</param>
    /// <param name="grow">Scores of all other places, the just dropped among them.</param>
    /// <param name="count">How many are dropped, from 0 to the number of active weights.</param>
    /// <param name="grown">How many grow; null, the default, for as many: only then does the number of active weights stay.</param>
    /// <exception cref="ArgumentException">
    /// The count is out of its range, fewer places are allowed than must grow, a shape is another, or a score that is looked at is not finite (it
    /// would win or lose against everything).
    /// </exception>
    public static TopologyChange Apply(TopologyContext layer, IDropScore drop, IGrowScore grow, long count, long? grown = null)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentNullException.ThrowIfNull(drop);
        ArgumentNullException.ThrowIfNull(grow);
        Check(layer);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        long active = MaskSet.TrueIn(layer.Mask);
        if (count < 0 || count > active)
            throw new ArgumentOutOfRangeException(nameof(count), count, $"{layer.Layer} has {active} active weights; from 0 to that many can be dropped.");

        if (grown is < 0) throw new ArgumentOutOfRangeException(nameof(grown), grown, "A number of weights to grow is not negative.");
        Support kept = Kept(layer, drop, active - count);
        Tensor keptMask = kept.ToMask().reshape(layer.Mask.shape).to(layer.Mask.device), free = Free(layer, keptMask);
        long places = MaskSet.TrueIn(free), wanted = grown ?? count;
        if (places < wanted) throw new ArgumentException($"{wanted} weights of {layer.Layer} must grow, but only {places} places are allowed.", nameof(layer));
        Support chosen = Grown(layer, grow, free, wanted);
        return new(kept, Support.FromMask(layer.Mask.logical_and(keptMask.logical_not())), chosen);
    }

    /// <summary>The largest number not above the planned one that can be dropped and grown again where growth is allowed.</summary>
    internal static long Affordable(TopologyContext layer, IDropScore drop, long count)
    {
        if (layer.Allowed is null) return count;
        Check(layer);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        long active = MaskSet.TrueIn(layer.Mask);

        // Fewer dropped are fewer candidates: the number falls until both agree, at the latest at 0.
        while (count > 0)
        {
            Tensor kept = Kept(layer, drop, active - count).ToMask().reshape(layer.Mask.shape).to(layer.Mask.device);
            long places = MaskSet.TrueIn(Free(layer, kept));
            if (places >= count) break;
            count = places;
        }

        return count;
    }

    // The active weights are few: they are ranked by themselves.
    private static Support Kept(TopologyContext layer, IDropScore drop, long count)
    {
        Tensor scores = Shaped(layer, drop.Of(layer), Said(drop));
        var active = Support.FromMask(layer.Mask);
        Tensor values = active.Gather(scores.detach());
        if (!TensorInput.IsFinite(values)) throw NotFinite(layer, Said(drop));
        return active.Among(Select.TopK(values, Budget.Global(checked((int)count))));
    }

    // Almost all other places are free: they are ranked where they are.
    private static Support Grown(TopologyContext layer, IGrowScore grow, Tensor free, long count)
    {
        if (count == 0) return Support.FromMask(zeros_like(layer.Mask));
        string what = $"growth score \"{grow.Name}\"";
        Tensor ranked = CandidateScores.Of(Shaped(layer, grow.Of(layer), what), free, grow is IOwnScores) ?? throw NotFinite(layer, what);
        return Select.TopK(ranked, Budget.Global(checked((int)count)));
    }

    private static string Said(IDropScore drop) => $"drop score \"{drop.Name}\"";

    private static Tensor Free(TopologyContext layer, Tensor kept) => layer.Allowed is null ? kept.logical_not() : kept.logical_not().logical_and(layer.Allowed);

    private static Tensor Shaped(TopologyContext layer, Tensor scores, string what) => scores.shape.SequenceEqual(layer.Weight.shape) ? scores
        : throw new ArgumentException($"The {what} of {layer.Layer} is [{string.Join(", ", scores.shape)}], the weights are [{string.Join(", ", layer.Weight.shape)}].", nameof(layer));

    private static ArgumentException NotFinite(TopologyContext layer, string what) =>
        new($"The {what} of {layer.Layer} is not finite everywhere it is looked at; a NaN or infinite gradient or weight is the usual cause.", nameof(layer));

    private static void Check(TopologyContext layer)
    {
        ArgumentNullException.ThrowIfNull(layer.Weight, nameof(layer));
        foreach ((string name, Tensor? value) in new[] { ("Mask", layer.Mask), ("Gradient", layer.Gradient), ("Average", layer.Average), ("Fired", layer.Fired), ("Allowed", layer.Allowed) })
        {
            if (value is not null && !value.shape.SequenceEqual(layer.Weight.shape))
                throw new ArgumentException($"{name} of {layer.Layer} is [{string.Join(", ", value.shape)}], the weights are [{string.Join(", ", layer.Weight.shape)}].", nameof(layer));
        }

        if (layer.Mask is not { dtype: ScalarType.Bool }) throw new ArgumentException($"Mask of {layer.Layer} must be of Bool.", nameof(layer));
    }
}
