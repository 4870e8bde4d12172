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
