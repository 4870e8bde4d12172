using System.Diagnostics;
using Sparseland.Tensors;
using TorchSharp.Modules;

namespace Sparseland.Pruning;

/// <summary>What a search found.</summary>
/// <param name="Best">The candidate of the smallest value; of equals the first.</param>
/// <param name="BestIndex">Its number among the draws.</param>
/// <param name="Losses">Values of all draws, in order.</param>
/// <param name="Candidates">All draws, in order.</param>
/// <param name="GradientSteps">Gradient steps that the search cost.</param>
/// <param name="Seconds">Time.</param>
public sealed record SearchResult(SparseCandidate Best, int BestIndex, IReadOnlyList<double> Losses, IReadOnlyList<SparseCandidate> Candidates, long GradientSteps, double Seconds)
{
    /// <summary>Candidates that were judged.</summary>
    public int Evaluations => Losses.Count;

    /// <summary>The smallest value.</summary>
    public double BestLoss => Losses[BestIndex];

    /// <summary>(smallest value - mean) / standard deviation of all values.</summary>
    public double StandardizedBest
    {
        get
        {
            double mean = Losses.Average(), deviation = Math.Sqrt(Losses.Sum(l => (l - mean) * (l - mean)) / (Losses.Count - 1));
            return (BestLoss - mean) / deviation;
        }
    }

    /// <summary>The smallest value after each draw.</summary>
    public double[] BestSoFar()
    {
        double[] best = [.. Losses];
        for (int i = 1; i < best.Length; i++) best[i] = Math.Min(best[i], best[i - 1]);
        return best;
    }

    /// <summary>What a search of fewer draws would find on average: the mean, over all choices of so many of these draws, of their smallest value.</summary>
    /// <param name="draws">From 1 to all.</param>
    /// <exception cref="ArgumentOutOfRangeException">Outside.</exception>
    public double ExpectedBest(int draws)
    {
        int all = Losses.Count;
        if (draws < 1 || draws > all) throw new ArgumentOutOfRangeException(nameof(draws), draws, $"From 1 to the {all} draws.");
        double[] sorted = [.. Losses.Order()];
        double sum = 0, share = (double)draws / all;

        // The chance that the i-th smallest is the smallest of the choice: C(all - 1 - i, draws - 1) / C(all, draws).
        for (int i = 0; i <= all - draws; i++)
        {
            sum += share * sorted[i];
            share *= (double)(all - i - draws) / (all - 1 - i);
        }

        return sum;
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>The simplest searcher of sparse networks: draw, judge, keep the best (Farahani 2024; as a baseline Li and Talwalkar 2020). Any other must beat it at an equal cost.</summary>
public static class SparseSearch
{
    /// <summary>Draws candidates and keeps the one of the smallest value.</summary>
    /// <param name="parent">The network that candidates are parts of; it stays.</param>
    /// <param name="space">What is drawn from.</param>
    /// <param name="objective">What is made small.</param>
    /// <param name="trials">Draws, at least 1.</param>
    /// <param name="seed">Seed; draw i has the seed that <see cref="SeedOf"/> gives.</param>
    /// <param name="progress">Reported on the way.</param>
    /// <param name="cancel">Checked between candidates.</param>
    /// <exception cref="ArgumentException">No draw, a parent that the space cannot take, or a value that is NaN, whose draw is named.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static SearchResult RandomSearch(
        Sequential parent, ISparseSpace space, ISearchObjective objective, int trials, long seed, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(parent);
        ArgumentNullException.ThrowIfNull(space);
        ArgumentNullException.ThrowIfNull(objective);
        ArgumentOutOfRangeException.ThrowIfLessThan(trials, 1);
        long start = Stopwatch.GetTimestamp();
        SparseCandidate[] candidates = [.. Enumerable.Range(0, trials).Select(i => space.Draw(parent, SeedOf(seed, i)))];
        double[] losses = objective.Of(parent, candidates, progress, cancel);
        if (losses.Length != trials) throw new ArgumentException($"The objective gave {losses.Length} values for {trials} candidates.", nameof(objective));
        int broken = Array.FindIndex(losses, double.IsNaN);
        if (broken >= 0) throw new ArgumentException($"The objective gives NaN for draw {broken}: {candidates[broken]}.", nameof(objective));
        int best = Array.IndexOf(losses, losses.Min());
        return new(candidates[best], best, losses, candidates, trials * objective.StepsPerCandidate, Stopwatch.GetElapsedTime(start).TotalSeconds);
    }

    /// <summary>The seed of a draw; draws of other searches have others.</summary>
    /// <param name="seed">Seed of the search.</param>
    /// <param name="draw">Number of the draw.</param>
    public static long SeedOf(long seed, int draw) => (long)(SeededRandom.Mix((ulong)seed + SeededRandom.Mix((ulong)draw + 1)) >> 1);
}
