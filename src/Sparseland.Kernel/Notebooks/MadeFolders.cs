using System.Collections.Concurrent;

namespace Sparseland.Kernel.Notebooks;

/// <summary>Folders that a command makes. Those that are empty when it ends, since it was refused or stopped, go again.</summary>
internal static class MadeFolders
{
    private static readonly ConcurrentStack<string> s_made = [];

    /// <summary>Makes a folder and those above it that are missing.</summary>
    /// <exception cref="IOException">It cannot be made, or is a file.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder above may not be written.</exception>
    public static void Make(string folder)
    {
        var missing = new Stack<string>();
        for (string? at = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)); at is not null && !Directory.Exists(at); at = Path.GetDirectoryName(at))
            missing.Push(at);

        // Remembered first: where the third of three fails, two are there.
        foreach (string at in missing)
            s_made.Push(at);
        Directory.CreateDirectory(folder);
    }

    /// <summary>Removes those that are still empty, the deepest first.</summary>
    public static void RemoveEmpty()
    {
        while (s_made.TryPop(out string? folder))
        {
            try
            {
                if (Directory.Exists(folder) && !Directory.EnumerateFileSystemEntries(folder).Any())
                    Directory.Delete(folder);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Somebody else has taken it; an empty folder is no reason to fail.
            }
        }
    }
}
