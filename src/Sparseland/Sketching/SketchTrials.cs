using Sparseland.Tensors;
using static TorchSharp.torch;

namespace Sparseland.Sketching;

/// <summary>Errors of one kind of sketch over many draws. Draws that lost rank are kept as failures, never dropped.</summary>
/// <param name="Z">Normalized largest coordinate error of each draw; NaN where S A lost rank.</param>
/// <param name="L2">Normalized l2 error of each draw; NaN where S A lost rank.</param>
/// <param name="Errors">x' - x* of each draw, [d]; empty where S A lost rank.</param>
public sealed record SketchTrials(double[] Z, double[] L2, double[][] Errors)
{
    /// <summary>Draws whose S A lost rank.</summary>
    public int Failures => Z.Count(double.IsNaN);

    /// <summary>Z of the draws of full rank, ascending.</summary>
    public double[] Solved => [.. Z.Where(z => !double.IsNaN(z)).Order()];

    /// <summary>Share of failures.</summary>
    public double FailureRate => (double)Failures / Z.Length;

    /// <summary>A quantile of Z over the draws of full rank, with linear interpolation; NaN where none has it.</summary>
    /// <param name="share">From 0 to 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">Outside.</exception>
    public double Quantile(double share)
    {
        if (!(share >= 0 && share <= 1)) throw new ArgumentOutOfRangeException(nameof(share), share, "A share is from 0 to 1.");
        double[] sorted = Solved;
        if (sorted.Length == 0) return double.NaN;
        double at = share * (sorted.Length - 1);
        int below = (int)at, above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + ((at - below) * (sorted[above] - sorted[below]));
    }

    /// <summary>
    /// Draws problem and sketch again and again, several draws at a time, each on one thread. Draw t has the seed <paramref name="seed"/> + t for
    /// both. Equal bit for bit at any number of threads.
    /// </summary>
    /// <param name="problem">Makes the problem of a seed, on any thread; each is disposed after use.</param>
    /// <param name="sketch">Makes the sketch of a seed, on any thread.</param>
    /// <param name="trials">Number of draws, at least 1.</param>
    /// <param name="seed">First seed.</param>
    /// <param name="progress">Reported after each draw.</param>
    /// <param name="cancel">Checked before each draw.</param>
    /// <exception cref="ArgumentException">No draws, a sketch that does not fit, or a problem with r = 0, where Z is undefined.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static SketchTrials Run(
        Func<long, RegressionProblem> problem, Func<long, ISketch> sketch, int trials, long seed,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(problem);
        ArgumentNullException.ThrowIfNull(sketch);
        ArgumentOutOfRangeException.ThrowIfLessThan(trials, 1);
        double[] z = new double[trials], l2 = new double[trials];
        double[][] errors = new double[trials][];
        int done = 0;
        object reporting = new();
        IndependentWork.For(trials, t =>
        {
            using var scope = NewDisposeScope();
            using RegressionProblem drawn = problem(seed + t);
            if (drawn.ResidualNorm == 0) throw new ArgumentException($"The problem of seed {seed + t} is fitted exactly; Z is undefined there.", nameof(problem));
            ISketch S = sketch(seed + t);
            using SketchedSolution solution = SketchedRegression.Solve(drawn, S);
            bool solved = solution.Status == SketchedStatus.Solved;
            RegressionError error = RegressionError.Of(drawn, solution.X, S.Outputs);
            (z[t], l2[t]) = solved ? (error.LInfNormalized, error.L2Normalized) : (double.NaN, double.NaN);
            errors[t] = solved ? TensorMemory.Read<double>((solution.X - drawn.Solution).contiguous()).ToArray() : [];
            lock (reporting) progress?.Report(new(++done, trials, S.Name));
        }, cancel);
        return new(z, l2, errors);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
