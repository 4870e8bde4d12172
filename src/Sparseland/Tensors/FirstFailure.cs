using System.Runtime.ExceptionServices;

namespace Sparseland.Tensors;

/// <summary>Loops of <see cref="Parallel"/> that fail as a plain loop would: with the exception itself and not with a collection that holds it.</summary>
internal static class FirstFailure
{
    /// <summary>Runs a parallel loop.</summary>
    /// <param name="loop">The loop.</param>
    /// <remarks>Of several failures one is thrown as it is, a cancellation only where there is nothing else.</remarks>
    public static void Of(Action loop)
    {
        try
        {
            loop();
        }
        catch (AggregateException several)
        {
            IReadOnlyList<Exception> all = several.Flatten().InnerExceptions;
            ExceptionDispatchInfo.Throw(all.FirstOrDefault(e => e is not OperationCanceledException) ?? all[0]);
        }
    }
}
