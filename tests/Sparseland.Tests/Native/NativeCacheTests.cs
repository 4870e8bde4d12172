using Sparseland.Native;

namespace Sparseland.Tests.Native;

public sealed class NativeCacheTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("cache with Ünïcode ").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_file_is_written_once_and_repaired_when_damaged()
    {
        (string path, bool written) = NativeCache.Store([1, 2], "lib x.so", [7, 8, 9], [_folder]);
        Assert.True(written);
        Assert.Equal([7, 8, 9], File.ReadAllBytes(path));
        Assert.Equal((path, false), NativeCache.Store([1, 2], "lib x.so", [7, 8, 9], [_folder]));
        File.WriteAllBytes(path, [7, 8]);
        Assert.Equal((path, true), NativeCache.Store([1, 2], "lib x.so", [7, 8, 9], [_folder]));
        Assert.Equal([path], Directory.GetFiles(_folder, "*", SearchOption.AllDirectories));
    }

    [Fact]
    public void Many_writers_at_once_leave_one_whole_file()
    {
        var content = new byte[1 << 20];
        new Random(1).NextBytes(content);
        string[] paths = [.. ParallelEnumerable.Range(0, 16).WithDegreeOfParallelism(8).Select(_ => NativeCache.Store([3], "a.so", content, [_folder]).Path)];
        Assert.Single(paths.Distinct());
        Assert.Equal(content, File.ReadAllBytes(paths[0]));
        Assert.Single(Directory.GetFiles(_folder, "*", SearchOption.AllDirectories));
    }

    [Fact]
    public void A_folder_that_cannot_be_written_is_passed_over()
    {
        // A file where a folder is needed cannot be written to by any user, root included.
        string blocked = Path.Combine(_folder, "file");
        File.WriteAllText(blocked, "");
        string good = Path.Combine(_folder, "good");
        Assert.StartsWith(good, NativeCache.Store([4], "a.so", [1], [Path.Combine(blocked, "x"), good]).Path);
        Assert.Contains(blocked, Assert.Throws<IOException>(() => NativeCache.Store([4], "a.so", [1], [Path.Combine(blocked, "x")])).Message);
    }
}
