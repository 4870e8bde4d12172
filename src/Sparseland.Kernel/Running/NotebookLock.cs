using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Sparseland.Kernel.Running;

/// <summary>Keeps two runs from writing the same notebook. The system frees the lock when its process ends, however it ends.</summary>
internal sealed class NotebookLock : IDisposable
{
    private readonly FileStream held;
    private readonly string holderFile;

    private NotebookLock(FileStream held, string holderFile)
    {
        this.held = held;
        this.holderFile = holderFile;
    }

    /// <summary>Takes the lock of a notebook.</summary>
    /// <exception cref="IOException">Another run has it; the message says which.</exception>
    public static NotebookLock Take(string path)
    {
        var full = Path.GetFullPath(path);
        var data = Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify);
        var folder = Path.Combine(data.Length > 0 ? data : Path.GetTempPath(), "sparseland", "locks");
        Directory.CreateDirectory(folder);
        var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(full)))[..24];
        var holderFile = Path.Combine(folder, name + ".holder");
        var lockFile = Path.Combine(folder, name + ".lock");
        FileStream stream;
        try
        {
            stream = new FileStream(lockFile, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (File.Exists(lockFile))
        {
            throw new IOException($"{path} is being run already by {Holder(holderFile)}. Wait for it, or run with --no-save.", e);
        }

        try
        {
            File.WriteAllText(holderFile, string.Create(CultureInfo.InvariantCulture, $"process {Environment.ProcessId} since {DateTime.Now:HH:mm:ss}"));
            return new NotebookLock(stream, holderFile);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>Frees the lock. Its file stays: removing it would let a third run lock another file of the same name.</summary>
    public void Dispose()
    {
        File.Delete(holderFile);
        held.Dispose();
    }

    private static string Holder(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (IOException)
        {
            return "another process";
        }
    }
}
