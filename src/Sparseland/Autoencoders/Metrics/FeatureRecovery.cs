using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>Which features of a planted world an autoencoder has found: a feature is found when the decoder row nearest to it has a cosine above a bound.</summary>
/// <remarks>
/// The sign counts, for latents are not negative. One latent may stand for two features that are alike; where each needs a latent of its own there is
/// <see cref="Evaluation.DictionaryMatch"/>.
/// </remarks>
/// <param name="Cosine">Largest cosine of each feature with a decoder row [features], in the order of the features: in <see cref="UnequalTokens"/> by falling frequency.</param>
/// <param name="Latent">Whose row it is [features].</param>
/// <param name="Bound">Cosine above which a feature is found.</param>
public sealed record FeatureRecovery(double[] Cosine, int[] Latent, double Bound)
{
    /// <summary>Share of all features that are found.</summary>
    public double Share => ShareOf(0, Cosine.Length);

    /// <summary>Share of some features that are found.</summary>
    /// <param name="from">The first, from 0.</param>
    /// <param name="count">How many.</param>
    /// <exception cref="ArgumentOutOfRangeException">They are none, or not all there.</exception>
    public double ShareOf(int from, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(from);
        if (count < 1 || count > Cosine.Length - from) throw new ArgumentOutOfRangeException(nameof(count), count, $"There are {Cosine.Length} features; {count} from {from} on are not among them.");
        return (double)Cosine.Skip(from).Take(count).Count(c => c > Bound) / count;
    }

    /// <summary>Share found in each of some groups of neighbours in rank.</summary>
    /// <param name="groups">Number of groups, which divides that of the features. Default 8.</param>
    /// <returns>[groups].</returns>
    /// <exception cref="ArgumentOutOfRangeException">It does not divide it.</exception>
    public double[] ByRank(int groups = 8)
    {
        if (groups < 1 || Cosine.Length % groups != 0) throw new ArgumentOutOfRangeException(nameof(groups), groups, $"groups must divide the {Cosine.Length} features.");
        int each = Cosine.Length / groups;
        return [.. Enumerable.Range(0, groups).Select(g => ShareOf(g * each, each))];
    }

    /// <summary>Looks for features among the rows of a decoder.</summary>
    /// <param name="autoencoder">The autoencoder.</param>
    /// <param name="features">Directions [features, d], Float32 or Float64, finite and not zero.</param>
    /// <param name="bound">Cosine above which a feature is found, from 0 to 1. Default 0.9.</param>
    /// <exception cref="ArgumentException">Another width, or a value that is out of its range.</exception>
    public static FeatureRecovery Of(SparseAutoencoder autoencoder, Tensor features, double bound = 0.9)
    {
        ArgumentNullException.ThrowIfNull(autoencoder);
        TensorInput.CheckMatrix(features, nameof(features), "[features, d]");
        if (features.shape[1] != autoencoder.Width) throw new ArgumentException($"The features have width {features.shape[1]}, the autoencoder {autoencoder.Width}.", nameof(features));
        if (!(bound is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(bound), bound, "bound must lie from 0 to 1.");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor truth = features.to(ScalarType.Float64), rows = autoencoder.Decoder.detach().to(ScalarType.Float64), lengths = truth.norm(1, keepdim: true);
        if (lengths.eq(0).any().item<bool>()) throw new ArgumentException($"Feature {lengths.squeeze(1).eq(0).to(ScalarType.Int32).argmax().item<long>()} is zero and has no direction.", nameof(features));

        // A row of zeros points nowhere: its cosines are 0.
        Tensor rowLengths = rows.norm(1, keepdim: true), unit = rows / where(rowLengths.gt(0), rowLengths, ones_like(rowLengths));
        (Tensor cosine, Tensor latent) = (truth / lengths).mm(unit.t()).max(1);
        return new([.. cosine.data<double>()], [.. latent.data<long>().Select(i => (int)i)], bound);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
