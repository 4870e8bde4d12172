using System.Runtime.CompilerServices;
using Sparseland.Bayes;
using Sparseland.Solvers;
using Sparseland.Tests.Coding;
using static TorchSharp.torch;

namespace Sparseland.Tests.Rooms;

/// <summary>
/// Alone, since it makes the collector run often: TorchSharp keeps a number given to a tensor's method alive no longer than until the native call
/// begins, so that a collection beside such a call can free what it reads.
/// </summary>
[CollectionDefinition(nameof(ForgottenResultTests), DisableParallelization = true)]
[Collection(nameof(ForgottenResultTests))]
public class ForgottenResultTests
{
    [Fact]
    public void Results_that_nobody_keeps_or_disposes_are_collected_for_their_size()
    {
        // 8 MB each that nobody touches, with hardly a byte of managed memory: nothing else would make the collector look at them. How many it waits for
        // depends on what the process did before, and it works in the background.
        var results = new List<WeakReference>();
        while (results.Count < 1_500 && results.TrueForAll(result => result.IsAlive))
        {
            results.Add(Forgotten());
            Thread.Sleep(2);
        }

        Assert.Contains(results, result => !result.IsAlive);
    }

    // The working set is that of the whole process: beside other tests it would grow by theirs. Six hundred that were kept would be 2.4 GB; the collector lets some gather first, more
    // where the process is small.
    [Fact]
    public void Factors_that_nobody_disposes_are_collected_for_their_size()
    {
        using var scope = NewDisposeScope();
        Tensor phi = CodingData.Random(500, 2000, 1).to(ScalarType.Float32), y = CodingData.Random(500, 1, 2).view(-1);
        var process = System.Diagnostics.Process.GetCurrentProcess();
        long before = process.WorkingSet64;
        for (int i = 0; i < 600; i++)
        {
            LeastSquares fit = LeastSquares.FromPhi(phi, y);
            if (i % 100 == 0) Cosamp.Solve(fit, 3, new() { MaxIterations = 2 });
        }

        process.Refresh();
        Assert.InRange(process.WorkingSet64 - before, long.MinValue, 3L << 29);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference Forgotten() => new(new KroneckerOmpResult(empty([1_000_000], dtype: ScalarType.Float64), [], 0, 0, StopReason.Converged));
}
