using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Bayes.Networks;

/// <summary>
/// A layer whose weights are independent normal distributions N(mu, sigma^2), sigma = softplus(rho), where a mask is true, and exactly 0 elsewhere. It does not draw weights: an output is drawn from
/// its own normal distribution (local reparameterisation, Kingma et al. 2015), with noise of its own generator. Biases are plain numbers.
/// </summary>
/// <remarks>The means are the parameter "weight", as in the layer it was made from, so that masks and allocations of the one fit the other; "rho" is beside it, and the mask a buffer.</remarks>
public abstract class BayesLayer : nn.Module<Tensor, Tensor>
{
    /// <summary>Added to the variance of an output before its root is taken: the root has no gradient at 0.</summary>
    public const double VarianceFloor = 1e-8;

    private const double LeastPlainPrior = 1e-15, MostPlainPrior = 1e15;

    private readonly Generator _noise = new(1);

    /// <summary>Means and biases are copied.</summary>
    private protected BayesLayer(string kind, Tensor weight, Tensor? bias, double sigma)
        : base(kind)
    {
        Finite.Positive(sigma);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        register_parameter("weight", nn.Parameter(weight.detach().clone().DetachFromDisposeScope()));
        register_parameter("rho", nn.Parameter(full_like(Mu, RhoOf(sigma)).DetachFromDisposeScope()));
        if (bias is not null) register_parameter("bias", nn.Parameter(bias.detach().clone().DetachFromDisposeScope()));
        register_buffer("mask", ones(Mu.shape, dtype: ScalarType.Bool, device: Mu.device).DetachFromDisposeScope());
    }

    // All asked for by name: a module that changes its type gives its parameters new tensors, and fills only the fields of the derived class.

    /// <summary>Means, the parameter "weight".</summary>
    public Parameter Mu => get_parameter("weight")!;

    /// <summary>rho, the parameter whose softplus is the deviation.</summary>
    public Parameter Rho => get_parameter("rho")!;

    /// <summary>Biases; null for none.</summary>
    public Parameter? Bias => get_parameter("bias");

    /// <summary>Which weights are active (Bool); a buffer. See <see cref="SetMask"/>.</summary>
    public Tensor Mask => get_buffer("mask")!;

    /// <summary>Whether the layer computes with its means alone, without noise. Default false, also in evaluation mode.</summary>
    public bool Deterministic { get; set; }

    /// <summary>The rho of a deviation: log(e^sigma - 1).</summary>
    /// <param name="sigma">The deviation, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is not positive and finite.</exception>
    public static double RhoOf(double sigma) => Finite.Positive(sigma) switch
    {
        > 30 => sigma,
        > 1e-2 => Math.Log(Math.Exp(sigma) - 1),
        _ => Math.Log(sigma) + (sigma / 2) + (sigma * sigma / 24), // the difference would lose the digits
    };

    /// <summary>Deviations, 0 where the mask is false.</summary>
    /// <returns>Of the weights' shape, with a gradient for rho; the caller disposes it.</returns>
    public Tensor Sigma()
    {
        using DisposeScope scope = NewDisposeScope();
        return nn.functional.softplus(Rho).masked_fill(Mask.logical_not(), 0).MoveToOuterDisposeScope();
    }

    /// <summary>Takes over a mask: weights outside are switched off, mu and rho become 0 there.</summary>
    /// <param name="mask">Bool, of the weights' shape; copied.</param>
    /// <exception cref="ArgumentException">Another type or shape.</exception>
    public void SetMask(Tensor mask)
    {
        ArgumentNullException.ThrowIfNull(mask);
        if (mask.dtype != ScalarType.Bool || !mask.shape.SequenceEqual(Mu.shape))
            throw new ArgumentException($"The mask must be Bool [{string.Join(", ", Mu.shape)}], but is {mask.dtype} [{string.Join(", ", mask.shape)}].", nameof(mask));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Mask.copy_(mask);
        Tensor idle = Mask.logical_not();
        Mu.masked_fill_(idle, 0);
        Rho.masked_fill_(idle, 0);
    }

    /// <summary>KL(q || p) of the active weights to N(0, prior^2): the sum of log(prior/sigma) + (sigma^2 + mu^2)/(2 prior^2) - 1/2. What is switched off has left the prior too, and adds 0.</summary>
    /// <param name="prior">Deviation of the prior, positive.</param>
    /// <returns>One Float64 number with gradients, infinite where it is beyond that range; the caller disposes it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The prior is not positive and finite.</exception>
    public Tensor Kl(double prior)
    {
        Finite.Positive(prior);
        using DisposeScope scope = NewDisposeScope();
        Tensor sigma = nn.functional.softplus(Rho);

        // In the layer's type the square of such a prior is 0, or the quotient infinite, though the divergence is an ordinary number.
        if (prior is < LeastPlainPrior or > MostPlainPrior)
        {
            Tensor wide = (((sigma.to(ScalarType.Float64) / prior).square() + (Mu.to(ScalarType.Float64) / prior).square()) / 2) - sigma.to(ScalarType.Float64).log() + (Math.Log(prior) - 0.5);
            return wide.masked_fill(Mask.logical_not(), 0).sum().MoveToOuterDisposeScope();
        }

        Tensor each = ((sigma.square() + Mu.square()) / (2 * prior * prior)) - sigma.log() + (Math.Log(prior) - 0.5);
        return each.masked_fill(Mask.logical_not(), 0).sum(ScalarType.Float64).MoveToOuterDisposeScope();
    }

    /// <summary>Sets where the layer's noise goes on: the same seed gives the same noise.</summary>
    /// <param name="seed">The seed.</param>
    public void SeedNoise(long seed) => _noise.manual_seed(seed);

    /// <inheritdoc/>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using DisposeScope scope = NewDisposeScope();
        Tensor mean = Apply(input, Mu, Bias);
        if (Deterministic) return mean.MoveToOuterDisposeScope();
        Tensor variance = Apply(input.square(), Sigma().square(), null) + VarianceFloor;
        Tensor noise = randn(mean.shape, dtype: ScalarType.Float32, generator: _noise).to(mean.dtype, mean.device);
        return (mean + (variance.sqrt() * noise)).MoveToOuterDisposeScope();
    }

    /// <summary>Mean and variance of the outputs, of which <see cref="forward"/> draws.</summary>
    /// <param name="input">As of the layer.</param>
    /// <returns>Without gradients; the caller disposes both.</returns>
    public (Tensor Mean, Tensor Variance) Moments(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor mean = Apply(input, Mu, Bias), variance = Apply(input.square(), Sigma().square(), null);
        return (mean.MoveToOuterDisposeScope(), variance.MoveToOuterDisposeScope());
    }

    /// <summary>The layer's product with given weights.</summary>
    private protected abstract Tensor Apply(Tensor input, Tensor weight, Tensor? bias);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _noise.Dispose();
        base.Dispose(disposing);
    }
}
