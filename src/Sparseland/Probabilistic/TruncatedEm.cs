using System.Diagnostics;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Probabilistic;

/// <summary>
/// Truncated EM for all models of <see cref="TruncatedSparseCoder"/>: perturb the parameters, E-step over truncated posteriors, M-step, along
/// an <see cref="AnnealingSchedule"/> (Lücke and Eggert 2010; Exarchakis et al., arXiv 1908.06843).
/// </summary>
public static class TruncatedEm
{
    /// <summary>Learns a model.</summary>
    /// <param name="model">Where to start.</param>
    /// <param name="Y">[points, features], at least as many points as components.</param>
    /// <param name="options">Truncation, schedule, seed.</param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked within each step.</param>
    /// <exception cref="ArgumentException">Shapes, values or options do not fit.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; <see cref="TruncatedEmOptions.OnStep"/> has seen the last state.</exception>
    public static TruncatedEmResult<TModel> Run<TModel>(
        TModel model, Tensor Y, TruncatedEmOptions options, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
        where TModel : TruncatedSparseCoder
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate(model);
        double[] data = ProbabilisticInput.Data(Y, model.Features);
        CheckCount(data.Length / model.Features, model.Components);
        var clock = Stopwatch.StartNew();
        Truncation truncation = options.Truncation;
        StateSet states = StateSet.Build(truncation.Candidates, truncation.Active, model.Values.Count);
        var trace = new List<TruncatedEmStep>();
        for (int step = options.StartStep; step < options.Schedule.Steps; step++)
        {
            Annealing at = options.Schedule.At(step);
            TruncatedSparseCoder noisy = Perturbed(model, at, options.Seed, step);
            PointData points = Points(data, model, at, options.Seed, step);
            ExpectationStep e = Expectation.Run(noisy, points, states, at, truncation.Active, options.Threads, cancel);
            model = (TModel)noisy.Maximise(e, truncation);
            trace.Add(new(step + 1, at.Temperature, e.LogLikelihood, e.FreeEnergy, e.CutLogLikelihood, e.Used, model.Sigma, model.Activity));
            options.OnStep?.Invoke(trace[^1], model);
            progress?.Report(new(step + 1, options.Schedule.Steps, FormattableString.Invariant($"log-likelihood {e.LogLikelihood:F2}")));
        }

        ExpectationStep final = Expectation.Run(model, new PointData(data, model.Features), states, Annealing.None, truncation.Active, options.Threads, cancel);
        return new(model, trace, final, clock.Elapsed.TotalSeconds);
    }

    /// <summary>Learns from several starts and keeps the run whose final truncated log-likelihood on the training data is highest.</summary>
    /// <param name="start">The model to start from, given the number of the run, from 0. The run also has its own noise.</param>
    /// <param name="restarts">Runs, at least 1.</param>
    /// <param name="Y">[points, features].</param>
    /// <param name="options">Truncation, schedule, seed.</param>
    /// <param name="progress">Runs done.</param>
    /// <param name="cancel">Checked within each step.</param>
    /// <exception cref="ArgumentException">Shapes, values or options do not fit.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static TruncatedEmResult<TModel> Best<TModel>(
        Func<int, TModel> start, int restarts, Tensor Y, TruncatedEmOptions options, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
        where TModel : TruncatedSparseCoder
    {
        ArgumentNullException.ThrowIfNull(start);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(restarts);
        TruncatedEmResult<TModel>? best = null;
        for (int run = 0; run < restarts; run++)
        {
            TruncatedEmResult<TModel> result = Run(start(run), Y, options with { Seed = options.Seed + run }, null, cancel);
            if (best is null || result.LogLikelihood > best.LogLikelihood) best = result;
            progress?.Report(new(run + 1, restarts, FormattableString.Invariant($"best log-likelihood {best.LogLikelihood:F2}")));
        }

        return best!;
    }

    private static TruncatedSparseCoder Perturbed(TruncatedSparseCoder model, Annealing at, int seed, int step)
    {
        if (at.WeightNoise == 0 && at.PriorNoise == 0 && at.SigmaNoise == 0) return model;
        var random = new SeededRandom(seed, Stream(step, 0));
        return model.Perturb(at, ref random);
    }

    private static PointData Points(double[] data, TruncatedSparseCoder model, Annealing at, int seed, int step)
    {
        int[]? rows = null;
        if (at.Share < 1)
        {
            rows = new SeededRandom(seed, Stream(step, 1)).Permutation<int>(data.Length / model.Features);
            rows = rows[..Math.Max(model.Components, (int)Math.Round(at.Share * rows.Length))];
            Array.Sort(rows);
        }

        return new(data, model.Features, rows, at.DataNoise, new SeededRandom(seed, Stream(step, 2)).NextInt(int.MaxValue));
    }

    private static long Stream(int step, int use) => ((long)step * 4) + use + 1_000;

    private static void CheckCount(int points, int components)
    {
        if (points < components)
            throw new ArgumentException($"There are {points} points for {components} components; there must be at least as many.", "Y");
    }
}
