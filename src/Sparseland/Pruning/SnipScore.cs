using Sparseland.Evaluation;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// What the loss of a batch would feel if a weight went, to first order (SNIP, Lee et al. 2019): |w dL/dw|, which is |dL/dc| for masks c = 1 that multiply the weights.
/// </summary>
public static class SnipScore
{
    /// <summary>Scores of all prunable weights. The network is in training mode meanwhile, as it will be; weights, gradients, buffers and mode stay.</summary>
    /// <param name="model">Classifier, from samples to logits.</param>
    /// <param name="X">Samples of one batch.</param>
    /// <param name="labels">[samples], int64.</param>
    /// <exception cref="ArgumentException">Samples and labels do not fit, a loss that is not finite, or nothing to prune.</exception>
    public static ParameterScores Of(nn.Module<Tensor, Tensor> model, Tensor X, Tensor labels)
    {
        Accuracy.CheckSamples(X, labels);
        using DisposeScope scope = NewDisposeScope();
        using var probe = new ProbedNetwork(model, train: true);
        IList<Tensor> gradients = autograd.grad([probe.Loss(X, labels)], probe.Weights);
        using IDisposable off = no_grad();
        return new("SNIP", probe.Names.Select((name, i) => KeyValuePair.Create(name, probe.Weights[i].mul(gradients[i]).abs())));
    }
}
