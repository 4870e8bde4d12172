using System.Text;

namespace Sparseland.IO;

/// <summary>
/// A file that appears under its name only when it is whole. It is written beside its place as NAME.xxxxxxxx.xxx.tmp and then renamed;
/// what a killed write of the same name left behind goes at the next one that comes a minute later. A link stays a link (its target is
/// replaced), and a file that was there keeps its permissions.
/// </summary>
internal static class ReplacedFile
{
    private const string Ending = ".tmp";

    // A temporary file is born a moment before it is locked; one that was written to just now may be in that moment.
    private static readonly TimeSpan Young = TimeSpan.FromMinutes(1);

    /// <summary>Writes the file, or leaves an older one as it was.</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="write">Writes the content to an unbuffered stream.</param>
    /// <param name="length">Bytes to come, or 0 where that is not known: space is taken in one go, and a full disk is found at once.</param>
    internal static void Write(string path, Action<FileStream> write, long length = 0)
    {
        path = new FileInfo(path) is { LinkTarget: not null } link ? link.ResolveLinkTarget(returnFinalTarget: true)!.FullName : Path.GetFullPath(path);
        string stem = Stem(path);
        RemoveLeftovers(stem);
        string temporary = $"{stem}.{Path.GetRandomFileName()}{Ending}";

        // Open until it has its name: the lock tells another write that this one lives, and sharing of deletes lets it be renamed.
        var stream = new FileStream(temporary, new FileStreamOptions
        {
            Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.Delete, BufferSize = 0, PreallocationSize = length,
        });
        try
        {
            using (stream)
            {
                if (!OperatingSystem.IsWindows() && File.Exists(path)) File.SetUnixFileMode(stream.SafeFileHandle, File.GetUnixFileMode(path));
                write(stream);
                stream.Flush(flushToDisk: true);
                File.Move(temporary, path, overwrite: true);
            }
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
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
