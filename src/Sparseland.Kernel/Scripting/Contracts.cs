using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Scripting;

/// <summary>Takes what a running cell puts out. Calls may come from several threads.</summary>
public interface ICellOutput
{
    /// <summary>Text written to a standard stream.</summary>
    /// <param name="name">"stdout" or "stderr".</param>
    /// <param name="text">The text as written, not split into lines.</param>
    void Stream(string name, string text);

    /// <summary>A displayed value (Jupyter display_data).</summary>
    void Display(MimeBundle bundle, string displayId);

    /// <summary>A new form of a value displayed before (Jupyter update_display_data).</summary>
    void Update(MimeBundle bundle, string displayId);

    /// <summary>The value of the cell's trailing expression (Jupyter execute_result).</summary>
    void Result(MimeBundle bundle);

    /// <summary>Asks the user for a line of text (Jupyter input_request) and waits for it. Unless overridden, nobody can answer.</summary>
    /// <param name="prompt">What to ask.</param>
    /// <param name="isPassword">Whether the front end hides what is typed.</param>
    /// <param name="cancel">Signalled when the cell is stopped.</param>
    /// <exception cref="NotSupportedException">Nobody can answer here.</exception>
    /// <exception cref="OperationCanceledException">The cell was stopped.</exception>
    string Ask(string prompt, bool isPassword, CancellationToken cancel) => throw new NotSupportedException(
        "The cell asks for input, and nobody can answer here: a headless run has no user, and a front end must allow input. Put the value in a variable of the cell instead.");
}

/// <summary>How a cell ended.</summary>
public enum CellStatus
{
    /// <summary>It ran to its end.</summary>
    Ok,

    /// <summary>It did not compile, or threw.</summary>
    Error,

    /// <summary>The user or a time limit stopped it.</summary>
    Interrupted,
}

/// <summary>What went wrong in a cell, ready to show.</summary>
/// <param name="Name">Exception type name, or "CompilationError" or "DirectiveError".</param>
/// <param name="Message">One-line message.</param>
/// <param name="Traceback">Readable lines: cell and line numbers, no frames of the engine itself.</param>
public sealed record CellError(string Name, string Message, IReadOnlyList<string> Traceback);

/// <summary>The outcome of one cell.</summary>
public sealed record CellResult(CellStatus Status, CellError? Error, TimeSpan Elapsed);

/// <summary>Completion items for a range of the code.</summary>
public sealed record Completions(IReadOnlyList<string> Matches, int Start, int End);

/// <summary>Whether a piece of code is ready to run.</summary>
public enum Completeness
{
    /// <summary>It can run.</summary>
    Complete,

    /// <summary>More lines are needed.</summary>
    Incomplete,

    /// <summary>It can never become valid.</summary>
    Invalid,
}

/// <summary>A C# notebook engine: one chain of submissions that share variables, usings and references.</summary>
public interface IScriptEngine : IAsyncDisposable
{
    /// <summary>Runs one cell. Never throws for a mistake in the cell: that is in the result.</summary>
    /// <param name="code">The cell's text, directives included.</param>
    /// <param name="output">Takes what the cell puts out.</param>
    /// <param name="cancel">Stops the running cell, also a loop that never looks at a token; state is kept.</param>
    Task<CellResult> ExecuteAsync(string code, ICellOutput output, CancellationToken cancel = default);

    /// <summary>Completions at a character position.</summary>
    Task<Completions> CompleteAsync(string code, int position, CancellationToken cancel = default);

    /// <summary>Signature and documentation of the symbol at a character position, or null.</summary>
    Task<MimeBundle?> InspectAsync(string code, int position, CancellationToken cancel = default);

    /// <summary>Whether the code is a complete submission.</summary>
    Completeness IsComplete(string code);
}
