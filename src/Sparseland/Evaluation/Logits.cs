using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Evaluation;

/// <summary>What a classifier answers to many samples.</summary>
public static class Logits
{
    /// <summary>Logits of all samples in evaluation mode, batch by batch, without gradients; the network's mode is as before afterwards.</summary>
    /// <param name="model">Classifier: [samples, ...] to logits [samples, classes].</param>
    /// <param name="X">[samples, ...], the network's type, not empty.</param>
    /// <param name="batch">Samples of one call. Default 500.</param>
    /// <returns>[samples, classes]; it belongs to the caller.</returns>
    /// <exception cref="ArgumentException">No samples, or a batch that is not positive.</exception>
    public static Tensor Of(nn.Module<Tensor, Tensor> model, Tensor X, int batch = 500)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(X);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        if (X.dim() < 2 || X.numel() == 0) throw new ArgumentException($"X must be [samples, ...] and not empty, but is [{string.Join(", ", X.shape)}].", nameof(X));
        bool training = model.training;
        model.eval();
        try
        {
            using IDisposable off = no_grad();
            using DisposeScope scope = NewDisposeScope();
            var parts = new List<Tensor>();
            for (long from = 0; from < X.shape[0]; from += batch)
            {
                using DisposeScope inner = NewDisposeScope();
                parts.Add(model.call(X.narrow(0, from, Math.Min(batch, X.shape[0] - from))).MoveToOuterDisposeScope());
            }

            return cat([.. parts]).MoveToOuterDisposeScope();
        }
        finally
        {
            model.train(training);
        }
    }
}
