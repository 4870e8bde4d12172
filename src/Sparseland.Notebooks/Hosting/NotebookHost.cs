namespace Sparseland.Notebooks.Hosting;

/// <summary>The host of the running cell, if it is Sparseland's own engine.</summary>
public static class NotebookHost
{
    private static readonly AsyncLocal<INotebookHost?> Flow = new();
    private static INotebookHost? process;

    /// <summary>The host that takes displayed values now; null outside Sparseland's engine.</summary>
    public static INotebookHost? Current => Flow.Value ?? process;

    internal static INotebookHost Require() => Current
        ?? throw new InvalidOperationException("Nothing can be displayed here: no cell of a Sparseland notebook is running.");

    /// <summary>Makes <paramref name="host"/> the current host of this flow of execution (several engines may share a process).</summary>
    public static void Enter(INotebookHost? host) => Flow.Value = host;

    /// <summary>Makes <paramref name="host"/> the host of code that runs outside any cell's flow, such as a timer.</summary>
    public static void SetProcessHost(INotebookHost? host) => process = host;
}
