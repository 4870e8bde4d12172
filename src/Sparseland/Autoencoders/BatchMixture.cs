using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// Whether batches are mixtures. Tokens of one text are alike, so the means of batches of neighbours lie farther apart than chance allows; where
/// latents choose their tokens (<see cref="FeatureChoiceRule"/>), such batches give other codes.
/// </summary>
public static class BatchMixture
{
    /// <summary>Above it batches are no mixtures: mixed ones come to 1, and chance does not carry eight batches so far.</summary>
    public const double MostOfMixtures = 3;

    /// <summary>
    /// Variance of the means of batches of B tokens, times B, over the variance inside batches, both summed over coordinates: 1 where tokens are
    /// drawn independently, c where a batch says no more than B / c independent tokens (the design effect of cluster samples, Kish 1965).
    /// </summary>
    /// <param name="batches">Activations [tokens, d] as the input of each batch.</param>
    /// <param name="count">Batches looked at, at least 2. Default 8.</param>
    /// <returns>NaN where batches have one token, or no variance inside.</returns>
    /// <exception cref="ArgumentException">Fewer than two batches, or an input that is no matrix.</exception>
    public static double Of(IBatchSource batches, int count = 8)
    {
        ArgumentNullException.ThrowIfNull(batches);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 2);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        var means = new Tensor[count];
        double inside = 0;
        for (int i = 0; i < count; i++)
        {
            using DisposeScope inner = NewDisposeScope();
            Tensor x = batches.At(i).Input;
            if (x.dim() != 2) throw new ArgumentException($"Batch {i} is [{string.Join(", ", x.shape)}]; activations are [tokens, d].", nameof(batches));
            if (x.shape[0] < 2) return double.NaN;
            x = x.to(ScalarType.Float64);
            means[i] = x.mean([0L]).MoveToOuterDisposeScope();

            // Divided by the tokens, so that batches of unequal size have their right weight.
            inside += (x - means[i]).square().sum().item<double>() / (x.shape[0] - 1) / x.shape[0];
        }

        Tensor all = stack(means, 0);
        double between = (all - all.mean([0L])).square().sum().item<double>() / (count - 1);
        return inside > 0 ? between * count / inside : double.NaN;
    }
}
