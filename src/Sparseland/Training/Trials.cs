using Sparseland.Native;
using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>Several methods with several seeds each, side by side: what a comparison of trainings needs, for a claim rests on seeds and not on one run.</summary>
public static class Trials
{
    private const long UnitsOfATrial = 1_000;

    /// <summary>
    /// Makes every trial, seed after seed, as many at a time as libtorch has threads, each on one thread. A trial depends on its method and seed alone, so results
    /// are the same at any number of threads, but for networks that draw in their forward pass (dropout): those share libtorch's one generator and must not train at the same time.
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
        var table = new Table<T>(methods, seeds, 1, progress);
        IndependentWork.For(methods.Count * seeds.Count, i => table.Fill(i % methods.Count, i / methods.Count, (method, seed, _) => trial(method, seed)), cancel);
        return table.Results;
    }

    /// <summary>The same where a trial lasts long enough to tell how far it is: hand its progress to what trains, and the whole goes on between the ends of trials.</summary>
    /// <typeparam name="T">What a trial leaves behind.</typeparam>
    /// <param name="methods">Names, all different.</param>
    /// <param name="seeds">Seeds, all different.</param>
    /// <param name="trial">Makes one trial, on any thread; its last argument takes the trial's own progress.</param>
    /// <param name="progress">Reported whenever a trial has come further; null, the default, for none.</param>
    /// <param name="cancel">Checked before each trial; hand it to what lasts inside one too. Never by default.</param>
    /// <exception cref="ArgumentException">There is no method or no seed, or one stands twice.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static TrialResults<T> Run<T>(
        IReadOnlyList<string> methods, IReadOnlyList<int> seeds, Func<string, int, IProgress<ProgressReport>, T> trial, IProgress<ProgressReport>? progress = null,
        CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(trial);
        CheckDifferent(methods, nameof(methods));
        CheckDifferent(seeds, nameof(seeds));
        var table = new Table<T>(methods, seeds, UnitsOfATrial, progress);
        IndependentWork.For(methods.Count * seeds.Count, i => table.Fill(i % methods.Count, i / methods.Count, trial), cancel);
        return table.Results;
    }

    /// <summary>The same where all methods of a seed share something, such as a world and its batches: it is made once a seed and disposed after the seed's last trial.</summary>
    /// <typeparam name="TShared">What is shared; used from several threads.</typeparam>
    /// <typeparam name="T">What a trial leaves behind.</typeparam>
    /// <param name="methods">Names, all different.</param>
    /// <param name="seeds">Seeds, all different; one after the other.</param>
    /// <param name="shared">Makes what the trials of a seed share.</param>
    /// <param name="trial">Makes one trial, on any thread.</param>
    /// <param name="progress">Reported after each trial; null, the default, for none.</param>
    /// <param name="cancel">Checked before each trial; hand it to what lasts inside one too. Never by default.</param>
    /// <exception cref="ArgumentException">There is no method or no seed, or one stands twice.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static TrialResults<T> Run<TShared, T>(
        IReadOnlyList<string> methods, IReadOnlyList<int> seeds, Func<int, TShared> shared, Func<string, int, TShared, T> trial,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
        where TShared : IDisposable
    {
        ArgumentNullException.ThrowIfNull(shared);
        ArgumentNullException.ThrowIfNull(trial);
        CheckDifferent(methods, nameof(methods));
        CheckDifferent(seeds, nameof(seeds));
        var table = new Table<T>(methods, seeds, 1, progress);
        for (int s = 0; s < seeds.Count; s++)
        {
            cancel.ThrowIfCancellationRequested();
            int place = s;
            using TShared common = shared(seeds[s]);
            IndependentWork.For(methods.Count, m => table.Fill(m, place, (method, seed, _) => trial(method, seed, common)), cancel);
        }

        return table.Results;
    }

    private static void CheckDifferent<TItem>(IReadOnlyList<TItem> items, string name)
    {
        ArgumentNullException.ThrowIfNull(items, name);
        if (items.Count == 0) throw new ArgumentException($"There are no {name}; at least one is needed.", name);
        if (items.GroupBy(item => item).FirstOrDefault(group => group.Count() > 1) is { } twice) throw new ArgumentException($"{name} has {twice.Key} twice; all must be different.", name);
    }

    /// <param name="methods">Names.</param>
    /// <param name="seeds">Seeds.</param>
    /// <param name="units">Units of work that a trial counts for: 1 where only its end is told.</param>
    /// <param name="progress">Takes reports.</param>
    private sealed class Table<T>(IReadOnlyList<string> methods, IReadOnlyList<int> seeds, long units, IProgress<ProgressReport>? progress)
    {
        private readonly Lock _reporting = new();
        private readonly T[][] _runs = [.. methods.Select(_ => new T[seeds.Count])];
        private readonly long[,] _reached = new long[methods.Count, seeds.Count];
        private long _done;

        private long Units { get; } = units;

        public TrialResults<T> Results => new([.. methods], [.. seeds], _runs);

        public void Fill(int method, int seed, Func<string, int, IProgress<ProgressReport>, T> trial)
        {
            _runs[method][seed] = trial(methods[method], seeds[seed], new Inside(this, method, seed));
            FreedMemory.GiveBack();
            Reach(method, seed, Units, "");
        }

        // Never back: a trial of several parts reports each of them from its start.
        private void Reach(int method, int seed, long reached, string message)
        {
            lock (_reporting)
            {
                if (reached <= _reached[method, seed]) return;
                _done += reached - _reached[method, seed];
                _reached[method, seed] = reached;

                // The last report counts trials: it is what stays to be read.
                long trials = methods.Count * seeds.Count, parts = _done == trials * Units ? 1 : Units;
                progress?.Report(new(_done * parts / Units, trials * parts, $"{methods[method]}, seed {seeds[seed]}{(message.Length > 0 ? ": " : "")}{message}"));
            }
        }

        private sealed class Inside(Table<T> table, int method, int seed) : IProgress<ProgressReport>
        {
            public void Report(ProgressReport value) => table.Reach(method, seed, Math.Min(table.Units - 1, (long)(value.Fraction * table.Units)), value.Message);
        }
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

    /// <summary>These methods and others, made with the same seeds.</summary>
    /// <param name="others">Results of methods of other names.</param>
    /// <exception cref="ArgumentException">Other seeds, or a method that is in both.</exception>
    public TrialResults<T> With(TrialResults<T> others)
    {
        ArgumentNullException.ThrowIfNull(others);
        if (!Seeds.SequenceEqual(others.Seeds)) throw new ArgumentException($"The seeds are {string.Join(", ", others.Seeds)} there and {string.Join(", ", Seeds)} here; they must agree.", nameof(others));
        if (Methods.Intersect(others.Methods).FirstOrDefault() is { } both) throw new ArgumentException($"\"{both}\" is in both.", nameof(others));
        return new([.. Methods, .. others.Methods], Seeds, [.. Runs, .. others.Runs]);
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
