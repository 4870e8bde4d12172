using System.Globalization;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes.Networks;

/// <summary>
/// How much a weight that is a normal distribution matters, from its mean and deviation: the weights of the lowest scores are removed (Li et al. 2024). Pure functions, in Float64.
/// </summary>
public sealed record RemovalCriterion
{
    private readonly Func<Tensor, Tensor, Tensor> _score;

    private RemovalCriterion(string name, Func<Tensor, Tensor, Tensor> score) => (Name, _score) = (name, score);

    /// <summary>|mu|: RigL's, on the mean.</summary>
    public static RemovalCriterion Mean { get; } = new("|mu|", (mu, _) => mu.to(ScalarType.Float64).abs());

    /// <summary>
    /// |mu| / sigma. It chooses the same weights as <see cref="SnrAbs"/>, which is a rising function of it, and has no flat place where rounding would choose.
    /// </summary>
    public static RemovalCriterion Snr { get; } = new("|mu|/sigma", (mu, sigma) => (mu.to(ScalarType.Float64).abs() / sigma.to(ScalarType.Float64)).nan_to_num(0, double.PositiveInfinity));

    /// <summary>E|theta|.</summary>
    public static RemovalCriterion ExpectedAbs { get; } = new("E|theta|", FoldedNormal.Mean);

    /// <summary>E|theta| over the deviation of |theta|, the paper's default. Near |mu| = 0 it is flat to fourth order: for choosing take <see cref="Snr"/>.</summary>
    public static RemovalCriterion SnrAbs { get; } = new("SNR of |theta|", FoldedNormal.SignalToNoise);

    /// <summary>-sigma: the most uncertain go, whatever their mean. A control.</summary>
    public static RemovalCriterion Certainty { get; } = new("-sigma", (_, sigma) => -sigma.to(ScalarType.Float64));

    /// <summary>Short name.</summary>
    public string Name { get; }

    /// <summary>E exp(lambda |theta|).</summary>
    /// <param name="lambda">lambda, positive and finite. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is not.</exception>
    public static RemovalCriterion ExpAbs(double lambda = 1) =>
        new($"E exp({Text(Finite.Positive(lambda))} |theta|)", (mu, sigma) => FoldedNormal.Exponential(mu, sigma, lambda));

    /// <summary>E exp(lambda |theta|) over the deviation of exp(lambda |theta|), whose second moment is the first at 2 lambda.</summary>
    /// <param name="lambda">lambda, positive and finite. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is not.</exception>
    public static RemovalCriterion SnrExpAbs(double lambda = 1) =>
        new($"SNR of exp({Text(Finite.Positive(lambda))} |theta|)", (mu, sigma) =>
        {
            Tensor first = FoldedNormal.Exponential(mu, sigma, lambda);

            // For a tiny lambda sigma the difference is lost in rounding: it is then less than any that can be told from 0.
            return first / (FoldedNormal.Exponential(mu, sigma, 2 * lambda) - first.square()).clamp_min(double.Epsilon).sqrt();
        });

    /// <summary>The scores.</summary>
    /// <param name="mu">Means, finite.</param>
    /// <param name="sigma">Deviations of the same shape, positive where a weight is active.</param>
    /// <returns>Float64, of the shape of <paramref name="mu"/>; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">Two shapes, a value that is not finite, a negative deviation, or an exponential that overflows.</exception>
    public Tensor Of(Tensor mu, Tensor sigma)
    {
        PosteriorInput.Check(mu, sigma);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return _score(mu.detach(), sigma.detach()).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override string ToString() => Name;

    private static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
