using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Sparseland.Tensors;

/// <summary>Backward passes that fail with what went wrong inside a <see cref="GuardedFunction{T}"/>, and not with libtorch's word on the gradients that stood in.</summary>
internal static class GradientPass
{
    // Libtorch runs the functions of CPU tensors on the thread that began the pass.
    [ThreadStatic]
    private static ExceptionDispatchInfo? s_failure;

    /// <summary>The gradients of a loss.</summary>
    /// <param name="loss">One number.</param>
    /// <remarks>Throws what a guarded function threw, as it is.</remarks>
    public static void Run(Tensor loss) => Of(() =>
    {
        loss.backward();
        return loss;
    });

    /// <summary>What a backward pass gives.</summary>
    /// <param name="pass">Calls libtorch.</param>
    /// <remarks>Throws what a guarded function threw, as it is.</remarks>
    public static T Of<T>(Func<T> pass)
    {
        s_failure = null;
        try
        {
            return pass();
        }
        catch (ExternalException) when (s_failure is not null)
        {
            ExceptionDispatchInfo failure = s_failure;
            s_failure = null;
            failure.Throw();
            throw;
        }
    }

    /// <summary>Keeps a failure. It is written down too: who calls <c>backward</c> by himself sees only that libtorch refused a gradient.</summary>
    public static void Failed(string function, Exception failure)
    {
        s_failure ??= ExceptionDispatchInfo.Capture(failure);
        Console.Error.WriteLine($"Sparseland: the backward pass of {function} failed: {failure.Message}");
    }
}
