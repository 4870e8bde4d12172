using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class TrialsTests
{
    [Fact]
    public void Every_method_meets_every_seed_on_one_thread()
    {
        var reports = new List<ProgressReport>();
        TrialResults<(string Text, int Threads)> results = Trials.Run(
            ["a", "b", "c"], [4, 2], (method, seed) => ($"{method}{seed}", get_num_threads()), new Collecting(reports));
        Assert.Equal(["a4", "a2"], results["a"].Select(r => r.Text));
        Assert.Equal(["c4", "c2"], results["c"].Select(r => r.Text));
        Assert.All(results.Runs.SelectMany(runs => runs), run => Assert.Equal(1, run.Threads));
        Assert.Equal(Enumerable.Range(1, 6).Select(i => (double)i), reports.Select(r => (double)r.Done).Order());
        Assert.All(reports, r => Assert.Equal(6, r.Total));
        Assert.Contains("\"d\" among a, b, c", Assert.Throws<ArgumentException>(() => results["d"]).Message, StringComparison.Ordinal);
        Assert.Contains("Methods = [a, b, c]", results.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Figures_are_compared_seed_by_seed()
    {
        TrialResults<double> results = Trials.Run(["one", "two"], [1, 2, 3, 4], (method, seed) => (method == "one" ? 1.0 : 2.0) * seed * seed);
        Assert.Equal([1, 4, 9, 16], results.Values("one", v => v));
        Assert.Equal([2, 2, 2, 2], results.Ratios("two", "one", v => v));
        Assert.Equal([1, 4, 9, 16], results.Differences("two", "one", v => v));
        Assert.Equal(6.5, results.Median("one", v => v));
        Assert.Equal(9, Trials.Run(["m"], [5, 1, 3], (_, seed) => seed * seed).Median("m", v => v));
    }

    [Fact]
    public void What_a_seed_shares_is_made_once_and_gone_after_its_last_trial()
    {
        var log = new List<string>();
        TrialResults<string> results = Trials.Run(["a", "b"], [7, 5], seed => new Shared(seed, log), (method, seed, shared) => $"{method}{seed}{shared.Seed}{shared.Gone}");
        Assert.Equal(["a77False", "a55False"], results["a"]);
        Assert.Equal(["b77False", "b55False"], results["b"]);
        Assert.Equal(["made 7", "gone 7", "made 5", "gone 5"], log);
        Assert.Throws<InvalidOperationException>(() => Trials.Run<Shared, int>(["a"], [1], seed => new Shared(seed, log), (_, _, _) => throw new InvalidOperationException("no")));
        Assert.Equal("gone 1", log[^1]);
    }

    [Fact]
    public void Results_of_other_methods_are_put_beside()
    {
        TrialResults<int> one = Trials.Run(["a"], [1, 2], (_, seed) => seed), two = Trials.Run(["b", "c"], [1, 2], (_, seed) => 10 * seed);
        TrialResults<int> both = one.With(two);
        Assert.Equal(["a", "b", "c"], both.Methods);
        Assert.Equal([1, 2], both["a"]);
        Assert.Equal([10, 20], both["c"]);
        Assert.Throws<ArgumentException>(() => both.With(one));
        Assert.Throws<ArgumentException>(() => one.With(Trials.Run(["b"], [2, 1], (_, seed) => seed)));
    }

    private sealed class Shared : IDisposable
    {
        private readonly List<string> _log;

        public Shared(int seed, List<string> log)
        {
            (Seed, _log) = (seed, log);
            log.Add($"made {seed}");
        }

        public int Seed { get; }

        public bool Gone { get; private set; }

        public void Dispose()
        {
            Gone = true;
            _log.Add($"gone {Seed}");
        }
    }

    [Fact]
    public void A_trial_tells_how_far_it_is()
    {
        List<ProgressReport> reports = [];
        IProgress<ProgressReport>? late = null;
        TrialResults<int> results = Trials.Run(["a", "b"], [1, 2], (method, seed, progress) =>
        {
            // Two parts of one trial, each from its start; a total that is not known; more than all.
            progress.Report(new(0, 10));
            progress.Report(new(5, 10, "first part"));
            progress.Report(new(1, 10, "second part"));
            progress.Report(new(3, 0));
            progress.Report(new(20, 10, "beyond"));
            late ??= progress;
            return seed;
        }, new Collecting(reports));
        int after = reports.Count;
        late!.Report(new(10, 10, "too late"));
        Assert.Equal(after, reports.Count);
        Assert.Equal([1, 2], results["b"]);
        Assert.All(reports[..^1], r => Assert.Equal(4_000, r.Total));
        Assert.Equal(reports.Select(r => r.Fraction).Order().Distinct(), reports.Select(r => r.Fraction));
        Assert.Equal((4, 4), (reports[^1].Done, reports[^1].Total));
        Assert.Contains(reports, r => r.Message == "b, seed 2: first part");
        Assert.DoesNotContain(reports, r => r.Message.Contains("second part", StringComparison.Ordinal));
        Assert.Equal(12, reports.Count);
        Assert.Throws<ArgumentException>(() => Trials.Run(["a", "a"], [1], (_, _, _) => 0));
        Assert.Throws<ArgumentNullException>(() => Trials.Run(["a"], [1], (Func<string, int, IProgress<ProgressReport>, int>)null!));
    }

    [Fact]
    public void What_is_missing_or_stands_twice_is_refused_and_a_failure_is_seen()
    {
        Assert.Throws<ArgumentException>(() => Trials.Run([], [1], (_, _) => 0));
        Assert.Throws<ArgumentException>(() => Trials.Run(["a"], [], (_, _) => 0));
        Assert.Contains("methods has a twice", Assert.Throws<ArgumentException>(() => Trials.Run(["a", "b", "a"], [1], (_, _) => 0)).Message, StringComparison.Ordinal);
        Assert.Contains("seeds has 3 twice", Assert.Throws<ArgumentException>(() => Trials.Run(["a"], [3, 3], (_, _) => 0)).Message, StringComparison.Ordinal);
        Assert.Equal("b7", Assert.Throws<InvalidOperationException>(() => Trials.Run<int>(["a", "b"], [7], (m, s) => m == "b" ? throw new InvalidOperationException(m + s) : 0)).Message);
        using var source = new CancellationTokenSource();
        source.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => Trials.Run(["a"], [1], (_, _) => 0, cancel: source.Token));
    }

    private sealed class Collecting(List<ProgressReport> reports) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => reports.Add(value);
    }
}
