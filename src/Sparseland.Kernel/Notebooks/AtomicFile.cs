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
        MadeFolders.Make(Path.GetDirectoryName(Path.GetFullPath(path))!);
        ReplacedFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));
    }

    /// <summary>Makes sure that files can be written into a folder, before hours of work end in a refusal.</summary>
    /// <exception cref="IOException">They cannot.</exception>
    public static void CheckFolder(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        try
        {
            MadeFolders.Make(folder);
            using var probe = new FileStream(Path.Combine(folder, $".probe.{Path.GetRandomFileName()}.tmp"), FileMode.CreateNew, FileAccess.Write, FileShare.None, 0, FileOptions.DeleteOnClose);

            // A full disk still takes the name of a file.
            probe.WriteByte(0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"The folder '{folder}' cannot be written: {e.Message}", e);
        }
    }

    /// <summary>Makes sure that a file can be written, before the work whose result it is to hold.</summary>
    /// <param name="path">The file.</param>
    /// <param name="option">The option that names it, such as "--json".</param>
    /// <exception cref="ArgumentException">It is no name of a file.</exception>
    /// <exception cref="IOException">It is a folder, or its folder cannot be written.</exception>
    public static void CheckFile(string path, string option)
    {
        if (string.IsNullOrWhiteSpace(path)) throw new ArgumentException($"{option} is '{path}'; name a file.");
        if (Directory.Exists(path)) throw new IOException($"{option} is '{path}', which is a folder; name a file.");
        CheckFolder(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }
}
