using Sparseland.Notebooks;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>Progress on a clock that the test sets.</summary>
public class LiveProgressTests
{
    private readonly FakeHost host = new();
    private readonly StringWriter console = new();
    private TimeSpan now;

    [Fact]
    public void A_bar_appears_with_its_first_report_and_is_redrawn_at_most_ten_times_a_second()
    {
        LiveProgress progress = InHost();
        Assert.Empty(host.Events);
        for (int i = 0; i <= 1000; i++)
        {
            now = TimeSpan.FromMilliseconds(i);
            progress.Report(new ProgressReport(i, 1000));
        }
        Assert.Equal(11, host.Events.Count);
        Assert.False(host.Events[0].IsUpdate);
        Assert.All(host.Events.Skip(1), e => Assert.True(e.IsUpdate));
        Assert.Single(host.Events.Select(e => e.Id).Distinct());
        Assert.Contains("<progress max=\"100\" value=\"50\"", host.Events[5].Html);
        Assert.Equal("Learning 50%: 0.5 s, 0.5 s left", host.Events[5].Text);
        Assert.Equal("", console.ToString());
    }

    [Fact]
    public void The_end_is_one_line_with_the_last_count_whatever_was_drawn_before()
    {
        LiveProgress progress = InHost();
        progress.Report(new ProgressReport(1, 12_000));
        progress.Report(new ProgressReport(12_000, 12_000, "loss 0.1"));

        // Whoever forgets to dispose it is left with a line, not with half a bar.
        Assert.Equal("Learning: 12,000 steps (loss 0.1) in 0.0 s", host.Events[1].Text);
        now = TimeSpan.FromSeconds(200);
        progress.Dispose();
        progress.Dispose();
        progress.Report(new ProgressReport(3, 4));
        Assert.Equal(3, host.Events.Count);
        Assert.Equal("Learning: 12,000 steps (loss 0.1) in 3 min 20 s", host.Events[2].Text);
        Assert.DoesNotContain("<progress", host.Events[2].Html);
        // The time can be taken out of a stored output, and nothing but the time.
        var (html, plain) = StoredTimes.Remove(host.Events[2].Html, host.Events[2].Text);
        Assert.Equal(("<div>Learning: 12,000 steps (loss 0.1)</div>", "Learning: 12,000 steps (loss 0.1)"), (html, plain));
    }

    [Fact]
    public void Work_that_fails_before_its_first_report_shows_its_own_error()
    {
        InvalidOperationException error = Assert.Throws<InvalidOperationException>((Action)(() =>
        {
            using LiveProgress progress = InHost();
            throw new InvalidOperationException("the work's own");
        }));
        Assert.Equal("the work's own", error.Message);
        Assert.Equal("Learning: done in 0.0 s", host.Events[^1].Text);
    }

    [Fact]
    public void What_was_never_told_anything_ends_in_a_line_too()
    {
        InHost().Dispose();
        Assert.Equal("Learning: done in 0.0 s", Assert.Single(host.Events).Text);
        Assert.Equal("", default(ProgressReport).Message);
    }

    [Fact]
    public void Stopping_early_and_interrupting_are_told()
    {
        LiveProgress early = InHost();
        early.Report(new ProgressReport(3, 10));
        early.Dispose();
        Assert.Equal("Learning: 3 of 10 steps in 0.0 s", host.Events[^1].Text);
        LiveProgress interrupted = InHost();
        interrupted.Report(new ProgressReport(3, 10));
        host.Cancel.Cancel();
        Assert.True(interrupted.Cancel.IsCancellationRequested);
        interrupted.Dispose();
        Assert.Equal("Learning: 3 of 10 steps (interrupted) in 0.0 s", host.Events[^1].Text);
    }

    [Fact]
    public void Without_a_total_there_is_a_count_and_no_time_left()
    {
        LiveProgress progress = new("Searching", host, () => now, console) { Unit = "atoms" };
        now = TimeSpan.FromSeconds(2);
        progress.Report(new ProgressReport(1234, 0, "deep <b>"));
        Assert.Equal("Searching 1,234 atoms: deep <b>, 2.0 s", host.Events[0].Text);
        Assert.Contains("deep &lt;b&gt;", host.Events[0].Html);
        Assert.DoesNotContain("value=", host.Events[0].Html);
    }

    [Fact]
    public void Outside_the_engine_it_writes_at_most_a_line_a_second()
    {
        LiveProgress progress = new("Learning", null, () => now, console);
        for (int i = 0; i <= 40; i++)
        {
            now = TimeSpan.FromSeconds(i / 10.0);
            progress.Report(new ProgressReport(i, 40));
        }
        progress.Dispose();
        string[] lines = console.ToString().TrimEnd().Split(Environment.NewLine);
        Assert.Equal(["Learning 25%: 1.0 s, 3.0 s left", "Learning 50%: 2.0 s, 2.0 s left", "Learning 75%: 3.0 s, 1.0 s left", "Learning 100%: 4.0 s", "Learning: 40 steps in 4.0 s"], lines);
        Assert.False(progress.Cancel.CanBeCanceled);
    }

    [Fact]
    public void Short_work_outside_the_engine_writes_its_last_line_only()
    {
        LiveProgress progress = new("Learning", null, () => now, console);
        progress.Report(new ProgressReport(1, 2));
        progress.Dispose();
        Assert.Equal("Learning: 1 of 2 steps in 0.0 s", console.ToString().TrimEnd());
    }

    [Fact]
    public void Reports_from_many_threads_are_all_taken()
    {
        LiveProgress progress = InHost();
        Parallel.For(0, 1000, i => progress.Report(new ProgressReport(7, 1000)));
        progress.Dispose();
        Assert.Equal(2, host.Events.Count);
        Assert.StartsWith("Learning: 7 of 1,000 steps", host.Events[1].Text);
    }

    [Theory]
    [InlineData(0, "0.0 s")]
    [InlineData(12.34, "12.3 s")]
    [InlineData(59.94, "59.9 s")]
    [InlineData(59.96, "1 min 0 s")]
    [InlineData(200, "3 min 20 s")]
    [InlineData(3599.6, "1 h 0 min")]
    [InlineData(7500, "2 h 5 min")]
    public void Times_read_as_a_person_says_them(double seconds, string expected) => Assert.Equal(expected, LiveProgress.Duration(TimeSpan.FromSeconds(seconds)));

    [Fact]
    public void A_bar_needs_words() => Assert.Throws<ArgumentException>(() => new LiveProgress(" "));

    private LiveProgress InHost() => new("Learning", host, () => now, console);
}
