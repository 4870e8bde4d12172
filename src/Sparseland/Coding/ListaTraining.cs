using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Coding;

/// <summary>Options of <see cref="ListaTraining"/>.</summary>
public sealed record ListaTrainingOptions
{
    /// <summary>Passes over the training samples. Default 100.</summary>
    public int Epochs { get; init; } = 100;

    /// <summary>Samples of a mini-batch. Default 128.</summary>
    public int BatchSize { get; init; } = 128;

    /// <summary>Adam's learning rate; falls to a tenth along a cosine. Default 1e-3.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>Seed of the order of the samples. Default 0.</summary>
    public int Seed { get; init; }
}

/// <summary>Trains a <see cref="Lista"/> end to end to predict codes: minimizes ||a - a*||^2 per sample.</summary>
public static class ListaTraining
{
    /// <summary>Trains in place.</summary>
    /// <param name="network">The network.</param>
    /// <param name="X">[samples, features], of the network's type.</param>
    /// <param name="targets">a* [samples, atoms], planted codes or lasso solutions.</param>
    /// <param name="options">Epochs, batches, rate, seed; null for the defaults of the record.</param>
    /// <param name="progress">Epochs done.</param>
    /// <param name="cancel">Leaves the weights as the last whole mini-batch left them.</param>
    /// <returns>Mean loss of each epoch.</returns>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit, or an option is out of its range.</exception>
    public static IReadOnlyList<double> Fit(
        Lista network, Tensor X, Tensor targets, ListaTrainingOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        options ??= new ListaTrainingOptions();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.Epochs, nameof(options));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.BatchSize, nameof(options));
        Finite.Positive(options.LearningRate, nameof(options.LearningRate));
        TensorInput.CheckMatrix(X, nameof(X), "[samples, features]");
        TensorInput.CheckMatrix(targets, nameof(targets), "[samples, atoms]");
        if (X.shape[0] != targets.shape[0]) throw new ArgumentException($"There are {X.shape[0]} samples but {targets.shape[0]} codes.", nameof(targets));
        using optim.Optimizer adam = optim.Adam(network.parameters(), options.LearningRate);
        int samples = (int)X.shape[0], size = Math.Min(options.BatchSize, samples), perEpoch = (samples + size - 1) / size;
        var losses = new List<double>();
        for (int epoch = 0; epoch < options.Epochs; epoch++)
        {
            var random = new SeededRandom(options.Seed, 300 + epoch);
            long[] order = random.Permutation<long>(samples);
            double sum = 0;
            for (int from = 0; from < samples; from += size)
            {
                cancel.ThrowIfCancellationRequested();
                using var scope = NewDisposeScope();
                double done = (epoch + (double)from / samples) / options.Epochs;
                foreach (var group in adam.ParamGroups)
                    group.LearningRate = options.LearningRate * (0.1 + 0.9 * (1 + Math.Cos(Math.PI * done)) / 2);
                Tensor rows = tensor(order[from..Math.Min(samples, from + size)]);
                Tensor loss = network.call(X.index_select(0, rows)).sub(targets.index_select(0, rows)).square().sum(1).mean();
                adam.zero_grad();
                GradientPass.Run(loss);
                adam.step();
                sum += loss.to(ScalarType.Float64).item<double>();
            }

            losses.Add(sum / perEpoch);
            if (!double.IsFinite(sum)) throw new DivergenceException($"Training left the finite numbers in epoch {epoch + 1}; take a learning rate below {options.LearningRate:G3}.");
            progress?.Report(new ProgressReport(epoch + 1, options.Epochs, $"loss {losses[^1]:G3}"));
        }

        return losses;
    }
}
