using System.Text;
using Sparseland.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.IO;

/// <summary>Flipped bytes, files cut while open, writes that were killed.</summary>
public sealed class DamagedFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly DisposeScope _scope = NewDisposeScope();

    private string File_ => _folder.File("a.safetensors");

    public void Dispose()
    {
        _scope.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void Checksum_is_the_published_one_and_parts_make_the_whole()
    {
        Assert.Equal(0xE3069283u, Crc32C.Of("123456789"u8));
        Assert.Equal(0x8A9136AAu, Crc32C.Of(new byte[32])); // RFC 3720, B.4
        Assert.Equal(0u, Crc32C.Of([]));
        var random = new Random(5);
        byte[] bytes = new byte[300_000];
        random.NextBytes(bytes);
        uint state = uint.MaxValue;
        foreach (byte value in bytes) state = System.Numerics.BitOperations.Crc32C(state, value);
        Assert.Equal(~state, Crc32C.Of(bytes));
        for (int trial = 0; trial < 50; trial++)
        {
            int from = random.Next(1000), cut = from + random.Next(bytes.Length - from), end = cut + random.Next(bytes.Length - cut);
            Assert.Equal(Crc32C.Of(bytes.AsSpan(from..end)), Crc32C.Combine(Crc32C.Of(bytes.AsSpan(from..cut)), Crc32C.Of(bytes.AsSpan(cut..end)), Crc32C.Power(end - cut)));
        }
    }

    [Fact]
    public void Each_flipped_bit_is_found()
    {
        SafeTensors.Save(File_, new Dictionary<string, Tensor> { ["w"] = arange(5), ["flag"] = tensor(new[] { true, false }), ["none"] = zeros(0, 3) }, new Dictionary<string, string> { ["step"] = "12" });
        byte[] whole = File.ReadAllBytes(File_);
        int key = Encoding.UTF8.GetString(whole).IndexOf("sparseland.checksum", StringComparison.Ordinal);
        var random = new Random(6);
        for (int i = 0; i < whole.Length; i++)
        {
            // Without its key there is no checksum: a file of somebody else.
            if (i >= key && i < key + "sparseland.checksum".Length) continue;
            byte[] damaged = [.. whole];
            damaged[i] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(File_, damaged);
            Assert.StartsWith(File_ + ": ", Assert.Throws<InvalidDataException>(() => SafeTensors.Load(File_)).Message);
        }
    }

    [Fact]
    public void A_damaged_tensor_is_named_and_the_others_are_read()
    {
        Tensor large = rand(3, 700_001, dtype: ScalarType.Float64);
        SafeTensors.Save(File_, new Dictionary<string, Tensor> { ["large"] = large, ["small"] = ones(3) });
        Assert.True(SafeTensors.Load(File_)["large"].equal(large).all().item<bool>());
        using (FileStream stream = File.OpenWrite(File_))
        {
            stream.Position = 9_000_000;
            stream.Write(new byte[50]);
        }

        using SafeTensorsFile file = SafeTensors.Open(File_);
        Assert.True(file.HasChecksums);
        Assert.Contains("tensor 'large' has the checksum", Assert.Throws<InvalidDataException>(() => file.Load("large")).Message);
        Assert.Contains("tensor 'large'", Assert.Throws<InvalidDataException>(() => file.ReadBytes("large")).Message);
        Assert.Contains("tensor 'large'", Assert.Throws<InvalidDataException>(() => file.LoadAll()).Message);
        Assert.Equal(3, file.Load("small").sum().item<float>());
    }

    [Fact]
    public void Notes_of_a_file_can_be_given_to_the_next()
    {
        SafeTensors.Save(File_, new Dictionary<string, Tensor> { ["a"] = ones(3), ["b"] = ones(2) }, new Dictionary<string, string> { ["x"] = "1" });
        using (SafeTensorsFile file = SafeTensors.Open(File_)) Assert.Equal(new Dictionary<string, string> { ["x"] = "1" }, file.Metadata);
        SafeTensors.Save(File_, new Dictionary<string, Tensor> { ["a"] = zeros(3) }, new Dictionary<string, string> { [TensorChecksums.Key] = "crc32c 00000000" });
        Assert.Equal(0, SafeTensors.Load(File_)["a"].sum().item<float>());
    }

    [Theory]
    [InlineData("md5 00000000 00000000", "'md5', which is not known")]
    [InlineData("crc32c 00000000", "0 checksums for 1 tensors")]
    [InlineData("crc32c 00000000 0000000g", "hexadecimal")]
    [InlineData("crc32c 00000000 00000000", "header does not match")]
    public void A_note_that_does_not_fit_is_refused(string note, string reason)
    {
        byte[] json = Encoding.UTF8.GetBytes("""{"__metadata__":{"sparseland.checksum":"NOTE"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""".Replace("NOTE", note, StringComparison.Ordinal));
        File.WriteAllBytes(File_, [(byte)json.Length, 0, 0, 0, 0, 0, 0, 0, .. json, 1]);
        Assert.Contains(reason, Assert.Throws<InvalidDataException>(() => SafeTensors.Open(File_)).Message);
    }

    [Fact]
    public void A_file_cut_while_open_gives_an_exception()
    {
        SafeTensors.Save(File_, new Dictionary<string, Tensor> { ["first"] = zeros(100, dtype: ScalarType.Float64), ["last"] = ones(2_000_000) });
        using SafeTensorsFile file = SafeTensors.Open(File_);

        // Another program does not keep to the lock.
        using (var cut = new FileStream(File_, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) cut.SetLength(5_000_000);
        Assert.Contains("within 'last': it has been cut", Assert.Throws<InvalidDataException>(() => file.Load("last")).Message);
        Assert.Contains("within 'last'", Assert.Throws<InvalidDataException>(() => file.LoadAll()).Message);
        Assert.Equal(0, file.Load("first").sum().item<double>());
    }

    [Fact]
    public void A_closed_file_says_so()
    {
        SafeTensors.Save(File_, new Dictionary<string, Tensor> { ["a"] = ones(3) });
        SafeTensorsFile file = SafeTensors.Open(File_);
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Load("a"));
        Assert.Throws<ObjectDisposedException>(() => file.ReadBytes("a"));
    }

    [Fact]
    public void A_load_or_save_stops_within_a_large_tensor()
    {
        using var cancelled = new CancellationTokenSource();
        var tensors = new Dictionary<string, Tensor> { ["a"] = zeros(1), ["b"] = zeros(4_000_000) };
        SafeTensors.Save(File_, tensors);
        using SafeTensorsFile file = SafeTensors.Open(File_);
        Assert.Throws<OperationCanceledException>(() => file.LoadAll(progress: new CancelAt(cancelled, file.Names.First()), cancellationToken: cancelled.Token));
        Assert.Throws<OperationCanceledException>(() => SafeTensors.Save(_folder.File("b"), tensors, cancellationToken: cancelled.Token));
        Assert.False(File.Exists(_folder.File("b")));
    }

    [Fact]
    public void What_a_killed_write_left_goes_at_the_next_and_nothing_else()
    {
        string[] others = [_folder.File("b.safetensors.abcdefgh.abc.tmp"), _folder.File("a.safetensors.tmp"), _folder.File("a.safetensors.backup-of-may.tmp"), _folder.File("a.safetensors.abcdefgh.abc")];
        foreach (string other in others) File.WriteAllText(other, "kept");
        string left = _folder.File($"a.safetensors.{Path.GetRandomFileName()}.tmp"), alive = _folder.File($"a.safetensors.{Path.GetRandomFileName()}.tmp");
        File.WriteAllText(left, "half");
        File.SetLastWriteTimeUtc(left, DateTime.UtcNow.AddHours(-1));
        using (new FileStream(alive, FileMode.CreateNew, FileAccess.Write, FileShare.Delete))
        {
            File.SetLastWriteTimeUtc(alive, DateTime.UtcNow.AddHours(-1));
            SafeTensors.Save(File_, new Dictionary<string, Tensor> { ["a"] = ones(3) });
        }

        Assert.Equal(others.Append(File_).Append(alive).Order(), Directory.GetFiles(_folder.Path).Order());
    }

    [Fact]
    public void A_link_stays_a_link_and_a_file_keeps_its_permissions()
    {
        if (OperatingSystem.IsWindows()) return;
        Directory.CreateDirectory(_folder.File("store"));
        string target = _folder.File("store/real"), link = _folder.File("link"), dangling = _folder.File("dangling");
        File.WriteAllText(target, "old");
        File.SetUnixFileMode(target, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.CreateSymbolicLink(link, target);
        File.CreateSymbolicLink(dangling, _folder.File("store/new"));
        foreach (string path in (string[])[link, dangling]) SafeTensors.Save(path, new Dictionary<string, Tensor> { ["a"] = ones(3) });
        Assert.Equal(target, new FileInfo(link).LinkTarget);
        Assert.Equal(3, SafeTensors.Load(target)["a"].numel());
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(target));
        Assert.Equal(3, SafeTensors.Load(_folder.File("store/new"))["a"].numel());
        Assert.Equal(2, Directory.GetFiles(_folder.File("store")).Length);
    }

    [Theory]
    [InlineData("a", 255)]
    [InlineData("é", 127)]
    [InlineData("😀", 60)]
    public void The_longest_names_that_a_file_system_takes_can_be_saved(string character, int count)
    {
        string path = _folder.File(string.Concat(Enumerable.Repeat(character, count)));
        for (int i = 0; i < 2; i++) SafeTensors.Save(path, new Dictionary<string, Tensor> { ["a"] = ones(3) });
        Assert.Equal([path], Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void Writes_of_one_name_from_several_threads_leave_one_whole_file()
    {
        Parallel.For(0, 40, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
        {
            using Tensor values = full(10_000, i);
            SafeTensors.Save(File_, new Dictionary<string, Tensor> { ["a"] = values });
        });
        Tensor read = SafeTensors.Load(File_)["a"];
        Assert.True(read.eq(read[0]).all().item<bool>());
        Assert.Single(Directory.GetFiles(_folder.Path));
    }

    private sealed class CancelAt(CancellationTokenSource cancel, string name) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value)
        {
            if (value.Message == name) cancel.Cancel();
        }
    }
}
