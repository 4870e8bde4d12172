using System.Diagnostics;
using System.Globalization;
using Sparseland.Kernel.Commands;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Tests.Running;

namespace Sparseland.Kernel.Tests.Cli;

/// <summary>Files that are folders, places that cannot be written, Ctrl+C: a sentence, an exit code, and nothing half left.</summary>
public sealed class AdversityTests
{
    [Theory]
    [InlineData("encode", "missing", "--out", "new/v")]
    [InlineData("sae", "train", "missing", "--site", "resid_post.1", "--steps", "2", "--out", "new/s")]
    [InlineData("train", "tinylm", "--docs", "missing", "--out", "new/t")]
    [InlineData("train", "retrievers", "--docs", "missing", "--out", "new/t")]
    [InlineData("gallery", "--stored", "--out", "new/g", "bad.ipynb")]
    [InlineData("run", "bad.ipynb", "--no-save", "--html", "new/h")]
    [InlineData("prune", "missing", "--out", "new/p")]
    [InlineData("@.")]
    public async Task A_refused_command_leaves_no_folder(params string[] arguments)
    {
        var folder = Notes.Folder();
        File.WriteAllText(Path.Combine(folder, "bad.ipynb"), "");
        var (code, text, error) = await Command.RunAsync(folder, arguments);
        Assert.True(code is 1 or 2, error);
        Assert.NotEqual("", text + error);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
        Assert.Equal(["bad.ipynb"], Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName));
    }

    [Fact]
    public async Task A_report_that_cannot_be_written_is_refused_before_the_run()
    {
        var path = Notes.Single("1");
        var (folder, before) = (Path.GetDirectoryName(path)!, File.ReadAllText(path));
        Directory.CreateDirectory(Path.Combine(folder, "report", "a b ü.html"));
        Directory.CreateDirectory(Path.Combine(folder, "report", "a b ü.ipynb"));
        foreach (var arguments in (string[][])[["--json", "report"], ["--html", "report"], ["--output", "report"], ["--json", ""]])
        {
            var (code, _, error) = await Command.RunAsync(folder, ["run", path, .. arguments]);
            Assert.Equal(2, code);
            Assert.Contains(arguments[0], error, StringComparison.Ordinal);
            Assert.Equal(before, File.ReadAllText(path));
        }
    }

    [Fact]
    public async Task An_older_gallery_stays_where_a_page_cannot_be_written()
    {
        var path = Notes.Single("1");
        var (folder, gallery) = (Path.GetDirectoryName(path)!, Path.Combine(Path.GetDirectoryName(path)!, "g"));
        var first = await Command.RunAsync(folder, "gallery", "--stored", path, "--out", "g");
        Assert.True(first.Code == 0, first.Error);
        File.Delete(Path.Combine(gallery, "results.html"));
        Directory.CreateDirectory(Path.Combine(gallery, "results.html"));
        var before = Contents(gallery);
        Notes.Write(folder, "a b ü.ipynb", "2");

        var (code, _, error) = await Command.RunAsync(folder, "gallery", "--stored", path, "--out", "g");
        Assert.Equal(2, code);
        Assert.Contains("results.html", error, StringComparison.Ordinal);
        Assert.Equal(before, Contents(gallery));

        // Nor is it replaced by one without notebooks.
        File.WriteAllText(path, "");
        Directory.Delete(Path.Combine(gallery, "results.html"));
        before = Contents(gallery);
        (code, _, error) = await Command.RunAsync(folder, "gallery", "--stored", path, "--out", "g");
        Assert.Equal(1, code);
        Assert.Contains("no page was written", error, StringComparison.Ordinal);
        Assert.Equal(before, Contents(gallery));
    }

    [Fact]
    public async Task An_installation_of_the_kernel_is_whole_or_not_there()
    {
        var folder = Notes.Folder();
        var place = Path.Combine(folder, "share", "jupyter", "kernels", ".net-csharp");
        Directory.CreateDirectory(Path.Combine(place, "logo-svg.svg"));
        var (code, _, error) = await Command.RunAsync(folder, "kernel", "install", "--prefix", ".");
        Assert.Equal(2, code);
        Assert.Contains("logo-svg.svg", error, StringComparison.Ordinal);
        Assert.Equal(["logo-svg.svg"], Directory.EnumerateFileSystemEntries(place).Select(Path.GetFileName));
    }

    [Fact]
    public void Files_of_a_set_appear_together_or_not_at_all()
    {
        var folder = Notes.Folder();
        File.WriteAllText(Path.Combine(folder, "a"), "old");
        Directory.CreateDirectory(Path.Combine(folder, "b"));
        using (var set = new FileSet())
        {
            set.Add(Path.Combine(folder, "a"), "new");
            Assert.Throws<IOException>(() => set.Add(Path.Combine(folder, "b"), "new"));
        }

        Assert.Equal("old", File.ReadAllText(Path.Combine(folder, "a")));
        Assert.Equal(["a", "b"], Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName).Order());
        using (var set = new FileSet())
        {
            set.Add(Path.Combine(folder, "a"), "new");
            set.Add(Path.Combine(folder, "below", "c"), "new");
            Assert.False(File.Exists(Path.Combine(folder, "below", "c")));
            set.Commit();
        }

        Assert.Equal(["new", "new"], ((string[])["a", "below/c"]).Select(name => File.ReadAllText(Path.Combine(folder, name))));
        Assert.Equal(3, Directory.GetFileSystemEntries(folder).Length);
    }

    [Fact]
    public async Task A_fault_of_the_program_is_a_sentence_too()
    {
        Assert.Equal(Guard.Refused, await Guard.RunAsync("test", () => throw new KeyNotFoundException("of a test")));
        Assert.Equal(Guard.Stopped, await Guard.RunAsync("test", () => throw new TaskCanceledException()));
    }

    [Fact]
    public async Task Ctrl_C_in_a_terminal_leaves_the_notebook_as_it_was()
    {
        if (!OperatingSystem.IsLinux())
            return;
        var folder = Notes.Folder();
        var path = Notes.Write(folder, "slow.ipynb", "System.IO.File.WriteAllText(\"begun\", \"\"); System.Threading.Thread.Sleep(30_000);");
        var before = File.ReadAllText(path);
        using var process = Command.StartAlone(folder, "run", "slow.ipynb");
        Task<string> text = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        while (!File.Exists(Path.Combine(folder, "begun")) && !process.HasExited)
            await Task.Delay(5);

        // As a terminal does it: to the command and to the process that runs the cells.
        using (var kill = Process.Start("kill", ["-INT", "--", "-" + process.Id.ToString(CultureInfo.InvariantCulture)]))
            await kill.WaitForExitAsync();
        await process.WaitForExitAsync();
        await text;
        Assert.Equal(130, process.ExitCode);
        Assert.Contains("stopped in 'slow.ipynb'", await error, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllText(path));
    }

    private static IEnumerable<string> Contents(string folder) =>
        [.. Directory.EnumerateFileSystemEntries(folder, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Select(p => $"{p}: {(File.Exists(p) ? File.ReadAllText(p) : "")}")];
}
