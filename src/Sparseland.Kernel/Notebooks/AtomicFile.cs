using System.Text;

namespace Sparseland.Kernel.Notebooks;

/// <summary>Writes whole files: to a temporary file in the same folder, then moved over the old one.</summary>
internal static class AtomicFile
{
    /// <summary>Replaces the file's content; the old content stays when anything goes wrong.</summary>
    /// <exception cref="IOException">The folder or the disk does not take it.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written.</exception>
    public static void Write(string path, string text)
    {
        path = Path.GetFullPath(path);

        // A link's target is replaced, not the link.
        if (File.Exists(path) && File.ResolveLinkTarget(path, returnFinalTarget: true) is { } target)
            path = target.FullName;
        var folder = Path.GetDirectoryName(path)!;
        Directory.CreateDirectory(folder);
        var temporary = Temporary(folder, Path.GetFileName(path));
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write))
            {
                stream.Write(Encoding.UTF8.GetBytes(text));
                stream.Flush(flushToDisk: true);
            }

            if (!OperatingSystem.IsWindows() && File.Exists(path))
                File.SetUnixFileMode(temporary, File.GetUnixFileMode(path));
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    /// <summary>Makes sure that files can be written into a folder, before hours of work end in a refusal.</summary>
    /// <exception cref="IOException">They cannot.</exception>
    public static void CheckFolder(string folder)
    {
        try
        {
            Directory.CreateDirectory(folder);
            using var probe = new FileStream(Temporary(folder, "probe"), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"The folder '{folder}' cannot be written: {e.Message}", e);
        }
    }

    private static string Temporary(string folder, string name) => Path.Combine(folder, $".{name}.{Environment.ProcessId}.{Path.GetRandomFileName()}.tmp");
}
