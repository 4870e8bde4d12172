namespace Sparseland.IO;

/// <summary>
/// A file that appears under its name only when it is whole. It is written beside its place as NAME.xxxxxxxx.xxx.tmp and then renamed;
/// what a killed write of the same name left behind goes at the next one that comes a minute later.
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
        RemoveLeftovers(path);
        string temporary = $"{path}.{Path.GetRandomFileName()}{Ending}";

        // Open until it has its name: the lock tells another write that this one lives, and sharing of deletes lets it be renamed.
        var stream = new FileStream(temporary, new FileStreamOptions
        {
            Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.Delete, BufferSize = 0, PreallocationSize = length,
        });
        try
        {
            using (stream)
            {
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

    private static void RemoveLeftovers(string path)
    {
        string full = Path.GetFullPath(path), start = Path.GetFileName(full) + ".", folder = Path.GetDirectoryName(full) ?? full;
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
