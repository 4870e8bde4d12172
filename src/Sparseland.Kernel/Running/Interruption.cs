namespace Sparseland.Kernel.Running;

/// <summary>Ctrl+C in a terminal reaches a command and every process that it started; these may end before the command hears of it.</summary>
internal static class Interruption
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(300);

    /// <summary>To be called where a process ended badly: whether it was Ctrl+C is known a moment later.</summary>
    /// <exception cref="OperationCanceledException">It was.</exception>
    public static Task RuleOutAsync(CancellationToken cancel) => Task.Delay(Patience, cancel);
}
