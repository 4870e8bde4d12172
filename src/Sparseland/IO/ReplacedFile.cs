using System.Text;

namespace Sparseland.IO;

/// <summary>
/// A file that appears under its name only when it is whole. It is written beside its place as NAME.xxxxxxxx.xxx.tmp and then renamed;
/// what a killed write of the same name left behind goes at the next one that comes a minute later. A link stays a link (its target is
/// replaced), and a file that was there keeps its permissions.
/// </summary>
internal sealed class ReplacedFile : IDisposable
{
    private const string Ending = ".tmp";

    // A temporary file is born a moment before it is locked; one that was written to just now may be in that moment.
    private static readonly TimeSpan Young = TimeSpan.FromMinutes(1);

    private readonly string _path, _temporary;

    // Open until the file has its name: the lock tells another write that this one lives, and sharing of deletes lets it be renamed.
    private readonly FileStream _stream;
    private bool _named;

    private ReplacedFile(string path, string temporary, FileStream stream) => (_path, _temporary, _stream) = (path, temporary, stream);

    /// <summary>Writes the file, or leaves an older one as it was.</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="write">Writes the content to an unbuffered stream.</param>
    /// <param name="length">Bytes to come, or 0 where that is not known: space is taken in one go, and a full disk is found at once.</param>
    internal static void Write(string path, Action<FileStream> write, long length = 0)
    {
        using ReplacedFile file = Begin(path, write, length);
        file.Commit();
    }

    /// <summary>Writes the content beside the file's place; <see cref="Commit"/> gives it its name, and without that it goes with <see cref="Dispose"/>.</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="write">Writes the content to an unbuffered stream.</param>
    /// <param name="length">Bytes to come, or 0 where that is not known.</param>
    /// <exception cref="IOException">The path is a folder, or the disk does not take the content.</exception>
    internal static ReplacedFile Begin(string path, Action<FileStream> write, long length = 0)
    {
        path = new FileInfo(path) is { LinkTarget: not null } link ? link.ResolveLinkTarget(returnFinalTarget: true)!.FullName : Path.GetFullPath(path);
        if (Directory.Exists(path)) throw new IOException($"'{path}' is a folder, so no file of this name can be written.");
        string stem = Stem(path);
        RemoveLeftovers(stem);
        string temporary = $"{stem}.{Path.GetRandomFileName()}{Ending}";
        var file = new ReplacedFile(path, temporary, new FileStream(temporary, new FileStreamOptions
        {
            Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.Delete, BufferSize = 0, PreallocationSize = length,
        }));
        try
        {
            if (!OperatingSystem.IsWindows() && File.Exists(path)) File.SetUnixFileMode(file._stream.SafeFileHandle, File.GetUnixFileMode(path));
            write(file._stream);
            file._stream.Flush(flushToDisk: true);
            return file;
        }
        catch (ArgumentOutOfRangeException e) when (e.ParamName == "value")
        {
            // How .NET says EFBIG, without the file's name.
            file.Dispose();
            throw new IOException($"'{path}' would be larger than its file system, or a limit of this process, allows.", e);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Gives the file its name.</summary>
    internal void Commit()
    {
        File.Move(_temporary, _path, overwrite: true);
        _named = true;
    }

    /// <summary>Closes the file, and removes it where it has not got its name.</summary>
    public void Dispose()
    {
        _stream.Dispose();
        if (!_named) File.Delete(_temporary);
    }

    /// <summary>The path, its name so short that the temporary one fits into what file systems allow (255 bytes).</summary>
    private static string Stem(string path)
    {
        string name = Path.GetFileName(path);
        int most = 255 - ".xxxxxxxx.xxx".Length - Ending.Length;
        while (Encoding.UTF8.GetByteCount(name) > most) name = name[..^1];
        if (name.Length > 0 && char.IsHighSurrogate(name[^1])) name = name[..^1];
        return Path.Combine(Path.GetDirectoryName(path) ?? path, name);
    }

    private static void RemoveLeftovers(string stem)
    {
        string start = Path.GetFileName(stem) + ".", folder = Path.GetDirectoryName(stem) ?? stem;
        if (!Directory.Exists(folder)) return;
        int length = start.Length + Path.GetRandomFileName().Length + Ending.Length;
        foreach (string file in Directory.EnumerateFiles(folder))
        {
            string name = Path.GetFileName(file);
            if (name.Length != length || !name.StartsWith(start, StringComparison.Ordinal) || !name.EndsWith(Ending, StringComparison.Ordinal)) continue;
            try
            {
                if (DateTime.UtcNow - File.GetLastWriteTimeUtc(file) < Young) continue;
                using (new FileStream(file, FileMode.Open, FileAccess.Write, FileShare.None)) File.Delete(file);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // A write under way holds it, or it is another user's: it is not ours to remove.
            }
        }
    }
}
