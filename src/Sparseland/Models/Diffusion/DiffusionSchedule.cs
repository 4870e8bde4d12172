using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Diffusion;

/// <summary>
/// How noise comes into samples step by step, and out of them again (DDPM; Ho et al. 2020): with betas in a straight line and abar the running product of 1 - beta, x_t = sqrt(abar_t) x + sqrt(1 - abar_t) e,
/// e standard normal; t runs from 0 to Steps - 1.
/// </summary>
public sealed class DiffusionSchedule
{
    private readonly double[] _betas, _bars;

    /// <summary>A schedule.</summary>
    /// <param name="steps">T, at least 2. Default 100.</param>
    /// <param name="betaStart">First beta, above 0. Default 1e-3.</param>
    /// <param name="betaEnd">Last beta, not below the first and below 1. Default 0.15.</param>
    /// <exception cref="ArgumentException">A value out of its range.</exception>
    public DiffusionSchedule(int steps = 100, double betaStart = 1e-3, double betaEnd = 0.15)
    {
        if (steps < 2) throw new ArgumentOutOfRangeException(nameof(steps), steps, "steps must be at least 2.");
        if (!(betaStart is > 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(betaStart), betaStart, "betaStart must lie between 0 and 1.");
        if (!(betaEnd >= betaStart && betaEnd < 1)) throw new ArgumentOutOfRangeException(nameof(betaEnd), betaEnd, $"betaEnd must be from betaStart ({betaStart}) to below 1.");
        _betas = [.. Enumerable.Range(0, steps).Select(t => betaStart + ((betaEnd - betaStart) * t / (steps - 1)))];
        _bars = new double[steps];
        double bar = 1;
        for (int t = 0; t < steps; t++) _bars[t] = bar *= 1 - _betas[t];
    }

    /// <summary>T.</summary>
    public int Steps => _betas.Length;

    /// <summary>beta of each step.</summary>
    public IReadOnlyList<double> Betas => _betas;

    /// <summary>abar of each step: the share of the signal's variance that is left.</summary>
    public IReadOnlyList<double> SignalShares => _bars;

    /// <summary>x_t.</summary>
    /// <param name="x">Samples [n, values].</param>
    /// <param name="times">t of each [n].</param>
    /// <param name="noise">e, of the shape of x.</param>
    /// <exception cref="ArgumentException">Shapes that do not fit, or a time that there is not.</exception>
    public Tensor AddNoise(Tensor x, IReadOnlyList<int> times, Tensor noise)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(times);
        ArgumentNullException.ThrowIfNull(noise);
        CheckSamples(x);
        if (x.shape[0] != times.Count) throw new ArgumentException($"x must be [{times.Count}, values], but is [{string.Join(", ", x.shape)}].", nameof(x));
        if (!noise.shape.SequenceEqual(x.shape)) throw new ArgumentException($"noise is [{string.Join(", ", noise.shape)}] and x [{string.Join(", ", x.shape)}].", nameof(noise));
        CheckTimes(times);
        using DisposeScope scope = NewDisposeScope();
        Tensor signal = Column(times, t => Math.Sqrt(_bars[t]), x.dtype), share = Column(times, t => Math.Sqrt(1 - _bars[t]), x.dtype);
        return (x * signal + noise * share).MoveToOuterDisposeScope();
    }

    /// <summary>Noisy samples, their times and the noise, drawn from a seed: what a predictor of noise is trained and tested on.</summary>
    /// <param name="x">Samples [n, values], Float32.</param>
    /// <param name="seed">Seed of times and noise.</param>
    /// <param name="stream">Which of the independent draws of this seed. Default 0.</param>
    /// <returns>x_t [n, values], t [n] and e [n, values].</returns>
    /// <exception cref="ArgumentException">x is no matrix.</exception>
    public (Tensor Noisy, IReadOnlyList<int> Times, Tensor Noise) Draw(Tensor x, long seed, long stream = 0)
    {
        ArgumentNullException.ThrowIfNull(x);
        CheckSamples(x);
        var random = new SeededRandom(seed, stream);
        var times = new int[x.shape[0]];
        for (int i = 0; i < times.Length; i++) times[i] = random.NextInt(Steps);
        Tensor noise = Gaussian(ref random, x.shape);
        return (AddNoise(x, times, noise), times, noise);
    }

    /// <summary>Mean squared error of the predicted noise over all values, with times and noise drawn from a seed: the same draws for every predictor.</summary>
    /// <param name="predictor">From x_t and t to e.</param>
    /// <param name="x">Samples [n, values], Float32.</param>
    /// <param name="seed">Seed of the draws.</param>
    /// <param name="draws">Draws per sample, at least 1. Default 1.</param>
    /// <exception cref="ArgumentException">Something does not fit.</exception>
    public double Loss(NoisePredictor predictor, Tensor x, long seed, int draws = 1)
    {
        ArgumentNullException.ThrowIfNull(predictor);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(draws);
        double sum = 0;
        using IDisposable off = no_grad();
        for (int draw = 0; draw < draws; draw++)
        {
            using DisposeScope scope = NewDisposeScope();
            (Tensor noisy, IReadOnlyList<int> times, Tensor noise) = Draw(x, seed, draw);
            sum += predictor.Predict(noisy, times).sub(noise).square().mean().to(ScalarType.Float64).item<double>();
        }

        return sum / draws;
    }

    /// <summary>New samples by ancestral sampling: from pure noise, step by step, x_{t-1} = (x_t - beta_t / sqrt(1 - abar_t) e) / sqrt(1 - beta_t) + sqrt(beta_t) z, without z in the last step.</summary>
    /// <param name="predictor">From x_t and t to e.</param>
    /// <param name="count">Number of samples, at least 1.</param>
    /// <param name="seed">Seed of all noise.</param>
    /// <param name="progress">Reported after each step; null, the default, for none.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <returns>[count, values].</returns>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public Tensor Sample(NoisePredictor predictor, int count, long seed, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(predictor);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        using DisposeScope whole = NewDisposeScope();
        using IDisposable off = no_grad();
        var random = new SeededRandom(seed, 0xD1FF);
        long[] shape = [count, predictor.Values];
        Tensor x = Gaussian(ref random, shape);
        for (int t = Steps - 1; t >= 0; t--)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            int[] times = [.. Enumerable.Repeat(t, count)];
            Tensor next = x.sub(predictor.Predict(x, times).mul(_betas[t] / Math.Sqrt(1 - _bars[t]))).div(Math.Sqrt(1 - _betas[t]));
            if (t > 0) next = next.add(Gaussian(ref random, shape).mul(Math.Sqrt(_betas[t])));
            x = next.MoveToOuterDisposeScope();
            progress?.Report(new(Steps - t, Steps, "denoising"));
        }

        return x.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"DiffusionSchedule of {Steps} steps, beta {_betas[0]} to {_betas[^1]}");

    private static void CheckSamples(Tensor x)
    {
        if (x.dim() != 2 || x.shape[0] == 0) throw new ArgumentException($"x must be [n, values] with at least one sample, but is [{string.Join(", ", x.shape)}].", nameof(x));
        if (x.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"x is {x.dtype}; samples are Float32 or Float64.", nameof(x));
        if (!TensorInput.IsFinite(x)) throw new ArgumentException("x holds NaN or infinity.", nameof(x));
    }

    private void CheckTimes(IReadOnlyList<int> times)
    {
        foreach (int t in times)
        {
            if (t < 0 || t >= Steps) throw new ArgumentException($"There is no time {t}; they run from 0 to {Steps - 1}.", nameof(times));
        }
    }

    private static Tensor Column(IReadOnlyList<int> times, Func<int, double> value, ScalarType type) => tensor((double[])[.. times.Select(value)], [times.Count, 1]).to(type);

    private static Tensor Gaussian(ref SeededRandom random, long[] shape)
    {
        var values = new float[shape[0] * shape[1]];
        for (int i = 0; i < values.Length; i++) values[i] = (float)random.NextGaussian();
        return tensor(values, shape);
    }
}
