using Sparseland.Models.Language;
using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>
/// Windows of a text that begin anywhere, drawn uniformly and with replacement, and the tokens that follow. <see cref="TextBatches"/> gives every window once an epoch
/// instead.
/// </summary>
public sealed class RandomWindows : IBatchSource
{
    private readonly TokenText _text;
    private readonly int _batch;
    private readonly int _length;
    private readonly long _seed;

    /// <summary>Batches of windows.</summary>
    /// <param name="text">The text.</param>
    /// <param name="batch">Windows of a mini-batch.</param>
    /// <param name="length">Tokens of a window.</param>
    /// <param name="seed">Seed of the draw. Default 1.</param>
    /// <exception cref="ArgumentException">A number is not positive, or the text is too short for a window and a token behind it.</exception>
    public RandomWindows(TokenText text, int batch, int length, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        if (text.Count <= length) throw new ArgumentException($"The text has {text.Count} tokens, too few for a window of {length} and a token to predict behind it.", nameof(text));
        (_text, _batch, _length, _seed) = (text, batch, length, seed);
    }

    /// <inheritdoc/>
    public string Description => $"text of {_text.Count} tokens, {_batch} windows of {_length} from anywhere a batch, seed {_seed}";

    /// <inheritdoc/>
    public Batch At(long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        var random = new SeededRandom(_seed, 1_000_000 + index);
        int[] starts = new int[_batch];
        for (int i = 0; i < _batch; i++) starts[i] = random.NextInt(_text.Count - _length);
        (TorchSharp.torch.Tensor ids, TorchSharp.torch.Tensor next) = _text.Windows(starts, _length);
        return new(ids, next);
    }
}
