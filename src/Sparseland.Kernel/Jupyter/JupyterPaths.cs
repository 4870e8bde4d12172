namespace Sparseland.Kernel.Jupyter;

/// <summary>
/// The folders in which Jupyter looks for kernels, found without Jupyter being there.
/// https://docs.jupyter.org/en/latest/use/jupyter-directories.html
/// </summary>
/// <param name="variable">Reads an environment variable.</param>
/// <param name="home">The user's home folder.</param>
/// <param name="systemFolders">Data folders of the whole machine; null takes the platform's.</param>
public sealed class JupyterPaths(Func<string, string?> variable, string home, IReadOnlyList<string>? systemFolders = null)
{
    /// <summary>The paths of this process's user and environment.</summary>
    public static JupyterPaths Current { get; } = new(
        Environment.GetEnvironmentVariable, Environment.GetFolderPath(Environment.SpecialFolder.UserProfile));

    /// <summary>The user's own data folder.</summary>
    public string User
    {
        get
        {
            if (Value("JUPYTER_DATA_DIR") is { } given)
                return given;
            if (OperatingSystem.IsWindows())
                return Path.Combine(Value("APPDATA") ?? Path.Combine(home, "AppData", "Roaming"), "jupyter");
            if (OperatingSystem.IsMacOS())
                return Path.Combine(home, "Library", "Jupyter");
            return Path.Combine(Value("XDG_DATA_HOME") ?? Path.Combine(home, ".local", "share"), "jupyter");
        }
    }

    /// <summary>The data folder of the active Python environment (virtual environment, conda, or the python on the PATH); null when there is none.</summary>
    public string? PythonEnvironment
    {
        get
        {
            var prefix = Value("VIRTUAL_ENV") ?? Value("CONDA_PREFIX") ?? PythonPrefix();
            return prefix is null ? null : InPrefix(prefix);
        }
    }

    /// <summary>All data folders, the one that wins first.</summary>
    public IReadOnlyList<string> All
    {
        get
        {
            var folders = new List<string>();
            folders.AddRange((Value("JUPYTER_PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries));
            folders.Add(User);
            if (PythonEnvironment is { } environment)
                folders.Add(environment);
            folders.AddRange(systemFolders ?? SystemFolders());
            return [.. folders.Select(Path.GetFullPath).Distinct(OperatingSystem.IsWindows() ? StringComparer.OrdinalIgnoreCase : StringComparer.Ordinal)];
        }
    }

    /// <summary>The data folder below an installation prefix.</summary>
    public static string InPrefix(string prefix) => Path.Combine(Path.GetFullPath(prefix), "share", "jupyter");

    private IReadOnlyList<string> SystemFolders() => OperatingSystem.IsWindows()
        ? [Path.Combine(Value("PROGRAMDATA") ?? @"C:\ProgramData", "jupyter")]
        : ["/usr/local/share/jupyter", "/usr/share/jupyter"];

    private string? PythonPrefix()
    {
        foreach (var folder in (Value("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
        {
            string[] names = OperatingSystem.IsWindows() ? ["python.exe"] : ["python3", "python"];
            if (names.Any(name => File.Exists(Path.Combine(folder, name))))
                return OperatingSystem.IsWindows() ? folder : Path.GetDirectoryName(folder.TrimEnd('/'));
        }

        return null;
    }

    private string? Value(string name) => variable(name) is { } value && !string.IsNullOrWhiteSpace(value) ? value : null;
}
