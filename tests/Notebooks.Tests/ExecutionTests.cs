using Sparseland.Evaluation;
using Sparseland.Kernel.Running;
using Xunit.Abstractions;

namespace Notebooks.Tests;

/// <summary>Every notebook runs at quick scale in a fresh process, and what must hold at any scale holds.</summary>
public class ExecutionTests(ITestOutputHelper log)
{
    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public async Task It_runs_and_computes_its_claims(string path)
    {
        var stored = StoredClaims.Of(Series.Load(path));
        var run = await QuickRuns.Of(path);
        log.WriteLine($"{path}: {run.Elapsed.TotalSeconds:0.0} s, {run.PeakMemory >> 20} MB, {run.Counts}");
        Assert.True(run.Status == RunStatus.Passed, $"cell [{run.FailedCell}]: {string.Join('\n', run.Error?.Traceback ?? [])}");

        // The same claims at every scale: a notebook never branches its text on it.
        Assert.Equal(stored.Select(c => c.Statement), run.Claims.Select(c => c.Statement));

        // Sizes are small here: a share of latents can be zero and a ratio of such shares no number, which is not judged. Stored outputs say what the lesson measured.
        Assert.All(run.Claims.Where(c => c.Kind != ClaimKind.ReportedOnly && c.Outcome != ClaimOutcome.NotJudged), c => Assert.True(double.IsFinite(c.Measured), c.Statement));
        Assert.True(run.Claims.Count(c => double.IsFinite(c.Measured)) >= 0.6 * run.Claims.Count(c => c.Kind != ClaimKind.ReportedOnly), "Most claims have a number at every scale.");
        Assert.All(run.Claims.Where(c => c.Kind == ClaimKind.Exact), c => Assert.True(c.Outcome == ClaimOutcome.Held, $"{c.Statement}: measured {c.MeasuredText}"));
        Assert.Empty(run.Regressed);
    }
}
