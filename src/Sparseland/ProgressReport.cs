namespace Sparseland;

/// <summary>How far a long call has come. Every long call of the library reports this through <see cref="IProgress{T}"/>.</summary>
/// <param name="Done">Finished units of work, from 0 to <paramref name="Total"/>.</param>
/// <param name="Total">All units of work; 0 when not known.</param>
/// <param name="Message">What is being done, with its current figure if it has one ("objective 0.41"), or empty, the default.</param>
public readonly record struct ProgressReport(long Done, long Total, string Message = "")
{
    /// <summary>What is being done, with its current figure if it has one ("objective 0.41"), or empty.</summary>
    // A report that nobody made (default) has no text at all.
    public string Message { get => field ?? ""; init; } = Message;

    /// <summary>Finished share from 0 to 1; 0 when the total is not known.</summary>
    public double Fraction => Total > 0 ? Math.Clamp((double)Done / Total, 0, 1) : 0;
}
