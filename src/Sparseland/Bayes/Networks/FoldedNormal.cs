using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes.Networks;

/// <summary>Moments of |theta| for theta normal of mean mu and deviation sigma, place by place, computed in Float64.</summary>
public static class FoldedNormal
{
    /// <summary>E|theta| = mu (2 Phi(mu/sigma) - 1) + 2 sigma phi(mu/sigma).</summary>
    /// <param name="mu">Means, finite.</param>
    /// <param name="sigma">Deviations of the same shape, not negative; where one is 0, |mu| is the answer.</param>
    /// <returns>Float64, of the shape of <paramref name="mu"/>.</returns>
    /// <exception cref="ArgumentException">Two shapes, a value that is not finite, a negative deviation.</exception>
    public static Tensor Mean(Tensor mu, Tensor sigma)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (Tensor m, Tensor s) = Wide(mu, sigma);
        return (m.abs() + (s * Excess(Ratio(m, s)))).MoveToOuterDisposeScope();
    }

    /// <summary>mu^2 + sigma^2 - (E|theta|)^2, without the cancellation of that form.</summary>
    /// <param name="mu">Means, finite.</param>
    /// <param name="sigma">Deviations of the same shape, not negative.</param>
    /// <returns>Float64, of the shape of <paramref name="mu"/>.</returns>
    /// <exception cref="ArgumentException">Two shapes, a value that is not finite, a negative deviation.</exception>
    public static Tensor Variance(Tensor mu, Tensor sigma)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (Tensor m, Tensor s) = Wide(mu, sigma);
        return (s.square() * RelativeVariance(Ratio(m, s))).MoveToOuterDisposeScope();
    }

    /// <summary>E|theta| over the deviation of |theta|: a function of |mu|/sigma alone, which rises strictly from sqrt(2/(pi - 2)).</summary>
    /// <param name="mu">Means, finite.</param>
    /// <param name="sigma">Deviations of the same shape, not negative.</param>
    /// <returns>
    /// Float64, of the shape of <paramref name="mu"/>; infinite where sigma alone is 0. Where both are, it is the smallest value there is, which it has at mu = 0 for every sigma: of what is surely zero nothing is lost.
    /// </returns>
    /// <exception cref="ArgumentException">Two shapes, a value that is not finite, a negative deviation.</exception>
    public static Tensor SignalToNoise(Tensor mu, Tensor sigma)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (Tensor m, Tensor s) = Wide(mu, sigma);
        Tensor r = Ratio(m, s);
        return ((r + Excess(r)) / RelativeVariance(r).sqrt()).MoveToOuterDisposeScope();
    }

    /// <summary>E exp(lambda |theta|) = e^(lambda^2 sigma^2/2 + lambda mu) Phi(mu/sigma + lambda sigma) + e^(lambda^2 sigma^2/2 - lambda mu) Phi(-mu/sigma + lambda sigma).</summary>
    /// <param name="mu">Means, finite.</param>
    /// <param name="sigma">Deviations of the same shape, not negative.</param>
    /// <param name="lambda">lambda, finite.</param>
    /// <returns>Float64, of the shape of <paramref name="mu"/>.</returns>
    /// <exception cref="ArgumentException">Two shapes, a value that is not finite, a negative deviation; or the exponential overflows: lambda and the largest deviation are named.</exception>
    public static Tensor Exponential(Tensor mu, Tensor sigma, double lambda)
    {
        if (!double.IsFinite(lambda)) throw new ArgumentOutOfRangeException(nameof(lambda), lambda, "lambda must be finite.");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (Tensor m, Tensor s) = Wide(mu, sigma);
        Tensor size = m.abs(), r = Ratio(m, s), half = s.square() * (lambda * lambda / 2);
        Tensor value = ((half + (lambda * size)).exp() * Phi(r + (lambda * s))) + ((half - (lambda * size)).exp() * Phi((lambda * s) - r));
        if (value.numel() > 0 && !TensorInput.IsFinite(value))
            throw new ArgumentException(FormattableString.Invariant($"E exp(lambda |theta|) overflows: lambda is {lambda}, the largest sigma {s.max().item<double>():G4}, the largest |mu| {size.max().item<double>():G4}."), nameof(lambda));
        return value.MoveToOuterDisposeScope();
    }

    /// <summary>(E|theta| - |mu|) / sigma = 2 (phi(r) - r Phi(-r)), from sqrt(2/pi) at r = 0 down to 0.</summary>
    private static Tensor Excess(Tensor r)
    {
        // Beyond 50 both terms are 0; the square of a larger ratio may overflow.
        Tensor near = r.clamp_max(50);
        return (2 * (Density(near) - (near * Phi(-near)))).clamp_min(0);
    }

    private static Tensor RelativeVariance(Tensor r)
    {
        Tensor excess = Excess(r), near = r.clamp_max(50);
        return 1 - (excess * ((2 * near) + excess));
    }

    /// <summary>|mu|/sigma; 0 for 0/0.</summary>
    private static Tensor Ratio(Tensor mu, Tensor sigma) => (mu.abs() / sigma).nan_to_num(0, double.PositiveInfinity);

    private static Tensor Phi(Tensor x) => 0.5 * special.erfc(x / -Math.Sqrt(2));

    private static Tensor Density(Tensor x) => (x.square() * -0.5).exp() / Math.Sqrt(2 * Math.PI);

    private static (Tensor Mu, Tensor Sigma) Wide(Tensor mu, Tensor sigma)
    {
        PosteriorInput.Check(mu, sigma);
        return (mu.detach().to(ScalarType.Float64), sigma.detach().to(ScalarType.Float64));
    }
}
