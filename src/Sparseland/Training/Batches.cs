using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>One mini-batch.</summary>
/// <param name="Input">What the network is given [batch, ...].</param>
/// <param name="Target">What it should answer: class numbers [batch], next tokens [batch, tokens], or what the loss asks for.</param>
public readonly record struct Batch(Tensor Input, Tensor Target);

/// <summary>
/// Mini-batches by number. Batch i is the same whenever and however often it is asked for: then a training can be taken up at any step
/// without a word about what came before.
/// </summary>
public interface IBatchSource
{
    /// <summary>What the batches are made of and how, in one line. A checkpoint keeps it, and is not taken up with other batches.</summary>
    string Description { get; }

    /// <summary>Batch i; its tensors belong to the caller.</summary>
    /// <param name="index">From 0, without an end.</param>
    Batch At(long index);
}

/// <summary>Samples with their labels, each once an epoch; the order depends on the seed and the epoch alone.</summary>
public sealed class SampleBatches : IBatchSource
{
    private readonly Tensor _X;
    private readonly Tensor _targets;
    private readonly int _batch;
    private readonly long _seed;
    private readonly bool _whole;
    private readonly EpochOrder _order;

    /// <summary>Batches of samples.</summary>
    /// <param name="X">[samples, ...]; stays the caller's.</param>
    /// <param name="targets">[samples, ...]; stays the caller's.</param>
    /// <param name="batch">Samples of a mini-batch; the last one of an epoch may be smaller.</param>
    /// <param name="seed">Seed of the order. Default 1.</param>
    /// <param name="whole">Whether a last mini-batch that would be smaller is left out of its epoch. Default false.</param>
    /// <exception cref="ArgumentException">No samples, as many targets as samples not given, a batch that is not positive, or fewer samples than one whole batch.</exception>
    public SampleBatches(Tensor X, Tensor targets, int batch, long seed = 1, bool whole = false)
    {
        ArgumentNullException.ThrowIfNull(X);
        ArgumentNullException.ThrowIfNull(targets);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        if (X.dim() < 1 || X.numel() == 0) throw new ArgumentException($"X must be [samples, ...] and not empty, but is [{string.Join(", ", X.shape)}].", nameof(X));
        if (targets.dim() < 1 || targets.shape[0] != X.shape[0])
            throw new ArgumentException($"targets are [{string.Join(", ", targets.shape)}]; they must be [{X.shape[0]}, ...], one per sample.", nameof(targets));
        if (whole && X.shape[0] < batch) throw new ArgumentException($"There are {X.shape[0]} samples, too few for one whole batch of {batch}.", nameof(batch));
        (_X, _targets, _batch, _seed, _whole) = (X, targets, batch, seed, whole);
        _order = new((int)X.shape[0], batch, seed, 800, whole);
    }

    /// <summary>Mini-batches of an epoch.</summary>
    public long PerEpoch => _order.PerEpoch;

    /// <inheritdoc/>
    public string Description => $"samples [{string.Join(", ", _X.shape)}], {_batch} a batch, seed {_seed}{(_whole ? ", whole" : "")}";

    /// <inheritdoc/>
    public Batch At(long index)
    {
        using Tensor rows = tensor(_order.At(index), device: _X.device);
        return new(_X.index_select(0, rows), _targets.index_select(0, rows));
    }
}

/// <summary>Windows of a text and the tokens that follow; every window once an epoch, see <see cref="TokenText.EpochStarts"/>.</summary>
public sealed class TextBatches : IBatchSource
{
    private readonly TokenText _text;
    private readonly int _batch;
    private readonly int _length;
    private readonly long _seed;
    private readonly Device? _device;
    private readonly int _perEpoch;
    private (int Epoch, int[] Starts) _current = (-1, []);

    /// <summary>Batches of windows.</summary>
    /// <param name="text">The text.</param>
    /// <param name="batch">Windows of a mini-batch.</param>
    /// <param name="length">Tokens of a window.</param>
    /// <param name="seed">Seed of the order. Default 1.</param>
    /// <param name="device">Where the batches go; CPU when null.</param>
    /// <exception cref="ArgumentException">A number is not positive, or the text is too short for one mini-batch.</exception>
    public TextBatches(TokenText text, int batch, int length, long seed = 1, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);

        // The shift of an epoch costs at most one window; an epoch's number of batches must not depend on it.
        _perEpoch = (((text.Count - 1) / length) - 1) / batch;
        if (_perEpoch < 1) throw new ArgumentException($"The text has {text.Count} tokens; {batch} windows of {length} and a random shift need {((batch + 1) * (long)length) + 1}.", nameof(text));
        (_text, _batch, _length, _seed, _device) = (text, batch, length, seed, device);
    }

    /// <summary>Mini-batches of an epoch; the windows that would not fill one more are left out.</summary>
    public int PerEpoch => _perEpoch;

    /// <summary>Tokens that a mini-batch predicts.</summary>
    public int TokensPerBatch => _batch * _length;

    /// <inheritdoc/>
    public string Description => $"text of {_text.Count} tokens, {_batch} windows of {_length} a batch, seed {_seed}";

    /// <inheritdoc/>
    public Batch At(long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        int epoch = checked((int)(index / _perEpoch)), place = (int)(index % _perEpoch);
        if (_current.Epoch != epoch) _current = (epoch, _text.EpochStarts(_length, _seed, epoch));
        (Tensor ids, Tensor next) = _text.Windows(_current.Starts.AsSpan(place * _batch, _batch), _length);
        if (_device is null || _device.type == DeviceType.CPU) return new(ids, next);
        using (ids)
        using (next)
            return new(ids.to(_device), next.to(_device));
    }
}
