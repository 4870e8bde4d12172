using Sparseland.Tensors;
using TorchSharp;

namespace Sparseland.Training;

/// <summary>
/// Batches that are made once and kept, for several trainings on the same ones: where making a batch costs as much as a step, all but the first
/// get them for the price of a copy. May be used from several threads.
/// </summary>
/// <remarks>Memory grows with each new batch, up to the limit; dispose it when the trainings are done.</remarks>
public sealed class KeptBatches : IBatchSource, IDisposable
{
    private readonly IBatchSource _source;
    private readonly Dictionary<long, (Batch Batch, NativeSize Size)> _kept = [];
    private readonly int _most;

    /// <summary>Keeps the batches of a source.</summary>
    /// <param name="source">Asked for one batch at a time; stays the caller's.</param>
    /// <param name="most">Batches kept; those with higher numbers are made anew each time. Default 100,000.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative number.</exception>
    public KeptBatches(IBatchSource source, int most = 100_000)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentOutOfRangeException.ThrowIfNegative(most);
        (_source, _most) = (source, most);
    }

    /// <inheritdoc/>
    public string Description => _source.Description;

    /// <summary>Batches kept now.</summary>
    public int Count
    {
        get
        {
            lock (_kept) return _kept.Count;
        }
    }

    /// <inheritdoc/>
    public Batch At(long index)
    {
        lock (_kept)
        {
            if (index >= _most) return _source.At(index);
            if (!_kept.TryGetValue(index, out (Batch Batch, NativeSize Size) kept))
            {
                // No scope of a caller may free what stays.
                Batch made = _source.At(index);
                kept = (new(made.Input.DetachFromDisposeScope(), made.Target.DetachFromDisposeScope()), NativeSize.Of(made.Input, made.Target));
                _kept.Add(index, kept);
            }

            return new(kept.Batch.Input.clone(), kept.Batch.Target.clone());
        }
    }

    /// <summary>Frees what is kept; it can be used again.</summary>
    public void Dispose()
    {
        lock (_kept)
        {
            foreach ((Batch batch, NativeSize size) in _kept.Values)
            {
                batch.Input.Dispose();
                batch.Target.Dispose();
                size.Dispose();
            }

            _kept.Clear();
        }
    }
}
