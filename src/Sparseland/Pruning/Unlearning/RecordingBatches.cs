using Sparseland.Data;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>Mini-batches, in the order of <see cref="SampleBatches"/>, that remember which samples of the whole training set they gave: proof of what a training has seen.</summary>
public sealed class RecordingBatches : IBatchSource, IDisposable
{
    private readonly LabelledImages _set;
    private readonly IReadOnlyList<int> _numbers;
    private readonly Tensor _all;
    private readonly NativeSize _size;
    private readonly SampleBatches _positions;
    private readonly HashSet<int> _seen = [];

    /// <summary>Batches of a part of a set.</summary>
    /// <param name="set">The part; stays the caller's and must outlive the batches.</param>
    /// <param name="numbers">Number of each of its images in the whole set.</param>
    /// <param name="batch">Images of a mini-batch.</param>
    /// <param name="seed">Seed of the order. Default 1.</param>
    /// <exception cref="ArgumentException">Not a number for each image, or a batch that is not positive.</exception>
    public RecordingBatches(LabelledImages set, IReadOnlyList<int> numbers, int batch, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(set);
        ArgumentNullException.ThrowIfNull(numbers);
        if (numbers.Count != set.Count) throw new ArgumentException($"There are {numbers.Count} numbers for {set.Count} images.", nameof(numbers));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        _all = arange(set.Count, dtype: ScalarType.Int64).DetachFromDisposeScope();
        (_set, _numbers, _positions, _size) = (set, numbers, new(_all, _all, batch, seed), NativeSize.Of(_all));
    }

    /// <summary>Numbers of all images that were given out so far.</summary>
    public IReadOnlySet<int> Seen => _seen;

    /// <inheritdoc/>
    public string Description => _positions.Description;

    /// <inheritdoc/>
    public Batch At(long index)
    {
        Batch which = _positions.At(index);
        using (which.Input)
        using (Tensor planes = _set.Planes())
        {
            foreach (long position in which.Target.data<long>()) _seen.Add(_numbers[(int)position]);
            Tensor labels = _set.Labels.index_select(0, which.Target);
            Batch batch = new(planes.index_select(0, which.Target), labels);
            which.Target.Dispose();
            return batch;
        }
    }

    /// <summary>Frees what it holds of its own; the images stay.</summary>
    public void Dispose()
    {
        _all.Dispose();
        _size.Dispose();
    }
}
