using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// Batches whose gradients are shuffled among their tokens: the control of a <see cref="GradientTopKRule"/>. Each latent keeps its average influence, and what
/// is specific to a token is gone; a gain that a training on these batches shares is no evidence for gradients of tokens.
/// </summary>
public sealed class GradientPermutation : IBatchSource
{
    private readonly IBatchSource _batches;
    private readonly long _seed;

    /// <summary>Shuffles the gradients of other batches.</summary>
    /// <param name="batches">Activations [tokens, d] as the input of each batch, gradients of the same shape as its target.</param>
    /// <param name="seed">Seed of the shuffles; batch i depends on it and i alone. Default 1.</param>
    public GradientPermutation(IBatchSource batches, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(batches);
        (_batches, _seed) = (batches, seed);
    }

    /// <inheritdoc/>
    public string Description => $"{_batches.Description}, gradients shuffled with seed {_seed}";

    /// <summary>Batch i with its gradients in another order.</summary>
    /// <param name="index">From 0.</param>
    /// <exception cref="InvalidOperationException">The batches have no gradients.</exception>
    public Batch At(long index)
    {
        Batch batch = _batches.At(index);
        if (batch.Target is null || !batch.Target.shape.SequenceEqual(batch.Input.shape))
            throw new InvalidOperationException($"There are no gradients to shuffle in these batches ({_batches.Description}).");
        long[] order = new SeededRandom(_seed, 660 + index).Permutation<long>((int)batch.Input.shape[0]);
        using Tensor gradients = batch.Target, rows = tensor(order);
        return batch with { Target = gradients.index_select(0, rows) };
    }
}
