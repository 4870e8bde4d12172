using System.Collections.Concurrent;
using Sparseland.Sketching;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Sketching;

/// <summary>Trials run side by side and are what they are one by one. Alone: it changes the number of libtorch's threads.</summary>
[CollectionDefinition(nameof(SketchTrialsTests), DisableParallelization = true)]
[Collection(nameof(SketchTrialsTests))]
public class SketchTrialsTests
{
    private static SketchTrials Run(int trials, long seed) => SketchTrials.Run(
        s => HardInstance.Benign(300, 6, s), s => s % 3 == 0 ? new CountSketch(40, 300, s) : new SrhtSketch(40, 300, s), trials, seed);

    [Fact]
    public void Draws_side_by_side_are_the_draws_one_by_one_at_any_number_of_threads()
    {
        int before = get_num_threads();
        try
        {
            double[][] z = [.. new[] { 1, 2, 4 }.Select(threads =>
            {
                set_num_threads(threads);
                SketchTrials all = Run(24, 5);
                Assert.Equal(threads, get_num_threads());
                Assert.All(all.Errors, error => Assert.Equal(6, error.Length));
                return all.Z;
            })];
            Assert.Equal(z[0], z[1]);
            Assert.Equal(z[0], z[2]);
            double[] single = [.. Enumerable.Range(0, 24).Select(t => Run(1, 5 + t).Z[0])];
            Assert.Equal(z[0], single);
        }
        finally
        {
            set_num_threads(before);
        }
    }

    [Fact]
    public void A_piece_has_one_thread_and_its_thread_gets_back_what_it_had()
    {
        int before = get_num_threads();
        set_num_threads(3);
        try
        {
            var inside = new ConcurrentBag<(int Thread, int Count)>();
            IndependentWork.For(50, _ => inside.Add((Environment.CurrentManagedThreadId, get_num_threads())), default);
            Assert.Equal(50, inside.Count);
            Assert.All(inside, piece => Assert.Equal(1, piece.Count));
            Assert.Equal(3, get_num_threads());

            // Threads of the pool that had no piece keep what others left them.
            var after = new ConcurrentBag<(int Thread, int Count)>();
            Parallel.For(0, 200, _ => after.Add((Environment.CurrentManagedThreadId, get_num_threads())));
            int[] worked = [.. inside.Select(piece => piece.Thread)];
            Assert.All(after.Where(piece => worked.Contains(piece.Thread)), piece => Assert.Equal(3, piece.Count));
        }
        finally
        {
            set_num_threads(before);
        }
    }

    [Fact]
    public void The_first_that_fails_is_thrown_and_a_cancelled_run_ends()
    {
        for (int round = 0; round < 20; round++)
        {
            var error = Assert.Throws<InvalidOperationException>(() => IndependentWork.For(30, i =>
            {
                if (i >= 7) throw new InvalidOperationException($"piece {i}");
            }, default));
            Assert.Equal("piece 7", error.Message);
        }

        using var source = new CancellationTokenSource();
        int ran = 0;
        Assert.ThrowsAny<OperationCanceledException>(() => IndependentWork.For(10_000, _ =>
        {
            if (Interlocked.Increment(ref ran) == 5) source.Cancel();
        }, source.Token));
        Assert.InRange(ran, 5, 100);
    }
}
