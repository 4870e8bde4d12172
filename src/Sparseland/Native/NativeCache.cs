using System.Security.Cryptography;

namespace Sparseland.Native;

/// <summary>
/// Where native files made on this machine are kept: <c>$XDG_CACHE_HOME/sparseland/native</c>, else
/// <c>~/.cache/sparseland/native</c>, else a folder of the user's in the temporary directory.
/// </summary>
internal static class NativeCache
{
    /// <summary>Stores a file under the hash of what it was made from, unless it is there with exactly this content.</summary>
    /// <param name="key">What the file was made from; its SHA-256 names the folder.</param>
    /// <param name="fileName">Name of the file.</param>
    /// <param name="content">Its content.</param>
    /// <returns>The path, and whether it was written now.</returns>
    /// <exception cref="IOException">No folder can be written; the message names each with its reason.</exception>
    public static (string Path, bool Written) Store(ReadOnlySpan<byte> key, string fileName, byte[] content)
    {
        string folder = Convert.ToHexStringLower(SHA256.HashData(key));
        var failures = new List<string>();
        foreach (string root in Roots())
        {
            string path = Path.Combine(root, folder, fileName);
            try
            {
                if (Holds(path, content))
                {
                    return (path, false);
                }
                Write(path, content);
                return (path, true);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                failures.Add($"{root}: {e.Message}");
            }
        }
        throw new IOException($"No folder can hold the native file {fileName}. {string.Join(" ", failures)}");
    }

    /// <summary>The folders to try, best first.</summary>
    internal static IEnumerable<string> Roots()
    {
        // The XDG specification: a relative path is invalid and to be ignored.
        if (Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { } cache && Path.IsPathRooted(cache))
        {
            yield return Path.Combine(cache, "sparseland", "native");
        }
        else if (Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) is { Length: > 0 } home)
        {
            yield return Path.Combine(home, ".cache", "sparseland", "native");
        }
        yield return Path.Combine(Path.GetTempPath(), $"sparseland-{Environment.UserName}", "native");
    }

    private static bool Holds(string path, byte[] content)
    {
        var file = new FileInfo(path);
        return file.Exists && file.Length == content.Length && File.ReadAllBytes(path).AsSpan().SequenceEqual(content);
    }

    private static void Write(string path, byte[] content)
    {
        string folder = Path.GetDirectoryName(path)!;
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(folder);
        }
        else
        {
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
        // A name of this process's own and a rename: another process sees the whole file or none.
        string temporary = Path.Combine(folder, $".{Path.GetFileName(path)}.{Environment.ProcessId}.{Guid.NewGuid():N}");
        try
        {
            File.WriteAllBytes(temporary, content);
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }
}
