using System.Runtime.ExceptionServices;
using TorchSharp;

namespace Sparseland.Tensors;

/// <summary>Many small pieces of work that need nothing of each other, several at a time.</summary>
/// <remarks>
/// Each piece runs on one thread, libtorch's calls in it too: small products that are spread over all cores end in a barrier each, where one
/// busy core lets all others wait, and what they give depends on the number of threads in its last bits.
/// </remarks>
internal static class IndependentWork
{
    /// <summary>Runs the pieces 0 to count - 1, as many at a time as libtorch has threads here.</summary>
    /// <param name="count">Number of pieces.</param>
    /// <param name="body">One piece.</param>
    /// <param name="cancel">Checked before each piece.</param>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    /// <remarks>The exception of the first piece that fails is thrown as it is; pieces after it may be left out.</remarks>
    public static void For(int count, Action<int> body, CancellationToken cancel)
    {
        int threads = torch.get_num_threads(), next = 0;
        bool failed = false;
        Exception?[] errors = new Exception?[count];
        Parallel.For(0, Math.Min(threads, count), new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = threads }, _ =>
        {
            // The number belongs to the thread that sets it; whoever leaves gives it back.
            torch.set_num_threads(1);
            try
            {
                // One piece at a time and in their order: long ones are shared evenly, and all before one that fails are run, so that the first that fails is the same at any number of threads.
                for (int i; !Volatile.Read(ref failed) && (i = Interlocked.Increment(ref next) - 1) < count;)
                {
                    cancel.ThrowIfCancellationRequested();
                    try
                    {
                        body(i);
                    }
                    catch (Exception e) when (e is not OperationCanceledException)
                    {
                        errors[i] = e;
                        Volatile.Write(ref failed, true);
                    }
                }
            }
            finally
            {
                torch.set_num_threads(threads);
            }
        });
        if (errors.FirstOrDefault(e => e is not null) is { } first) ExceptionDispatchInfo.Throw(first);
    }
}
