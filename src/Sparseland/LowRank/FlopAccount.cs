using Sparseland.Models;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// Multiply-adds of a layer for one token, in the forward pass; a training step takes three times as many unless a method says otherwise. Methods that form W once a batch of T tokens save memory and no
/// compute: never plot parameters where time is meant.
/// </summary>
public static class FlopAccount
{
    /// <summary>out in.</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    public static double Dense(long outputs, long inputs) => (double)outputs * inputs;

    /// <summary>r (out + in).</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    /// <param name="rank">r.</param>
    public static double LowRank(long outputs, long inputs, long rank) => (double)rank * (outputs + inputs);

    /// <summary>out in + r (out + in).</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    /// <param name="rank">r.</param>
    public static double Lora(long outputs, long inputs, long rank) => Dense(outputs, inputs) + LowRank(outputs, inputs, rank);

    /// <summary>Low rank and sparse with W formed once a batch, out in + r out in / T (SLTrain as published).</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    /// <param name="rank">r.</param>
    /// <param name="tokens">T.</param>
    public static double FormedLowRankSparse(long outputs, long inputs, long rank, long tokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        return Dense(outputs, inputs) * (1 + ((double)rank / tokens));
    }

    /// <summary>Low rank and sparse without forming W, r (out + in) + k.</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    /// <param name="rank">r.</param>
    /// <param name="nonZeros">k.</param>
    public static double FactoredLowRankSparse(long outputs, long inputs, long rank, long nonZeros) => LowRank(outputs, inputs, rank) + nonZeros;

    /// <summary>Low rank and dense channels, r (out + in) + out kept (LOST).</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    /// <param name="rank">r.</param>
    /// <param name="kept">Channels kept.</param>
    public static double LowRankChannel(long outputs, long inputs, long rank, long kept) => LowRank(outputs, inputs, rank) + ((double)outputs * kept);

    /// <summary>A singular value decomposition with W formed once a batch, out in + m out in / T with m = min(out, in) (sparse spectral training as published).</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    /// <param name="tokens">T.</param>
    public static double FormedSpectral(long outputs, long inputs, long tokens) => FormedLowRankSparse(outputs, inputs, Math.Min(outputs, inputs), tokens);

    /// <summary>All linear layers of a network, those that were replaced by <see cref="IMergeableLinear"/> too.</summary>
    /// <param name="model">The network.</param>
    /// <exception cref="ArgumentException">A layer is of a kind whose products are not known; it is named.</exception>
    public static long Of(nn.Module model) => LinearSlots.Of(model).Sum(s => s.Module switch
    {
        Linear linear => linear.weight!.numel(),
        IMergeableLinear other => other.MacsPerToken,
        var unknown => throw new ArgumentException($"{s.Name} is a {unknown.GetType().Name}, whose multiply-adds are not known.", nameof(model)),
    });
}
