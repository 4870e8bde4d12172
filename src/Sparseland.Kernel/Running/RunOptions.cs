namespace Sparseland.Kernel.Running;

/// <summary>How much work a notebook does; it sees the value in the environment variable <see cref="RunOptions.ScaleVariable"/>.</summary>
public enum RunScale
{
    /// <summary>Seconds: for tests.</summary>
    Quick,

    /// <summary>One to two minutes: what is committed with its outputs.</summary>
    Lesson,

    /// <summary>Hours or a GPU.</summary>
    Full,
}

/// <summary>How notebooks are run.</summary>
public sealed record RunOptions
{
    /// <summary>Name of the environment variable that tells a notebook its scale: "quick", "lesson" or "full".</summary>
    public const string ScaleVariable = "SPARSELAND_SCALE";

    private readonly TimeSpan cellTimeout = TimeSpan.FromMinutes(15);
    private readonly TimeSpan interruptGrace = TimeSpan.FromSeconds(3);
    private readonly int? threads;

    /// <summary>How much work the notebook does.</summary>
    public RunScale Scale { get; init; } = RunScale.Lesson;

    /// <summary>
    /// Whether a cell that throws is recorded and the run goes on, as for a cell with the tag raises-exception. Default false. A cell that
    /// does not end in time, or ends its process, ends the run all the same.
    /// </summary>
    public bool AllowErrors { get; init; }

    /// <summary>The longest that one cell may take.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Zero or less.</exception>
    public TimeSpan CellTimeout
    {
        get => cellTimeout;
        init => cellTimeout = value > TimeSpan.Zero ? value : throw new ArgumentOutOfRangeException(nameof(CellTimeout), value, "The time limit must be positive.");
    }

    /// <summary>
    /// The most threads that libtorch and the runtime give to one computation; null, the default, for all the machine has. Where several
    /// notebooks run at a time, each with all threads, they wait for each other: two at a time on two cores take a quarter less with one.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Below 1.</exception>
    public int? Threads
    {
        get => threads;
        init => threads = value is null or >= 1 ? value : throw new ArgumentOutOfRangeException(nameof(Threads), value, "There must be at least one thread.");
    }

    /// <summary>How long an interrupted cell has before its process is ended.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Negative.</exception>
    public TimeSpan InterruptGrace
    {
        get => interruptGrace;
        init => interruptGrace = value >= TimeSpan.Zero ? value : throw new ArgumentOutOfRangeException(nameof(InterruptGrace), value, "The grace must not be negative.");
    }

    /// <summary>The scale as notebooks and their metadata spell it.</summary>
    public static string Name(RunScale scale) => scale.ToString().ToLowerInvariant();

    /// <summary>A length of time such as 90s, 15m, 2h or 1.5m; a bare number is seconds.</summary>
    /// <exception cref="FormatException">The text is none.</exception>
    public static TimeSpan ParseDuration(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var (digits, unit) = text.Trim() switch
        {
            [.. var d, 'm', 's'] => (d, 0.001),
            [.. var d, 's'] => (d, 1.0),
            [.. var d, 'm'] => (d, 60.0),
            [.. var d, 'h'] => (d, 3600.0),
            var d => (d, 1.0),
        };
        return double.TryParse(digits, System.Globalization.NumberStyles.AllowDecimalPoint, System.Globalization.CultureInfo.InvariantCulture, out var value) && value > 0 && value * unit < 1e7
            ? TimeSpan.FromSeconds(value * unit)
            : throw new FormatException($"'{text}' is not a length of time; write 90s, 15m or 2h.");
    }
}
