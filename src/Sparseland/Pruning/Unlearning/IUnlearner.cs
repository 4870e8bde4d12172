using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>A way to remove the influence of some training samples from a trained network. Masks stay as they are.</summary>
public interface IUnlearner
{
    /// <summary>Short name.</summary>
    string Name { get; }

    /// <summary>Makes a network that is to behave as if it had been trained on what stays alone.</summary>
    /// <param name="create">Makes a network of the same make with first weights: retraining begins there, for all others they do not matter.</param>
    /// <param name="original">The trained network with its masks, if it has any; it stays.</param>
    /// <param name="data">What stays and what is forgotten.</param>
    /// <param name="seed">Seed of orders and draws. Default 1.</param>
    /// <param name="progress">Reported on the way.</param>
    /// <param name="cancel">Checked at least after each mini-batch.</param>
    /// <exception cref="ArgumentException">A setting is out of its range.</exception>
    Unlearned Run(
        Func<nn.Module<Tensor, Tensor>> create, SparseSnapshot original, UnlearnData data, long seed = 1, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default);
}

/// <summary>What an unlearner left behind.</summary>
/// <param name="Method">Its name.</param>
/// <param name="Network">The network; it belongs to this.</param>
/// <param name="Seconds">Time it took (RTE), on the threads it was given.</param>
/// <param name="Seen">Numbers of the training samples that it looked at.</param>
public sealed record Unlearned(string Method, SparseSnapshot Network, double Seconds, IReadOnlySet<int> Seen) : IDisposable
{
    /// <summary>Frees the network.</summary>
    public void Dispose() => Network.Dispose();

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"Unlearned by {Method} in {Seconds:0.00} s, {Seen.Count} samples seen");
}
