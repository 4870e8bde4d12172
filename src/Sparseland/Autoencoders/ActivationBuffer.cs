using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>Settings of <see cref="ActivationBuffer"/>.</summary>
public sealed record ActivationBufferOptions
{
    /// <summary>Tokens held at once, at least fifty batches so that a batch is a mixture. Default 262,144.</summary>
    public int Capacity { get; init; } = 1 << 18;

    /// <summary>Seed of the order. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Whether the source begins anew, in another order, when it is used up; otherwise the run ends there with an exception. Default false.</summary>
    public bool Repeat { get; init; }

    /// <summary>Whether activations are held in float16, at half the memory. Default false.</summary>
    public bool Half { get; init; }
}

/// <summary>
/// Mini-batches of activations that mix tokens of many texts. Windows are drawn without replacement in an order of the seed; as many as fit are held
/// at once, and their tokens are served in a random order, each once. Neighbours of a text are alike, and a batch of neighbours is biased;
/// rules that choose across a batch give other codes on it.
/// </summary>
/// <remarks>
/// Batch i depends on source, seed and i alone, so a training goes on exactly where it stopped. Memory stays at the capacity. Several trainings, also on
/// several threads, may share one; they had better be at the same block, or each collects it anew.
/// </remarks>
public sealed class ActivationBuffer : IBatchSource, IDisposable
{
    private const int LeastBatches = 50;

    private readonly IActivationSource _source;
    private readonly ActivationBufferOptions _options;
    private readonly int _batch, _blockWindows, _blocks;
    private readonly bool _even;
    private readonly CancellationToken _cancel;
    private readonly IProgress<ProgressReport>? _progress;
    private readonly Lock _gate = new();
    private (long Epoch, int Block) _held = (-1, -1);
    private (long Epoch, int Block) _ordered = (-1, -1);
    private Tensor? _activations, _gradients;
    private NativeSize? _size;
    private long[] _order = [];

    /// <summary>Prepares batches; nothing is computed before the first is asked for.</summary>
    /// <param name="source">Where activations come from.</param>
    /// <param name="batch">Tokens of a batch.</param>
    /// <param name="options">Settings; null for their defaults.</param>
    /// <param name="progress">Reported while activations are collected; null, the default, for none.</param>
    /// <param name="cancel">Stops the collecting. Never by default.</param>
    /// <exception cref="ArgumentException">The source has fewer tokens than a batch, or the capacity is below fifty batches and below what the source has.</exception>
    public ActivationBuffer(IActivationSource source, int batch, ActivationBufferOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        (_source, _batch, _options, _progress, _cancel) = (source, batch, options ?? new(), progress, cancel);
        long tokens = (long)source.Windows * source.TokensPerWindow, capacity = Math.Min(_options.Capacity, tokens);
        if (tokens < batch) throw new ArgumentException($"The source has {tokens} tokens, fewer than a batch of {batch}.", nameof(source));
        if (capacity < Math.Min(tokens, (long)LeastBatches * batch))
            throw new ArgumentException($"Capacity is {_options.Capacity} tokens; it must be at least {LeastBatches} batches of {batch}, {(long)LeastBatches * batch}, or all {tokens} of the source.", nameof(options));

        // Blocks of one size, and what is left over for the last; where that is less than half of the others, blocks of equal size to one window, so that no small block at
        // the end is badly mixed.
        int most = (int)Math.Max(1, capacity / source.TokensPerWindow);
        _blocks = (source.Windows + most - 1) / most;
        _blockWindows = (source.Windows + _blocks - 1) / _blocks;
        _even = source.Windows - ((_blocks - 1) * _blockWindows) < _blockWindows / 2;
        PerEpoch = Enumerable.Range(0, _blocks).Sum(block => (long)BatchesOf(block));
    }

    /// <inheritdoc/>
    public string Description => $"{_source.Description}; {_batch} tokens a batch, {_blocks} x {_blockWindows} windows mixed{(_even ? " evenly" : "")}, seed {_options.Seed}{(_options.Half ? ", float16" : "")}";

    /// <summary>Batches until the source is used up; the tokens that would not fill one more are left out.</summary>
    public long PerEpoch { get; }

    /// <summary>Whether the source begins anew when it is used up.</summary>
    public bool Repeat => _options.Repeat;

    /// <summary>d.</summary>
    public int Width => _source.Width;

    /// <summary>Batch i: activations as its input [batch, d], gradients as its target where the source has them, else an empty tensor.</summary>
    /// <param name="index">From 0.</param>
    /// <exception cref="InvalidOperationException">The source is used up.</exception>
    /// <exception cref="InvalidDataException">An activation is not finite, or out of the range of float16 where it is held so; the message names window and token. Or the source gives other rows than it says.</exception>
    /// <exception cref="OperationCanceledException">Cancelled while activations were collected.</exception>
    public Batch At(long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        (long epoch, long place) = Math.DivRem(index, PerEpoch);
        if (epoch > 0 && !Repeat)
            throw new InvalidOperationException($"Batch {index + 1} was asked for, but the source has {PerEpoch} of {_batch} tokens. Take fewer steps, a longer text, or set {nameof(ActivationBufferOptions.Repeat)}.");
        int block = 0;
        for (; place >= BatchesOf(block); block++) place -= BatchesOf(block);
        lock (_gate)
        {
            Hold(epoch, block);
            using Tensor rows = tensor(_order.AsSpan((int)place * _batch, _batch).ToArray());
            return new(Rows(_activations!, rows), _gradients is null ? empty(0) : Rows(_gradients, rows));
        }
    }

    /// <summary>Frees what is held.</summary>
    public void Dispose()
    {
        lock (_gate) Free();
    }

    private void Free()
    {
        _activations?.Dispose();
        _gradients?.Dispose();
        _size?.Dispose();
        (_activations, _gradients, _held) = (null, null, (-1, -1));
    }

    private int BatchesOf(int block) => (int)((long)WindowsOf(block) * _source.TokensPerWindow / _batch);

    private int FirstOf(int block) => _even ? (int)((long)block * _source.Windows / _blocks) : Math.Min(block * _blockWindows, _source.Windows);

    private int WindowsOf(int block) => FirstOf(block + 1) - FirstOf(block);

    private static Tensor Rows(Tensor matrix, Tensor rows)
    {
        Tensor some = matrix.index_select(0, rows);
        if (some.dtype != ScalarType.Float16) return some;
        using (some) return some.to(ScalarType.Float32);
    }

    private void Hold(long epoch, int block)
    {
        // One block holds the same tokens in every epoch; only their order is new.
        (long, int) wanted = _blocks == 1 ? (0, 0) : (epoch, block);
        if (_held != wanted)
        {
            Free();
            Fill(epoch, block);
            _size = NativeSize.Of(_activations, _gradients);
            _held = wanted;
        }

        if (_ordered == (epoch, block)) return;
        _order = new SeededRandom(_options.Seed, 620 + (2 * ((epoch * _blocks) + block))).Permutation<long>(WindowsOf(block) * _source.TokensPerWindow);
        _ordered = (epoch, block);
    }

    private void Fill(long epoch, int block)
    {
        int[] windows = [.. Enumerable.Range(0, _source.Windows)];
        if (_blocks > 1) new SeededRandom(_options.Seed, 621 + (2 * epoch)).Shuffle(windows.AsSpan());
        windows = windows[FirstOf(block)..FirstOf(block + 1)];
        using IDisposable off = no_grad();
        int tokens = _source.TokensPerWindow, some = Math.Max(1, 4096 / tokens);
        ScalarType? type = _options.Half ? ScalarType.Float16 : null;
        for (int from = 0; from < windows.Length; from += some)
        {
            _cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            int[] part = windows[from..Math.Min(windows.Length, from + some)];
            ActivationRows rows = CheckedRows.Of(_source, part, _cancel);
            CheckFinite(rows.Activations, part, "An activation");
            Put(ref _activations, rows.Activations);
            if (rows.Gradients is not null)
            {
                CheckFinite(rows.Gradients, part, "A gradient");
                Put(ref _gradients, rows.Gradients);
            }

            _progress?.Report(new(from + part.Length, windows.Length, "collecting activations"));
            void Put(ref Tensor? target, Tensor source)
            {
                target ??= empty([(long)windows.Length * tokens, _source.Width], dtype: type ?? source.dtype).DetachFromDisposeScope();
                target.narrow(0, (long)from * tokens, source.shape[0]).copy_(source);
                if (type is not null) CheckHalf(source, part, ReferenceEquals(source, rows.Gradients));
            }
        }
    }

    private void CheckHalf(Tensor rows, int[] windows, bool gradients)
    {
        double largest = TensorInput.LargestMagnitude(rows);
        if (largest >= HalfRange.LeastInfinite)
        {
            long row = rows.abs().amax([1L]).ge(HalfRange.LeastInfinite).nonzero()[0, 0].item<long>();
            throw new InvalidDataException($"{(gradients ? "A gradient" : "An activation")} lies above 65504, the largest number of float16: token {row % _source.TokensPerWindow} of window {windows[row / _source.TokensPerWindow]} ({_source.Description}). Set {nameof(ActivationBufferOptions.Half)} to false, or leave such tokens out ({nameof(OrdinaryTokens)}).");
        }

        if (HalfRange.Vanishes(largest))
            throw new InvalidDataException(FormattableString.Invariant($"{(gradients ? "Gradients" : "Activations")} are {largest:G3} at most in windows {windows[0]} to {windows[^1]}, too small for float16 ({_source.Description}). Set {nameof(ActivationBufferOptions.Half)} to false."));
    }

    private void CheckFinite(Tensor rows, int[] windows, string what)
    {
        if (FiniteRows.FirstBad(rows) is { } row)
            throw new InvalidDataException($"{what} is not finite: token {row % _source.TokensPerWindow} of window {windows[row / _source.TokensPerWindow]} ({_source.Description}).");
    }
}
