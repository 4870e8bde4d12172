using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

namespace Notebooks.Tests;

/// <summary>The notebooks of the series, found once.</summary>
internal static class Series
{
    private static readonly Lazy<string> RootFolder = new(() =>
        NotebookFiles.RepositoryRoot() ?? throw new DirectoryNotFoundException("The tests must run inside a clone."));

    /// <summary>Root of the clone.</summary>
    public static string Root => RootFolder.Value;

    /// <summary>Paths below notebooks/, for theories.</summary>
    public static TheoryData<string> All()
    {
        var data = new TheoryData<string>();
        foreach (var path in Paths())
            data.Add(Path.GetRelativePath(Folder, path).Replace('\\', '/'));
        return data;
    }

    /// <summary>Full paths.</summary>
    public static IReadOnlyList<string> Paths() => [.. NotebookFiles.Expand([Folder]).Select(Path.GetFullPath)];

    /// <summary>Reads one.</summary>
    public static Notebook Load(string path) => Notebook.Load(FullPath(path));

    /// <summary>The file of one.</summary>
    public static string FullPath(string path) => Path.Combine(Folder, path);

    private static string Folder => Path.Combine(Root, "notebooks");
}
