using System.Text;
using Sparseland.IO;

namespace Sparseland.Kernel.Notebooks;

/// <summary>Writes whole files of text.</summary>
internal static class AtomicFile
{
    /// <summary>Replaces the file's content; the old content stays when anything goes wrong.</summary>
    /// <exception cref="IOException">The folder or the disk does not take it.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written.</exception>
    public static void Write(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        ReplacedFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));
    }

    /// <summary>Makes sure that files can be written into a folder, before hours of work end in a refusal.</summary>
    /// <exception cref="IOException">They cannot.</exception>
    public static void CheckFolder(string folder)
    {
        try
        {
            Directory.CreateDirectory(folder);
            using var probe = new FileStream(Path.Combine(folder, $".probe.{Path.GetRandomFileName()}.tmp"), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"The folder '{folder}' cannot be written: {e.Message}", e);
        }
    }
}
