using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Lottery tickets (Frankle and Carbin 2019): the mask of a trained network, with the kept weights set back to an early moment. What is in a ticket only its controls tell: the same mask with fresh values (<see cref="MaskSet.For"/>), and the
/// same number of weights of each layer at other places.
/// </summary>
public static class LotteryTicket
{
    /// <summary>The mask of a trained network: its largest weights.</summary>
    /// <param name="trained">The network; nothing in it changes.</param>
    /// <param name="density">Share kept, above 0 and at most 1.</param>
    /// <param name="names">Weights that are masked; null, the default, for those of <see cref="PrunableWeights"/>.</param>
    /// <param name="pattern">Who competes with whom; null, the default, for all layers together at that density.</param>
    /// <returns>Masks bound to that network, the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">A density out of its range, a weight that is not finite, or a layer that would lose all its weights.</exception>
    public static MaskSet Draw(nn.Module trained, double density, IReadOnlyList<string>? names = null, PruningPattern? pattern = null)
    {
        ArgumentNullException.ThrowIfNull(trained);
        if (!(density is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(density), density, "The density must lie above 0 and not above 1.");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return MaskSet.FromScores(trained, PrunableWeights.Named(trained, names).ToDictionary(p => p.Name, p => p.Parameter.abs()), pattern ?? PruningPattern.Global(1 - density));
    }

    /// <summary>Sets a network to the values of another moment, and to zero what the masks do not keep.</summary>
    /// <param name="model">A network of the same make.</param>
    /// <param name="moment">Parameters and buffers of that moment: step 0 for the original ticket, a later one for rewinding; what masks of its own leave out is zero.</param>
    /// <param name="masks">Masks of any network of this make.</param>
    /// <returns>The masks, bound to this network; the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">The moment or the masks are of another network.</exception>
    public static MaskSet Rewind(nn.Module model, SparseSnapshot moment, MaskSet masks)
    {
        ArgumentNullException.ThrowIfNull(moment);
        ArgumentNullException.ThrowIfNull(masks);
        MaskSet own = masks.For(model);
        try
        {
            moment.CopyTo(model)?.Dispose();
            own.Apply();
            return own;
        }
        catch
        {
            own.Dispose();
            throw;
        }
    }

    /// <summary>As many weights in each layer, at places drawn at random: the control without the places.</summary>
    /// <param name="model">The network.</param>
    /// <param name="masks">The masks.</param>
    /// <param name="seed">Seed of the draw.</param>
    /// <returns>Masks bound to this network, not applied; the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">The masks are of another network.</exception>
    public static MaskSet Shuffled(nn.Module model, MaskSet masks, long seed)
    {
        ArgumentNullException.ThrowIfNull(masks);
        return MaskSet.Random(model, masks.Names.ToDictionary(name => name, name => (double)masks.ActiveOf(name) / masks[name].numel()), seed);
    }
}
