using System.Security;
using Sparseland.IO;

namespace Sparseland.Tests.IO;

/// <summary>Restores from a feed that is a folder of this machine's package cache, so that no network is needed.</summary>
public sealed class NuGetPackageTests : IDisposable
{
    private readonly TemporaryFolder _cache = new();
    private readonly NuGetPackage _package = new("StbImageSharp", "2.30.16", 1);

    public void Dispose() => _cache.Dispose();

    [Fact]
    public void A_missing_package_is_restored_once_and_then_found_without_a_feed()
    {
        Feed(NuGetPackage.Cache);
        var told = new Told();
        string folder = _package.FindOrRestore(_cache.Path, told, default);
        Assert.NotEmpty(Directory.GetFiles(folder, "StbImageSharp.dll", SearchOption.AllDirectories));
        Assert.Contains("restoring StbImageSharp 2.30.16 (1 MB)", told.Messages[0], StringComparison.Ordinal);
        AssertOnly("stbimagesharp");
        Feed(_cache.File("nowhere"));
        var again = new Told();
        Assert.Equal(folder, _package.FindOrRestore(_cache.Path, again, default));
        Assert.Empty(again.Messages);
    }

    [Fact]
    public void A_package_that_is_not_whole_is_restored_again()
    {
        Feed(NuGetPackage.Cache);
        string half = Directory.CreateDirectory(Path.Combine(_cache.Path, "stbimagesharp", "2.30.16")).FullName;
        File.WriteAllText(Path.Combine(half, "half"), "");
        Assert.Null(_package.Find(_cache.Path));
        Assert.Equal(half, _package.FindOrRestore(_cache.Path, null, default));
        Assert.False(File.Exists(Path.Combine(half, "half")));
    }

    [Fact]
    public void Without_a_feed_that_has_it_the_message_says_what_helps_and_nothing_is_left()
    {
        Feed(Directory.CreateDirectory(_cache.File("empty")).FullName);
        IOException error = Assert.Throws<IOException>(() => _package.FindOrRestore(_cache.Path, null, default));
        Assert.Contains("StbImageSharp 2.30.16 (1 MB) is not in", error.Message, StringComparison.Ordinal);
        Assert.Contains("needed once, with a network", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(".csproj", error.Message, StringComparison.Ordinal);
        AssertOnly("empty");
    }

    [Fact]
    public void A_cancelled_restore_leaves_nothing()
    {
        Feed(NuGetPackage.Cache);
        using var cancel = new CancellationTokenSource();
        Assert.ThrowsAny<OperationCanceledException>(() => _package.FindOrRestore(_cache.Path, new Told { Then = cancel.Cancel }, cancel.Token));
        AssertOnlySoon();

        // Cancelled before it begins.
        Assert.ThrowsAny<OperationCanceledException>(() => _package.FindOrRestore(_cache.File("other"), null, cancel.Token));
        AssertOnly();
    }

    /// <summary>A program that never ends, with a child of its own, in the place of the SDK.</summary>
    [Fact]
    public void A_cancelled_restore_ends_its_process_and_leaves_nothing()
    {
        if (OperatingSystem.IsWindows()) return;
        string program = _cache.File("endless"), child = _cache.File("child");
        File.WriteAllText(program, $"#!/bin/sh\nmkdir -p packages && echo begun > packages/half\nsleep 100000 & echo $! > '{child}.new' && mv '{child}.new' '{child}'\nwait\n");
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using var cancel = new CancellationTokenSource();
        var package = new NuGetPackage("StbImageSharp", "2.30.16", 1, program);
        var told = new Told
        {
            Then = () =>
            {
                if (File.Exists(child)) cancel.Cancel();
            },
        };
        Assert.ThrowsAny<OperationCanceledException>(() => package.FindOrRestore(_cache.Path, told, cancel.Token));
        int id = int.Parse(File.ReadAllText(child), System.Globalization.CultureInfo.InvariantCulture);
        Assert.True(Soon(() => !File.Exists($"/proc/{id}/cmdline") || File.ReadAllText($"/proc/{id}/cmdline").Length == 0), "the child is still there");
        File.Delete(program);
        File.Delete(child);
        File.WriteAllText(_cache.File("NuGet.config"), "");
        AssertOnlySoon();
    }

    /// <summary>However long the end of a process takes, the call that is cancelled does not wait for it.</summary>
    [Fact]
    public async Task A_process_that_does_not_end_holds_no_cancelled_call()
    {
        using var released = new ManualResetEventSlim();
        using var cancel = new CancellationTokenSource();
        var gone = new TaskCompletionSource();
        Task waiting = SdkRestore.EndsAsync(new TaskCompletionSource().Task, () =>
        {
            released.Wait();
            gone.SetResult();
        }, cancel.Token);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        Assert.False(gone.Task.IsCompleted);
        released.Set();
        await gone.Task;
    }

    [Fact]
    public void A_program_that_cannot_be_started_is_said_and_nothing_is_left()
    {
        Feed(_cache.File("nowhere"));
        var package = new NuGetPackage("StbImageSharp", "2.30.16", 1, _cache.File("no such program"));
        Assert.Contains("could not be started", Assert.Throws<IOException>(() => package.FindOrRestore(_cache.Path, null, default)).Message, StringComparison.Ordinal);
        AssertOnly();
    }

    [Fact]
    public void What_a_killed_restore_left_goes_at_the_next_one()
    {
        Feed(_cache.File("nowhere"));
        string old = Directory.CreateDirectory(_cache.File(".sparseland-old")).FullName, young = Directory.CreateDirectory(_cache.File(".sparseland-young")).FullName;
        Directory.SetLastWriteTimeUtc(old, DateTime.UtcNow.AddDays(-2));
        Assert.Throws<IOException>(() => _package.FindOrRestore(_cache.Path, null, default));
        Assert.False(Directory.Exists(old));
        Assert.True(Directory.Exists(young));
    }

    [Fact]
    public void A_file_inside_an_assembly_is_read_and_what_is_none_is_refused_by_name()
    {
        string library = typeof(NuGetPackage).Assembly.Location;
        byte[] guard = AssemblyResource.Read(library, "guard-linux-x64.so");
        using Stream stream = typeof(NuGetPackage).Assembly.GetManifestResourceStream("guard-linux-x64.so")!;
        byte[] expected = new byte[stream.Length];
        stream.ReadExactly(expected);
        Assert.Equal(expected, guard);
        Assert.Equal(expected, AssemblyResource.Read(library, "so"));
        Assert.Contains("it holds guard-linux-x64.so", Assert.Throws<InvalidDataException>(() => AssemblyResource.Read(library, "model.onnx")).Message, StringComparison.Ordinal);
        File.WriteAllText(_cache.File("text.dll"), "no assembly");
        Assert.Throws<InvalidDataException>(() => AssemblyResource.Read(_cache.File("text.dll"), "x"));
        File.WriteAllBytes(_cache.File("cut.dll"), File.ReadAllBytes(library)[..5000]);
        Assert.Throws<InvalidDataException>(() => AssemblyResource.Read(_cache.File("cut.dll"), "so"));
        Assert.Throws<FileNotFoundException>(() => AssemblyResource.Read(_cache.File("none.dll"), "so"));
    }

    /// <summary>NuGet reads the settings of the folders above a project.</summary>
    private void Feed(string folder) => File.WriteAllText(_cache.File("NuGet.config"),
        $"<configuration><packageSources><clear /><add key=\"local\" value=\"{SecurityElement.Escape(folder)}\" /></packageSources></configuration>");

    private void AssertOnly(params string[] names) => Assert.Equal(["NuGet.config", .. names], Directory.GetFileSystemEntries(_cache.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal)!);

    private void AssertOnlySoon(params string[] names)
    {
        Soon(() => Directory.GetFileSystemEntries(_cache.Path).Length == names.Length + 1);
        AssertOnly(names);
    }

    private static bool Soon(Func<bool> holds) => SpinWait.SpinUntil(() =>
    {
        if (holds()) return true;
        Thread.Sleep(20);
        return false;
    }, TimeSpan.FromSeconds(30));

    private sealed class Told : IProgress<ProgressReport>
    {
        public List<string> Messages { get; } = [];

        public Action? Then { get; init; }

        public void Report(ProgressReport value)
        {
            Messages.Add(value.Message);
            Then?.Invoke();
        }
    }
}
