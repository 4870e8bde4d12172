namespace Sparseland.Kernel.Running;

/// <summary>Finds the notebooks that a command is given.</summary>
public static class NotebookFiles
{
    // The door of the series stands before everything else.
    private const string First = "00-start-here.ipynb";

    private static readonly string[] Skipped = ["bin", "obj", "artifacts", "node_modules"];

    /// <summary>The files that the paths name: a file itself, a folder's notebooks in order of their paths, the start of the series first.</summary>
    /// <param name="paths">Files and folders.</param>
    /// <exception cref="FileNotFoundException">A path does not exist.</exception>
    /// <exception cref="ArgumentException">A folder holds no notebook, or a file is none by its name.</exception>
    public static IReadOnlyList<string> Expand(IEnumerable<string> paths)
    {
        ArgumentNullException.ThrowIfNull(paths);
        var files = new List<string>();
        foreach (var path in paths)
        {
            if (Directory.Exists(path))
            {
                var found = In(path).OrderBy(f => Path.GetFileName(f) == First ? 0 : 1).ThenBy(f => f, StringComparer.Ordinal).ToList();
                if (found.Count == 0)
                    throw new ArgumentException($"The folder '{path}' holds no notebook (.ipynb).");
                files.AddRange(found);
            }
            else if (!File.Exists(path))
            {
                throw new FileNotFoundException($"'{path}' does not exist.", path);
            }
            else if (Path.GetExtension(path).ToLowerInvariant() is not (".ipynb" or ".dib"))
            {
                throw new ArgumentException($"'{path}' is not a notebook: its name must end in .ipynb or .dib.");
            }
            else
            {
                files.Add(path);
            }
        }

        return [.. files.DistinctBy(Path.GetFullPath)];
    }

    /// <summary>The root of the clone around the current folder, or around this program; null outside of any.</summary>
    public static string? RepositoryRoot()
    {
        foreach (var start in (string[])[Environment.CurrentDirectory, AppContext.BaseDirectory])
        {
            for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
            {
                if (File.Exists(Path.Combine(folder.FullName, "Notebooks.sln")))
                    return folder.FullName;
            }
        }

        return null;
    }

    /// <summary>The notebooks of the series, as paths that are short from where the user stands.</summary>
    /// <exception cref="DirectoryNotFoundException">There is no clone here.</exception>
    public static IReadOnlyList<string> OfTheSeries()
    {
        var folder = Path.Combine(
            RepositoryRoot() ?? throw new DirectoryNotFoundException("No clone of Sparseland (Notebooks.sln) is above the current folder; name the notebooks' paths."),
            "notebooks");
        if (!Directory.Exists(folder))
            throw new DirectoryNotFoundException($"The folder '{folder}' does not exist.");
        return Expand([Short(folder)]);
    }

    /// <summary>A path relative to the current folder where that is shorter.</summary>
    public static string Short(string path)
    {
        var relative = Path.GetRelativePath(Environment.CurrentDirectory, path);
        return relative.StartsWith("..", StringComparison.Ordinal) ? path : relative;
    }

    private static IEnumerable<string> In(string folder) => Directory.EnumerateFiles(folder, "*.ipynb")
        .Where(f => !Path.GetFileName(f).StartsWith('.'))
        .Concat(Directory.EnumerateDirectories(folder)
            .Where(d => Path.GetFileName(d) is var name && !name.StartsWith('.') && !Skipped.Contains(name))
            .SelectMany(In));
}
