using System.Globalization;
using Sparseland.Selection;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>What one pruning did.</summary>
/// <param name="Kept">Weights kept now.</param>
/// <param name="Size">All prunable weights.</param>
/// <param name="Removed">Share of the weights kept before that went.</param>
/// <param name="NormDrop">sqrt(|w|^2 - |w pruned|^2) / |w|, over the prunable weights; 0 where all were zero.</param>
public sealed record PruningStep(long Kept, long Size, double Removed, double NormDrop)
{
    /// <summary>Share of weights that are gone.</summary>
    public double Sparsity => 1 - ((double)Kept / Size);

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>Global magnitude pruning: of the weights that are still there, in all layers together, the largest in size stay.</summary>
public static class GlobalMagnitude
{
    /// <summary>Masks that keep every weight of two and more dimensions: no bias and no norm is prunable.</summary>
    /// <param name="model">The network.</param>
    /// <param name="names">Prunable parameters; null, the default, for all of two and more dimensions.</param>
    /// <exception cref="ArgumentException">An unknown or tied parameter.</exception>
    public static MaskSet DenseMasks(nn.Module model, IReadOnlyList<string>? names = null) => MaskSet.Random(model, 1, 0, names);

    /// <summary>Weights kept at a sparsity: all but floor(s n + 1e-6).</summary>
    /// <param name="size">n, positive.</param>
    /// <param name="sparsity">s, from 0 to below 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static long KeptAt(long size, double sparsity)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        if (!(sparsity is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, "The sparsity must be from 0 to below 1.");
        return size - (long)Math.Floor((sparsity * size) + 1e-6);
    }

    /// <summary>Prunes in place: masks shrink to the largest weights among those they kept, and are applied. Equal sizes: the earlier weight stays.</summary>
    /// <param name="masks">Masks of the network.</param>
    /// <param name="kept">Weights to keep in all, from one per layer to as many as there are now.</param>
    /// <exception cref="ArgumentException">
    /// A number out of its range, a weight that is not finite, or a layer that would be left without any weight, which is named; nothing has changed then.
    /// </exception>
    public static PruningStep Prune(MaskSet masks, long kept)
    {
        ArgumentNullException.ThrowIfNull(masks);
        long before = masks.Active;
        if (kept > before || kept < masks.Names.Count)
            throw new ArgumentOutOfRangeException(nameof(kept), kept, $"From {masks.Names.Count}, one weight per layer, to {before} weights can be kept, as many as there are now.");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        var scores = new List<Tensor>();
        foreach (string name in masks.Names)
        {
            Tensor size = masks.ParameterOf(name).abs();
            if (!size.isfinite().all().item<bool>()) throw new ArgumentException($"{name} has a weight that is not finite; a diverged training is the usual cause.", nameof(masks));

            // What is pruned already stays so, even where a weight that is kept is zero.
            scores.Add(size.masked_fill(masks[name].logical_not(), double.NegativeInfinity).flatten());
        }

        Tensor all = cat(scores), chosen = Select.TopK(all, Budget.Global(checked((int)kept))).ToMask().to(all.device);
        Tensor old = cat([.. masks.Names.Select(name => masks.ParameterOf(name).masked_fill(masks[name].logical_not(), 0).flatten())]).to(ScalarType.Float64);
        double norm = old.square().sum().item<double>(), gone = old.masked_fill(chosen, 0).square().sum().item<double>();
        var parts = new List<(string Name, Tensor Mask)>();
        long at = 0;
        foreach (string name in masks.Names)
        {
            Tensor part = chosen.narrow(0, at, masks[name].numel()).reshape(masks[name].shape);
            if (!part.any().item<bool>())
                throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"{name} would keep no weight among the {kept} largest; take a lower sparsity."), nameof(kept));
            parts.Add((name, part));
            at += masks[name].numel();
        }

        foreach ((string name, Tensor part) in parts) masks.Set(name, part);
        masks.Apply();
        return new(kept, masks.Size, (double)(before - kept) / before, norm == 0 ? 0 : Math.Sqrt(gone / norm));
    }
}
