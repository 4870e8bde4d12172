using System.Globalization;
using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>What two trainings must have in common before their accuracies are compared.</summary>
public enum HeldEqual
{
    /// <summary>Steps.</summary>
    Steps,

    /// <summary>Multiplications of the whole training, within a fifth.</summary>
    Cost,

    /// <summary>Weights at the end, within a tenth.</summary>
    Weights,
}

/// <summary>One training, as every table of a comparison must have it.</summary>
public sealed record LedgerRun
{
    /// <summary>Name of the method.</summary>
    public required string Method { get; init; }

    /// <summary>Seed of the weights and of the order of the data.</summary>
    public required int Seed { get; init; }

    /// <summary>Active weights at the end.</summary>
    public required long Weights { get; init; }

    /// <summary>Their share of the masked ones; 1 for a dense network.</summary>
    public required double Density { get; init; }

    /// <summary>The highest density of any step.</summary>
    public required double PeakDensity { get; init; }

    /// <summary>Mean density over the steps.</summary>
    public required double AverageDensity { get; init; }

    /// <summary>Multiplications of the whole training, in those of one dense training that all share as their unit.</summary>
    public required double Cost { get; init; }

    /// <summary>Steps of the optimizer, those before pruning included.</summary>
    public required long Steps { get; init; }

    /// <summary>Test accuracy, from 0 to 1.</summary>
    public required double Accuracy { get; init; }

    /// <summary>Mean negative log-likelihood of the test labels [nats]; NaN where not measured. Default NaN.</summary>
    public double Nll { get; init; } = double.NaN;

    /// <summary>Expected calibration error of 15 bins; NaN where not measured. Default NaN.</summary>
    public double Ece { get; init; } = double.NaN;

    /// <summary>Seconds with dense kernels; NaN where not measured. Default NaN.</summary>
    public double Seconds { get; init; } = double.NaN;

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>The runs of a comparison of sparse trainings: what each had and cost, and differences only between runs that hold something equal. For one thread: collect the runs of parallel trials first.</summary>
public sealed class SparseLedger
{
    private readonly List<LedgerRun> _runs = [];

    /// <summary>All runs, in the order in which they came.</summary>
    public IReadOnlyList<LedgerRun> Runs => _runs;

    /// <summary>Names of the methods, in the order in which they came.</summary>
    public IReadOnlyList<string> Methods => [.. _runs.Select(run => run.Method).Distinct()];

    /// <summary>The runs of a method, by seed.</summary>
    /// <param name="method">Its name.</param>
    /// <exception cref="ArgumentException">There is none; the message names those that there are.</exception>
    public IReadOnlyList<LedgerRun> this[string method]
    {
        get
        {
            LedgerRun[] found = [.. _runs.Where(run => run.Method == method).OrderBy(run => run.Seed)];
            return found.Length > 0 ? found : throw new ArgumentException($"There is no run of \"{method}\" among {string.Join(", ", Methods)}.", nameof(method));
        }
    }

    /// <summary>Adds a run.</summary>
    /// <param name="run">The run.</param>
    /// <exception cref="ArgumentException">A method has this seed already, or a number is out of its range.</exception>
    public void Add(LedgerRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        if (!(run.Accuracy is >= 0 and <= 1)) throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"The accuracy of {run.Method} is {run.Accuracy}; it is a share from 0 to 1."), nameof(run));
        if (_runs.Any(other => other.Method == run.Method && other.Seed == run.Seed)) throw new ArgumentException($"{run.Method} has a run with seed {run.Seed} already.", nameof(run));
        if (!(run.Density is > 0 and <= 1 && run.PeakDensity <= 1 + 1e-9 && run.PeakDensity >= run.Density - 1e-9 && run.AverageDensity <= run.PeakDensity + 1e-9))
        {
            throw new ArgumentException(string.Create(
                CultureInfo.InvariantCulture, $"Densities of {run.Method}: {run.Density} at the end, {run.PeakDensity} at most, {run.AverageDensity} on average; the end and the average cannot exceed the peak."), nameof(run));
        }

        if (run.Steps < 1 || run.Weights < 1 || !(run.Cost >= 0)) throw new ArgumentException($"{run.Method} has {run.Steps} steps, {run.Weights} weights and a cost of {run.Cost}; none can be below 1, and a cost not negative.", nameof(run));
        _runs.Add(run);
    }

    /// <summary>Accuracy of one method minus another's, seed by seed, in points of 100.</summary>
    /// <param name="method">The one.</param>
    /// <param name="other">What is subtracted.</param>
    /// <param name="equal">What must be equal for the difference to mean something: each sentence about it has to say which.</param>
    /// <returns>One difference for each seed, ascending.</returns>
    /// <exception cref="ArgumentException">No runs, other seeds, or what is to be equal is not; the message has both figures.</exception>
    public double[] Compare(string method, string other, HeldEqual equal)
    {
        IReadOnlyList<LedgerRun> first = this[method], second = this[other];
        if (!first.Select(run => run.Seed).SequenceEqual(second.Select(run => run.Seed)))
            throw new ArgumentException($"{method} has the seeds {string.Join(", ", first.Select(run => run.Seed))} and {other} {string.Join(", ", second.Select(run => run.Seed))}; they must agree.", nameof(other));
        foreach ((LedgerRun a, LedgerRun b) in first.Zip(second))
        {
            (double x, double y, double tolerance) = equal switch
            {
                HeldEqual.Steps => (a.Steps, b.Steps, 0),
                HeldEqual.Cost => (a.Cost, b.Cost, 0.2),
                HeldEqual.Weights => (a.Weights, (double)b.Weights, 0.1),
                _ => throw new ArgumentOutOfRangeException(nameof(equal), equal, "Steps, Cost or Weights are held equal."),
            };
            if (!(Math.Abs(x - y) <= tolerance * Math.Max(x, y)))
                throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"{equal} of {method} and {other} are {x:G4} and {y:G4}: not equal, so their accuracies must not be compared as if they were."), nameof(equal));
        }

        return [.. first.Zip(second, (a, b) => 100 * (a.Accuracy - b.Accuracy))];
    }
}
