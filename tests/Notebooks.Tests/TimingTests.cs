using Sparseland.Notebooks;
using Xunit;

namespace Notebooks.Tests;

public class TimingTests
{
    [Fact]
    public void Works_run_in_turn_and_what_runs_before_is_not_in_the_clock()
    {
        var order = new List<string>();
        IReadOnlyList<TimedWork> timed = Timing.InTurn([("a", () => order.Add("a")), ("b", () => order.Add("b"))], rounds: 4, seconds: 60, before: () => order.Add("-"));
        Assert.Equal(["a", "b"], timed.Select(t => t.Name));
        Assert.All(timed, t => Assert.True(t.Runs == 4 && t.Least <= t.Median && t.Milliseconds == 1e3 * t.Median));
        Assert.Equal(string.Concat(Enumerable.Repeat("-a-b", 6)), string.Concat(order));
    }

    [Fact]
    public void Three_rounds_at_least_and_clear_refusals()
    {
        Assert.Equal(3, Timing.InTurn([("slow", () => Thread.Sleep(2))], rounds: 10, seconds: 1e-6)[0].Runs);
        Assert.Throws<ArgumentException>(() => Timing.InTurn([]));
        Assert.Throws<ArgumentException>(() => Timing.InTurn([("a", () => { }), ("a", () => { })]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Timing.InTurn([("a", () => { })], rounds: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => Timing.InTurn([("a", () => { })], seconds: 0));
        Assert.Throws<OperationCanceledException>(() => Timing.InTurn([("a", () => { })], cancel: new(canceled: true)));
    }
}
