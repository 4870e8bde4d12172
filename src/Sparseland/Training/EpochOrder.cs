using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>Which samples a mini-batch takes, each once an epoch: the order depends on seed, stream and epoch alone, so that batch i is the same whenever it is asked for.</summary>
/// <param name="samples">How many there are.</param>
/// <param name="batch">Samples of a mini-batch.</param>
/// <param name="seed">Seed of the orders.</param>
/// <param name="stream">Stream of the first epoch.</param>
/// <param name="whole">Whether a last mini-batch that would be smaller is left out of its epoch.</param>
internal sealed class EpochOrder(int samples, int batch, long seed, long stream, bool whole)
{
    private (long Epoch, long[] Order) _current = (-1, []);

    /// <summary>Mini-batches of an epoch.</summary>
    public long PerEpoch => whole ? samples / batch : ((long)samples + batch - 1) / batch;

    /// <summary>Numbers of the samples of a mini-batch.</summary>
    /// <param name="index">From 0, without an end.</param>
    public long[] At(long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        (long epoch, long place) = Math.DivRem(index, PerEpoch);
        if (_current.Epoch != epoch)
        {
            long[] order = new SeededRandom(seed, stream + epoch).Permutation<long>(samples);
            _current = (epoch, order);
        }

        int from = (int)place * batch;
        return _current.Order[from..Math.Min(samples, from + batch)];
    }
}
