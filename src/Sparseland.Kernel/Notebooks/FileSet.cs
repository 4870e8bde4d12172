using System.Text;
using Sparseland.IO;

namespace Sparseland.Kernel.Notebooks;

/// <summary>Files that belong together: all are written beside their places, and only then take their names. Where one cannot be written, what was there stays as it was.</summary>
internal sealed class FileSet : IDisposable
{
    private readonly List<ReplacedFile> files = [];

    /// <summary>Writes a file beside its place.</summary>
    /// <exception cref="IOException">The folder or the disk does not take it.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written.</exception>
    public void Add(string path, string text) => Add(path, Encoding.UTF8.GetBytes(text));

    /// <summary>Writes a file beside its place.</summary>
    /// <exception cref="IOException">The folder or the disk does not take it.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written.</exception>
    public void Add(string path, byte[] content)
    {
        MadeFolders.Make(Path.GetDirectoryName(Path.GetFullPath(path))!);
        files.Add(ReplacedFile.Begin(path, stream => stream.Write(content)));
    }

    /// <summary>Gives all files their names.</summary>
    public void Commit()
    {
        foreach (var file in files)
            file.Commit();
    }

    /// <summary>Removes what has not got its name.</summary>
    public void Dispose()
    {
        foreach (var file in files)
            file.Dispose();
    }
}
