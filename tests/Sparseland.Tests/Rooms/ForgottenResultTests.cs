using System.Runtime.CompilerServices;
using Sparseland.Bayes;
using Sparseland.Solvers;
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
        // 200 of 8 MB, with hardly a byte of managed memory: nothing else would make the collector look at them.
        var results = new List<WeakReference>();
        for (int i = 0; i < 200; i++) results.Add(Forgotten());
        Assert.InRange(results.Count(result => result.IsAlive), 0, 120);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference Forgotten() => new(new KroneckerOmpResult(zeros([1_000_000], dtype: ScalarType.Float64), [], 0, 0, StopReason.Converged));
}
