namespace Sparseland.Notebooks.Hosting;

/// <summary>
/// Where displayed values go while a notebook runs in Sparseland's own engine.
/// Other hosts (.NET Interactive, a console program) leave <see cref="NotebookHost.Current"/> null.
/// </summary>
public interface INotebookHost
{
    /// <summary>Shows a value.</summary>
    /// <param name="bundle">The value in all its forms.</param>
    /// <param name="displayId">An identity that later updates name.</param>
    void Display(MimeBundle bundle, string displayId);

    /// <summary>Replaces what an earlier <see cref="Display"/> with the same identity shows.</summary>
    void Update(MimeBundle bundle, string displayId);

    /// <summary>Asks the user for a line of text and waits for it.</summary>
    /// <param name="prompt">What to ask.</param>
    /// <param name="isPassword">Whether the front end hides what is typed.</param>
    /// <exception cref="NotSupportedException">Nobody can answer here.</exception>
    string Ask(string prompt, bool isPassword);

    /// <summary>Signalled when the user interrupts the running cell.</summary>
    CancellationToken CellCancelled { get; }
}
