using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>Several methods with several seeds each, side by side: what a comparison of trainings needs, for a claim rests on seeds and not on one run.</summary>
public static class Trials
{
    /// <summary>
    /// Makes every trial, as many at a time as libtorch has threads, each on one thread. A trial depends on its method and seed alone, so results
    /// are the same at any number of threads.
    /// </summary>
    /// <typeparam name="T">What a trial leaves behind: figures, not tensors, where there are many.</typeparam>
    /// <param name="methods">Names, all different.</param>
    /// <param name="seeds">Seeds, all different.</param>
    /// <param name="trial">Makes one trial, on any thread.</param>
    /// <param name="progress">Reported after each trial; null, the default, for none.</param>
    /// <param name="cancel">Checked before each trial; hand it to what lasts inside one too. Never by default.</param>
    /// <exception cref="ArgumentException">There is no method or no seed, or one stands twice.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static TrialResults<T> Run<T>(
        IReadOnlyList<string> methods, IReadOnlyList<int> seeds, Func<string, int, T> trial, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(trial);
        CheckDifferent(methods, nameof(methods));
        CheckDifferent(seeds, nameof(seeds));
        T[][] runs = [.. methods.Select(_ => new T[seeds.Count])];
        int done = 0, total = methods.Count * seeds.Count;
        object reporting = new();
        IndependentWork.For(total, i =>
        {
            (int seed, int method) = Math.DivRem(i, methods.Count);
            runs[method][seed] = trial(methods[method], seeds[seed]);
            lock (reporting) progress?.Report(new(++done, total, $"{methods[method]}, seed {seeds[seed]}"));
        }, cancel);
        return new([.. methods], [.. seeds], runs);
    }

    private static void CheckDifferent<TItem>(IReadOnlyList<TItem> items, string name)
    {
        ArgumentNullException.ThrowIfNull(items, name);
        if (items.Count == 0) throw new ArgumentException($"There are no {name}; at least one is needed.", name);
        if (items.GroupBy(item => item).FirstOrDefault(group => group.Count() > 1) is { } twice) throw new ArgumentException($"{name} has {twice.Key} twice; all must be different.", name);
    }
}

/// <summary>What each trial of several methods and seeds left behind.</summary>
/// <typeparam name="T">Result of one trial.</typeparam>
/// <param name="Methods">Names of the methods.</param>
/// <param name="Seeds">The seeds.</param>
/// <param name="Runs">[method][seed].</param>
public sealed record TrialResults<T>(IReadOnlyList<string> Methods, IReadOnlyList<int> Seeds, IReadOnlyList<IReadOnlyList<T>> Runs)
{
    /// <summary>Results of one method, in the order of the seeds.</summary>
    /// <param name="method">Its name.</param>
    /// <exception cref="ArgumentException">There is no such method; the message names those that there are.</exception>
    public IReadOnlyList<T> this[string method]
    {
        get
        {
            for (int i = 0; i < Methods.Count; i++)
            {
                if (Methods[i] == method) return Runs[i];
            }

            throw new ArgumentException($"There is no method \"{method}\" among {string.Join(", ", Methods)}.", nameof(method));
        }
    }

    /// <summary>One figure of one method, a value for each seed.</summary>
    /// <param name="method">Its name.</param>
    /// <param name="figure">The figure of a result.</param>
    /// <exception cref="ArgumentException">There is no such method.</exception>
    public double[] Values(string method, Func<T, double> figure)
    {
        ArgumentNullException.ThrowIfNull(figure);
        return [.. this[method].Select(figure)];
    }

    /// <summary>One figure of a method over that of another with the same seed: what both have from the seed alone drops out.</summary>
    /// <param name="method">Above the line.</param>
    /// <param name="other">Below it.</param>
    /// <param name="figure">The figure of a result.</param>
    /// <exception cref="ArgumentException">There is no such method.</exception>
    public double[] Ratios(string method, string other, Func<T, double> figure) => [.. Values(method, figure).Zip(Values(other, figure), (a, b) => a / b)];

    /// <summary>One figure of a method minus that of another with the same seed.</summary>
    /// <param name="method">The one.</param>
    /// <param name="other">What is subtracted.</param>
    /// <param name="figure">The figure of a result.</param>
    /// <exception cref="ArgumentException">There is no such method.</exception>
    public double[] Differences(string method, string other, Func<T, double> figure) => [.. Values(method, figure).Zip(Values(other, figure), (a, b) => a - b)];

    /// <summary>Median over the seeds of one figure; of an even number the mean of the middle two.</summary>
    /// <param name="method">Name of the method.</param>
    /// <param name="figure">The figure of a result.</param>
    /// <exception cref="ArgumentException">There is no such method.</exception>
    public double Median(string method, Func<T, double> figure)
    {
        double[] sorted = [.. Values(method, figure).Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
