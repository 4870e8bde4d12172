using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Means and variances of batch normalisation measured anew: those of a network whose weights were pruned or averaged belong to other weights, and make it
/// look broken. Every network that is compared after such a change goes through the same recalibration.
/// </summary>
public static class RecalibrateBatchNorm
{
    /// <summary>Batch norm layers of a network that keep running statistics.</summary>
    /// <param name="model">The network.</param>
    public static IReadOnlyList<BatchNorm> LayersOf(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return [.. model.modules().OfType<BatchNorm>().Where(layer => layer.track_running_stats)];
    }

    /// <summary>
    /// Forgets the running statistics and takes the plain mean of those of some batches, forward in training mode and without gradients. Weights and the
    /// network's mode stay; a network without batch norm is left alone.
    /// </summary>
    /// <param name="model">The network.</param>
    /// <param name="X">Training samples [samples, ...]; every image of it is seen once, in order.</param>
    /// <param name="batch">Samples of a batch, at least 2; a last one of a single sample is left out. Default 500.</param>
    /// <param name="cancel">Checked before each batch. The statistics are then those of the batches so far.</param>
    /// <returns>Batches seen.</returns>
    /// <exception cref="ArgumentException">Fewer than two samples, or batches of fewer than two.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static int Run(nn.Module<Tensor, Tensor> model, Tensor X, int batch = 500, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(X);
        ArgumentOutOfRangeException.ThrowIfLessThan(batch, 2);
        if (X.dim() < 2 || X.shape[0] < 2) throw new ArgumentException($"X must be [samples, ...] with at least 2 samples, but is [{string.Join(", ", X.shape)}].", nameof(X));
        IReadOnlyList<BatchNorm> layers = LayersOf(model);
        if (layers.Count == 0) return 0;
        bool training = model.training;
        double?[] momenta = [.. layers.Select(layer => layer.momentum)];
        int seen = 0;
        try
        {
            using IDisposable off = no_grad();
            foreach (BatchNorm layer in layers) layer.reset_running_stats();
            model.train();
            for (long from = 0; from + 1 < X.shape[0]; from += batch, seen++)
            {
                cancel.ThrowIfCancellationRequested();

                // The plain mean of all batches: the n-th one has the weight 1/n against those before it.
                foreach (BatchNorm layer in layers) layer.momentum = 1.0 / (seen + 1);
                using DisposeScope scope = NewDisposeScope();
                _ = model.call(X.narrow(0, from, Math.Min(batch, X.shape[0] - from)));
            }
        }
        finally
        {
            for (int i = 0; i < layers.Count; i++) layers[i].momentum = momenta[i];
            model.train(training);
        }

        return seen;
    }
}
