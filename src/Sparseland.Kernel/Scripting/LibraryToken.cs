namespace Sparseland.Kernel.Scripting;

/// <summary>
/// The token that a cell and the library see. Apart from the engine's own, because what a cell registers on it may block or
/// throw: that must not hold up the interrupt.
/// </summary>
/// <param name="stray">Takes an exception that a registered callback threw.</param>
internal sealed class LibraryToken(Action<Exception> stray)
{
    private readonly CancellationTokenSource source = new();

    /// <summary>Signalled when the cell is to stop.</summary>
    public CancellationToken Token => source.Token;

    /// <summary>Signals the token; returns at once.</summary>
    public void Cancel() => _ = CancelAsync();

    private async Task CancelAsync()
    {
        try
        {
            await source.CancelAsync().ConfigureAwait(false);
        }
        catch (AggregateException e)
        {
            stray(e);
        }
    }
}
