using System.Diagnostics;
using System.Text;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Formats;
using Sparseland.Tests.IO;

namespace Sparseland.Tests.Retrieval.Formats;

public sealed class TextFolderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Write(string name, byte[] bytes)
    {
        string path = Path.Combine(_folder.Path, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    [Fact]
    public void Every_text_file_is_a_document_under_its_path()
    {
        Write("b.txt", "second line\r\n\r\nlast"u8.ToArray());
        Write("a/deep er/x.MD", [0xEF, 0xBB, 0xBF, .. "# Title\n"u8]);
        Write("a/utf16.txt", [0xFF, 0xFE, .. Encoding.Unicode.GetBytes("caf\u00e9")]);
        Write("empty.txt", []);
        Write("a/other.cs", "class C;"u8.ToArray());
        Write(".git/hidden.txt", "no"u8.ToArray());
        Write(".hidden.txt", "no"u8.ToArray());
        File.CreateSymbolicLink(Path.Combine(_folder.Path, "again"), _folder.Path);
        IReadOnlyList<RetrievalDocument> documents = TextFolder.Read(_folder.Path);
        Assert.Equal(["a/deep er/x.MD", "a/utf16.txt", "b.txt", "empty.txt"], documents.Select(d => d.Id));
        Assert.Equal(["# Title\n", "caf\u00e9", "second line\r\n\r\nlast", ""], documents.Select(d => d.Contents));
        Assert.Equal(["a/other.cs"], TextFolder.Read(_folder.Path + Path.DirectorySeparatorChar, [".CS"]).Select(d => d.Id));
    }

    [Fact]
    public void A_file_that_is_no_text_is_named()
    {
        Write("good.txt", "good"u8.ToArray());
        string bad = Write("latin.txt", [.. "caf"u8, 0xE9, .. " au lait"u8]);
        Assert.Contains(bad, Assert.Throws<InvalidDataException>(() => TextFolder.Read(_folder.Path)).Message, StringComparison.Ordinal);

        // Cut inside a letter.
        Write("latin.txt", [.. "caf"u8, 0xC3]);
        Assert.Throws<InvalidDataException>(() => TextFolder.Read(_folder.Path));
    }

    [Fact]
    public async Task A_pipe_is_not_waited_for()
    {
        if (OperatingSystem.IsWindows()) return;
        Write("a.txt", "text"u8.ToArray());
        using (var make = Process.Start("mkfifo", [Path.Combine(_folder.Path, "pipe.txt")]))
            await make.WaitForExitAsync();
        IReadOnlyList<RetrievalDocument> documents = await Task.Run(() => TextFolder.Read(_folder.Path)).WaitAsync(TimeSpan.FromMinutes(1));
        Assert.Equal(["text", ""], documents.Select(d => d.Text));
    }

    [Fact]
    public void Bad_input_is_refused_by_name()
    {
        Assert.Contains(".txt, .md", Assert.Throws<InvalidDataException>(() => TextFolder.Read(_folder.Path)).Message, StringComparison.Ordinal);
        Assert.Throws<DirectoryNotFoundException>(() => TextFolder.Read(Path.Combine(_folder.Path, "no")));
        Assert.Throws<ArgumentException>(() => TextFolder.Read(""));
        foreach (string ending in new[] { "txt", ".", "", "*.txt", "./x" }) Assert.Throws<ArgumentException>(() => TextFolder.Read(_folder.Path, [ending]));
        Assert.Throws<ArgumentException>(() => TextFolder.Read(_folder.Path, []));
        Write("a.txt", "x"u8.ToArray());
        Assert.Throws<OperationCanceledException>(() => TextFolder.Read(_folder.Path, cancel: new(true)));
    }
}
