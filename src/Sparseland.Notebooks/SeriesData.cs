namespace Sparseland.Notebooks;

/// <summary>Finds what the project ships in its folder <c>data</c>.</summary>
public static class SeriesData
{
    /// <summary>Environment variable with the path of a data folder, for notebooks outside a clone.</summary>
    public const string FolderVariable = "SPARSELAND_DATA";

    /// <summary>The path of a folder or file of <c>data</c>, looked for in the current folder and those above it.</summary>
    /// <param name="name">Its name, such as "tinylm".</param>
    /// <exception cref="ArgumentException">An empty name, or one that leaves the folder.</exception>
    /// <exception cref="DirectoryNotFoundException">It is nowhere; the message says what to do.</exception>
    public static string Find(string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        if (Path.IsPathRooted(name) || name.Split('/', '\\').Contains(".."))
            throw new ArgumentException($"\"{name}\" is not the name of something in the data folder.", nameof(name));
        string? set = Environment.GetEnvironmentVariable(FolderVariable);
        IEnumerable<string> folders = string.IsNullOrEmpty(set) ? Above(Environment.CurrentDirectory).Select(folder => Path.Combine(folder, "data")) : [set];
        foreach (string folder in folders)
        {
            string path = Path.Combine(folder, name);
            if (Directory.Exists(path) || File.Exists(path)) return path;
        }

        throw new DirectoryNotFoundException(
            $"There is no data/{name} {(string.IsNullOrEmpty(set) ? $"in or above {Environment.CurrentDirectory}" : $"in {set} ({FolderVariable})")}. "
            + $"Run the notebook in a clone of Sparseland, or set {FolderVariable} to the path of its data folder.");
    }

    private static IEnumerable<string> Above(string folder)
    {
        for (DirectoryInfo? at = new(folder); at is not null; at = at.Parent) yield return at.FullName;
    }
}
