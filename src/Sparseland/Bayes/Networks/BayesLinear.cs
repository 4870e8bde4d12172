using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Bayes.Networks;

/// <summary>A linear layer of normal weights: y = mu x + b + sqrt(sigma^2 x^2) e, with e standard normal for each sample and output.</summary>
public sealed class BayesLinear : BayesLayer
{
    /// <summary>The means are a linear layer's weights.</summary>
    /// <param name="linear">The layer; copied.</param>
    /// <param name="sigma">First deviation of all weights, positive. Default 0.02.</param>
    /// <exception cref="ArgumentException">The deviation is not positive and finite.</exception>
    public BayesLinear(Linear linear, double sigma = 0.02)
        : base(nameof(BayesLinear), (linear ?? throw new ArgumentNullException(nameof(linear))).weight, linear.bias, sigma)
    {
    }

    /// <inheritdoc/>
    public override string ToString() => $"BayesLinear [{string.Join(", ", Mu.shape)}]";

    private protected override Tensor Apply(Tensor input, Tensor weight, Tensor? bias) => nn.functional.linear(input, weight, bias);
}
