using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Sparseland.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.IO;

/// <summary>Values and bytes: tensors against files written by hand from the specification, and there and back.</summary>
public sealed class SafeTensorsRoundTripTests : IDisposable
{
    private static readonly ScalarType[] s_types =
    [
        ScalarType.Float64, ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16, ScalarType.Int64,
        ScalarType.Int32, ScalarType.Int16, ScalarType.Int8, ScalarType.Byte, ScalarType.Bool, ScalarType.ComplexFloat32,
    ];

    private readonly TemporaryFolder _folder = new();
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose()
    {
        _scope.Dispose();
        _folder.Dispose();
    }

    private static byte[] BytesOf(Tensor tensor) => tensor.NumberOfElements == 0 ? [] : tensor.cpu().contiguous().bytes.ToArray();

    /// <summary>
    /// The expected file was put together by hand: the JSON as the specification shows it, its length 8-padded, and the
    /// numbers' bytes from IEEE 754 (1.5f = 0x3FC00000, bfloat16 -2 = 0xC000, float16 0.5 = 0x3800).
    /// </summary>
    [Fact]
    public void The_written_file_is_the_one_the_specification_asks_for()
    {
        var tensors = new Dictionary<string, Tensor>
        {
            ["b"] = tensor(new[] { 1.5f, -0.0f }),
            ["flag"] = tensor(new[] { true, false, true }),
            ["a"] = tensor(new[] { 7L }).reshape(1, 1),
            ["h"] = tensor(0.5f).to(ScalarType.Float16),
            ["Ä"] = tensor(new[] { -2f }).to(ScalarType.BFloat16),
            ["none"] = zeros(0, 3, dtype: ScalarType.Byte),
        };
        string path = _folder.File("hand.safetensors");
        SafeTensors.Save(path, tensors, new Dictionary<string, string> { ["made by"] = "a \"test\"", ["A"] = "1" });

        // The digits come from a CRC-32C of its own below.
        string Json = """{"__metadata__":{"A":"1","made by":"a \"test\"","sparseland.checksum":"crc32c HEADER__ 1111111_ 2222222_ 3333333_ 4444444_ 5555555_ 6666666_"},"a":{"dtype":"I64","shape":[1,1],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},"Ä":{"dtype":"BF16","shape":[1],"data_offsets":[16,18]},"h":{"dtype":"F16","shape":[],"data_offsets":[18,20]},"none":{"dtype":"U8","shape":[0,3],"data_offsets":[20,20]},"flag":{"dtype":"BOOL","shape":[3],"data_offsets":[20,23]}}       """;
        byte[][] data = [[7, 0, 0, 0, 0, 0, 0, 0], [0x00, 0x00, 0xC0, 0x3F, 0x00, 0x00, 0x00, 0x80], [0x00, 0xC0], [0x00, 0x38], [], [1, 0, 1]];
        for (int i = 0; i < 6; i++) Json = Json.Replace(new string((char)('1' + i), 7) + "_", $"{BitByBit(data[i]):x8}", StringComparison.Ordinal);
        byte[] length = [0xE8, 0x01, 0, 0, 0, 0, 0, 0]; // 488 = 481 padded to a multiple of 8
        uint header = BitByBit([.. length, .. Encoding.UTF8.GetBytes(Json.Replace("HEADER__", "00000000", StringComparison.Ordinal))]);
        byte[] json = Encoding.UTF8.GetBytes(Json.Replace("HEADER__", $"{header:x8}", StringComparison.Ordinal));
        Assert.Equal(488, json.Length);
        byte[] expected =
        [
            .. length,
            .. json,
            7, 0, 0, 0, 0, 0, 0, 0,
            0x00, 0x00, 0xC0, 0x3F, 0x00, 0x00, 0x00, 0x80,
            0x00, 0xC0,
            0x00, 0x38,
            1, 0, 1,
        ];
        Assert.Equal(expected, File.ReadAllBytes(path));
    }

    /// <summary>A file with the header's keys in another order than ours, as other writers make it; bytes by hand.</summary>
    [Fact]
    public void A_foreign_file_is_read_to_its_values()
    {
        byte[] json = """{"w":{"shape":[2,2],"data_offsets":[2,18],"dtype":"F32"},"i":{"dtype":"I8","data_offsets":[0,2],"shape":[2]}}"""u8.ToArray();
        string path = _folder.File("foreign.safetensors");
        File.WriteAllBytes(path,
        [
            (byte)json.Length, 0, 0, 0, 0, 0, 0, 0,
            .. json,
            0xFF, 0x7F, // -1, 127
            0x00, 0x00, 0x80, 0x3F, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x80, 0x7F, 0x01, 0x00, 0x00, 0x00, // 1, -2, +Inf, least denormal
        ]);
        Dictionary<string, Tensor> read = SafeTensors.Load(path);
        Assert.Equal([-1, 127], read["i"].data<sbyte>().ToArray());
        Assert.Equal([2L, 2L], read["w"].shape);
        Assert.Equal([1f, -2f, float.PositiveInfinity, float.Epsilon], read["w"].data<float>().ToArray());
    }

    [Fact]
    public void Every_type_comes_back_bit_for_bit()
    {
        var tensors = s_types.ToDictionary(type => type.ToString(), type => (rand(3, 5) * 100 - 50).to(type));
        tensors["NaN payload"] = tensor(new[] { BitConverter.Int32BitsToSingle(0x7FC01234), float.NegativeInfinity });
        tensors["scalar"] = tensor(3.25);
        tensors["empty"] = zeros(4, 0, 2);
        string path = _folder.File("types.safetensors");
        SafeTensors.Save(path, tensors);
        Dictionary<string, Tensor> read = SafeTensors.Load(path);
        Assert.Equal(tensors.Keys.Order(), read.Keys.Order());
        foreach ((string name, Tensor expected) in tensors)
        {
            Assert.Equal(expected.dtype, read[name].dtype);
            Assert.Equal(expected.shape, read[name].shape);
            Assert.Equal(BytesOf(expected), BytesOf(read[name]));
        }
    }

    [Fact]
    public void Views_are_written_as_what_they_show()
    {
        Tensor matrix = arange(12, dtype: ScalarType.Float32).reshape(3, 4);
        var complex = torch.complex(ones(2), ones(2));
        string path = _folder.File("views.safetensors");
        SafeTensors.Save(path, new Dictionary<string, Tensor>
        {
            ["transposed"] = matrix.t(),
            ["part"] = matrix.narrow(1, 1, 2),
            ["expanded"] = ones(1).expand(3),
            ["conjugate"] = complex.conj(),
            ["learned"] = matrix.clone().requires_grad_(),
        });
        Dictionary<string, Tensor> read = SafeTensors.Load(path);
        Assert.Equal([0f, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11], read["transposed"].data<float>().ToArray());
        Assert.Equal([1f, 2, 5, 6, 9, 10], read["part"].data<float>().ToArray());
        Assert.Equal([1f, 1, 1], read["expanded"].data<float>().ToArray());
        Assert.True(read["conjugate"].imag.eq(-1f).all().item<bool>());
        Assert.False(read["learned"].requires_grad);
    }

    [Fact]
    public void Random_collections_come_back_and_give_the_same_bytes_in_any_order()
    {
        Gen<string> name =
            from length in Gen.Choose(1, 12)
            from characters in Gen.ArrayOf(Gen.Elements("a", "B", ".", " ", "\"", "\\", "\n", "é", "長", "😀", "\u2028", "\uE000"), length)
            select string.Concat(characters);
        Gen<(string, int, long[])> tensor =
            from n in name
            from type in Gen.Choose(0, s_types.Length - 1)
            from rank in Gen.Choose(0, 4)
            from shape in Gen.ArrayOf(Gen.Choose(0, 5).Select(i => (long)i), rank)
            select (n, type, shape);
        Gen<((string, int, long[])[], string[])> input =
            from count in Gen.Choose(0, 8)
            from tensors in Gen.ArrayOf(tensor, count)
            from metadata in Gen.ArrayOf(name, 3)
            select (tensors, metadata);
        Prop.ForAll(input.ToArbitrary(), x =>
        {
            using DisposeScope scope = NewDisposeScope();
            (string Name, Tensor Tensor)[] tensors = [.. x.Item1.DistinctBy(t => t.Item1).Select(t => (t.Item1, (rand(t.Item3) * 100).to(s_types[t.Item2])))];
            Dictionary<string, string> metadata = x.Item2.Distinct().ToDictionary(key => key, key => key + "!");
            string path = _folder.File("random.safetensors"), again = _folder.File("again.safetensors");
            SafeTensors.Save(path, tensors.ToDictionary(t => t.Name, t => t.Tensor), metadata);
            SafeTensors.Save(again, tensors.Reverse().ToDictionary(t => t.Name, t => t.Tensor), metadata.Reverse().ToDictionary());
            Assert.Equal(File.ReadAllBytes(path), File.ReadAllBytes(again));

            using SafeTensorsFile file = SafeTensors.Open(path);
            Assert.Equal(metadata, file.Metadata);
            Assert.Equal(tensors.Length, file.Tensors.Count);
            foreach ((string n, Tensor expected) in tensors)
            {
                // Aligned in the file, and read to the same bits.
                Tensor read = file.Load(n);
                Assert.Equal(0, file.Info(n).Offset % Math.Min(8, Math.Max(1, expected.ElementSize)));
                Assert.Equal(expected.dtype, read.dtype);
                Assert.Equal(expected.shape, read.shape);
                Assert.Equal(BytesOf(expected), BytesOf(read));
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(100));
    }

    [Fact]
    public void Loading_copies_no_weights_through_managed_memory()
    {
        string path = _folder.File("large.safetensors");
        SafeTensors.Save(path, new Dictionary<string, Tensor> { ["w"] = zeros(1 << 22) });
        using SafeTensorsFile file = SafeTensors.Open(path);
        file.Load("w").Dispose();
        long before = GC.GetAllocatedBytesForCurrentThread();
        file.Load("w").Dispose();
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64 * 1024);
    }

    [Fact]
    public void Loaded_tensors_outlive_the_file()
    {
        string path = _folder.File("short.safetensors");
        SafeTensors.Save(path, new Dictionary<string, Tensor> { ["w"] = arange(1000) });
        Tensor read;
        using (SafeTensorsFile file = SafeTensors.Open(path))
            read = file.Load("w");
        File.Delete(path);
        Assert.Equal(499_500, read.sum().item<long>());
    }

    [Fact]
    public void Booleans_other_than_0_and_1_are_refused()
    {
        byte[] json = """{"m":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}"""u8.ToArray();
        string path = _folder.File("bool.safetensors");
        File.WriteAllBytes(path, [(byte)json.Length, 0, 0, 0, 0, 0, 0, 0, .. json, 1, 2]);
        using SafeTensorsFile file = SafeTensors.Open(path);
        Assert.Contains("other than 0 and 1", Assert.Throws<InvalidDataException>(() => file.Load("m")).Message);
        Assert.Equal([1, 2], file.ReadBytes("m"));
    }

    [Fact]
    public void What_the_format_cannot_hold_is_refused_before_anything_is_written()
    {
        string path = _folder.File("refused.safetensors");
        void Refuses(string name, Tensor value, string reason) =>
            Assert.Contains(reason, Assert.Throws<ArgumentException>(() => SafeTensors.Save(path, new Dictionary<string, Tensor> { [name] = value })).Message);
        Refuses("__metadata__", ones(1), "format's own key");
        Refuses("c", zeros(1, dtype: ScalarType.ComplexFloat64), "ComplexFloat64");
        Refuses("\ud800", ones(1), "surrogate");
        Refuses("n", null!, "is null");
        Assert.Throws<ArgumentException>(() => SafeTensors.Save(path, new Dictionary<string, Tensor>(), new Dictionary<string, string> { ["k"] = "\udc00" }));
        Assert.Throws<DirectoryNotFoundException>(() => SafeTensors.Save(_folder.File("none/x.safetensors"), new Dictionary<string, Tensor>()));
        Assert.Empty(Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void A_cancelled_save_leaves_the_older_file_and_nothing_else()
    {
        string path = _folder.File("kept.safetensors");
        SafeTensors.Save(path, new Dictionary<string, Tensor> { ["old"] = ones(3) });
        byte[] before = File.ReadAllBytes(path);
        using var cancel = new CancellationTokenSource();
        var stopAfterFirst = new Stop(cancel);
        Assert.Throws<OperationCanceledException>(() => SafeTensors.Save(path, new Dictionary<string, Tensor> { ["a"] = ones(3), ["b"] = ones(3) }, progress: stopAfterFirst, cancellationToken: cancel.Token));
        Assert.Equal(new ProgressReport(12, 24, "a"), stopAfterFirst.Last);
        Assert.Equal(before, File.ReadAllBytes(path));
        Assert.Single(Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void A_file_can_be_replaced_by_its_own_changed_tensors()
    {
        string path = _folder.File("self.safetensors");
        SafeTensors.Save(path, new Dictionary<string, Tensor> { ["w"] = ones(3) });
        Dictionary<string, Tensor> read = SafeTensors.Load(path);
        read["w"].add_(1);
        SafeTensors.Save(path, read);
        Assert.Equal([2f, 2, 2], SafeTensors.Load(path)["w"].data<float>().ToArray());
    }

    private static uint BitByBit(byte[] bytes)
    {
        uint state = uint.MaxValue;
        foreach (byte value in bytes)
        {
            state ^= value;
            for (int bit = 0; bit < 8; bit++) state = (state >> 1) ^ ((state & 1) * 0x82F63B78u);
        }

        return ~state;
    }

    private sealed class Stop(CancellationTokenSource cancel) : IProgress<ProgressReport>
    {
        internal ProgressReport Last { get; private set; }

        public void Report(ProgressReport value)
        {
            Last = value;
            cancel.Cancel();
        }
    }
}
