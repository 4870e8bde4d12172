using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Evaluation;

/// <summary>The fast gradient sign method (Goodfellow et al. 2015): every value of a sample moves by epsilon towards a higher loss, and stays in its range.</summary>
public static class Fgsm
{
    /// <summary>Attacked samples, in evaluation mode; the network, its gradients and its mode stay.</summary>
    /// <param name="model">Classifier: [samples, ...] to logits.</param>
    /// <param name="X">[samples, ...], the network's type.</param>
    /// <param name="labels">[samples], int64.</param>
    /// <param name="epsilon">How far each value may move, not negative.</param>
    /// <param name="low">Lowest value of a sample. Default 0.</param>
    /// <param name="high">Highest value of a sample. Default 1.</param>
    /// <param name="batch">Samples of one call. Default 500.</param>
    /// <returns>[samples, ...]; they belong to the caller.</returns>
    /// <exception cref="ArgumentException">Samples and labels do not fit, epsilon is negative or not finite, or the range is empty.</exception>
    public static Tensor Attack(nn.Module<Tensor, Tensor> model, Tensor X, Tensor labels, double epsilon, double low = 0, double high = 1, int batch = 500)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        Accuracy.CheckSamples(X, labels);
        Finite.NotNegative(epsilon);
        if (!(low < high)) throw new ArgumentOutOfRangeException(nameof(low), low, $"The range from {low} to {high} is empty.");
        bool training = model.training;
        model.eval();
        try
        {
            using DisposeScope scope = NewDisposeScope();
            var parts = new List<Tensor>();
            for (long from = 0; from < X.shape[0]; from += batch)
            {
                using DisposeScope inner = NewDisposeScope();
                long count = Math.Min(batch, X.shape[0] - from);
                Tensor part = X.narrow(0, from, count).detach().clone().requires_grad_(true);
                Tensor loss = nn.functional.cross_entropy(model.call(part), labels.narrow(0, from, count));
                Tensor gradient = autograd.grad([loss], [part])[0];
                parts.Add(part.detach().add(gradient.sign(), alpha: epsilon).clamp(low, high).MoveToOuterDisposeScope());
            }

            return cat([.. parts]).MoveToOuterDisposeScope();
        }
        finally
        {
            model.train(training);
        }
    }
}
