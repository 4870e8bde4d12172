using Sparseland.Models.Diffusion;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Noisy samples with the noise to be predicted; samples, times and noise of a batch depend on the seed and its number alone.</summary>
public sealed class DiffusionBatches : IBatchSource
{
    private readonly Tensor _x;
    private readonly DiffusionSchedule _schedule;
    private readonly int _batch;
    private readonly long _seed;

    /// <summary>Batches of samples drawn with replacement.</summary>
    /// <param name="x">Samples [n, values], Float32; they stay the caller's.</param>
    /// <param name="schedule">How noise comes in.</param>
    /// <param name="batch">Samples of a batch, at least 1.</param>
    /// <param name="seed">Seed of the draws. Default 1.</param>
    /// <exception cref="ArgumentException">No samples, or a batch that is not positive.</exception>
    public DiffusionBatches(Tensor x, DiffusionSchedule schedule, int batch, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        TensorInput.CheckMatrix(x, nameof(x), "[samples, values]");
        (_x, _schedule, _batch, _seed) = (x, schedule, batch, seed);
    }

    /// <inheritdoc/>
    public string Description => $"samples [{string.Join(", ", _x.shape)}] with noise, {_batch} a batch, seed {_seed}";

    /// <summary>Batch i: samples with their times in the last column [batch, values + 1], and the noise [batch, values].</summary>
    /// <param name="index">From 0, without an end.</param>
    public Batch At(long index)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        var random = new SeededRandom(_seed, (2 * index) + 1);
        var places = new long[_batch];
        for (int i = 0; i < places.Length; i++) places[i] = random.NextInt((int)_x.shape[0]);
        (Tensor noisy, IReadOnlyList<int> times, Tensor noise) = _schedule.Draw(_x.index_select(0, tensor(places)), _seed, (2 * index) + 2);
        return new(NoisePredictor.WithTimes(noisy, times).MoveToOuterDisposeScope(), noise.MoveToOuterDisposeScope());
    }
}
