using System.Buffers.Binary;
using System.Text;
using Sparseland.IO;

namespace Sparseland.Tests.IO;

/// <summary>
/// Files written byte by byte from the format's specification (8 bytes of little-endian length, JSON, data), correct
/// ones and broken ones.
/// </summary>
public sealed class SafeTensorsHeaderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Write(string json, byte[] data, ulong? claimedLength = null)
    {
        byte[] header = Encoding.UTF8.GetBytes(json);
        byte[] file = new byte[8 + header.Length + data.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(file, claimedLength ?? (ulong)header.Length);
        header.CopyTo(file, 8);
        data.CopyTo(file, 8 + header.Length);
        string path = _folder.File("case.safetensors");
        File.WriteAllBytes(path, file);
        return path;
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}""", 8, "not valid JSON")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} x""", 8, "not valid JSON")]
    [InlineData("""{"\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, "not valid JSON")]
    [InlineData("""["a"]""", 0, "does not start with '{'")]
    [InlineData("""  {}""", 0, "does not start with '{'")]
    [InlineData("", 0, "does not start with '{'")]
    [InlineData("""{"a":3}""", 0, "'a' is not described by an object")]
    [InlineData("""{"a":{"shape":[2],"data_offsets":[0,8]}}""", 8, "'a' lacks dtype")]
    [InlineData("""{"a":{"dtype":"F32","data_offsets":[0,8]}}""", 8, "'a' lacks shape")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2]}}""", 8, "'a' lacks data_offsets")]
    [InlineData("""{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, "'dtype' twice")]
    [InlineData("""{"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}}""", 8, "dtype that is not a string")]
    [InlineData("""{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}""", 8, "unknown dtype 'F31'")]
    [InlineData("""{"a":{"dtype":"f32","shape":[2],"data_offsets":[0,8]}}""", 8, "unknown dtype 'f32'")]
    [InlineData("""{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}""", 8, "shape that is not an array")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", 8, "integers from 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}""", 8, "integers from 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}""", 8, "integers from 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551616]}}""", 8, "integers from 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}""", 8, "overflows")]
    [InlineData("""{"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}}""", 0, "overflows")]
    [InlineData("""{"a":{"dtype":"F32","shape":[0,4611686018427387904,4611686018427387904],"data_offsets":[0,0]}}""", 0, "'a' has shape [0, 4611686018427387904, 4611686018427387904], whose size overflows")]
    [InlineData("""{"a":{"dtype":"U8","shape":[9223372036854775807,2,0],"data_offsets":[0,0]}}""", 0, "overflows")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8,8]}}""", 8, "data_offsets of more than 3 numbers")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "not a begin and an end")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}""", 8, "not a begin and an end")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}""", 8, "not a begin and an end")]
    [InlineData("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8, "needs 12 bytes, but its data_offsets span 8")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 7, "truncated")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2305843009213693951],"data_offsets":[0,9223372036854775804]}}""", 8, "truncated")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 9, "the tensors end at 8, but the file has 9 bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, "belong to no tensor")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[2],"data_offsets":[9,11]}}""", 11, "belong to no tensor")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[5],"data_offsets":[7,12]}}""", 12, "'b' starts at 7 and overlaps 'a'")]
    [InlineData("""{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""", 2, "overlaps")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}""", 2, "'a' occurs twice")]
    [InlineData("""{"__metadata__":[],"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1, "__metadata__ is not an object")]
    [InlineData("""{"__metadata__":{"k":1}}""", 0, "strings to strings")]
    [InlineData("""{"__metadata__":{"k":"1","k":"2"}}""", 0, "metadata key 'k' occurs twice")]
    [InlineData("""{"__metadata__":{},"__metadata__":{}}""", 0, "occurs twice")]
    public void A_broken_header_is_refused_with_file_and_reason(string json, int dataLength, string reason)
    {
        string path = Write(json, new byte[dataLength]);
        var e = Assert.Throws<InvalidDataException>(() => SafeTensors.Open(path));
        Assert.Contains(reason, e.Message);
        Assert.StartsWith(path + ": ", e.Message);
    }

    [Theory]
    [InlineData(100_000_001ul, "allows at most 100000000")]
    [InlineData(ulong.MaxValue, "allows at most 100000000")]
    [InlineData(99_999_999ul, "truncated or not safetensors")]
    [InlineData(3ul, "truncated or not safetensors")]
    public void A_lying_header_length_is_refused_without_allocating_for_it(ulong claimed, string reason)
    {
        string path = Write("{}", [], claimed);
        void Open() => Assert.Contains(reason, Assert.Throws<InvalidDataException>(() => SafeTensors.Open(path)).Message);
        Open();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Open();
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64 * 1024);
    }

    [Fact]
    public void A_lying_shape_is_refused_without_allocating_for_it()
    {
        string path = Write("""{"a":{"dtype":"F32","shape":[250000000],"data_offsets":[0,1000000000]}}""", new byte[16]);
        void Open() => Assert.Throws<InvalidDataException>(() => SafeTensors.Open(path));
        Open();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Open();
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64 * 1024);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(7)]
    public void A_file_too_short_for_the_header_length_is_refused(int length)
    {
        string path = _folder.File("short.safetensors");
        File.WriteAllBytes(path, new byte[length]);
        Assert.Contains($"it has {length} bytes", Assert.Throws<InvalidDataException>(() => SafeTensors.Open(path)).Message);
    }

    [Fact]
    public void Every_truncation_of_a_file_is_refused()
    {
        string path = Write("""{"a":{"dtype":"I16","shape":[3],"data_offsets":[0,6]},"b":{"dtype":"U8","shape":[],"data_offsets":[6,7]}}""", new byte[7]);
        byte[] whole = File.ReadAllBytes(path);
        SafeTensors.Open(path).Dispose();
        for (int length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(path, whole[..length]);
            Assert.Throws<InvalidDataException>(() => SafeTensors.Open(path));
        }
    }

    [Fact]
    public void A_shape_of_millions_of_numbers_is_refused_at_the_first_too_many()
    {
        string path = Write("""{"a":{"dtype":"F32","shape":[MANY],"data_offsets":[0,0]}}""".Replace("MANY", string.Join(',', Enumerable.Repeat(0, 1_000_000)), StringComparison.Ordinal), []);
        Assert.Contains("'a' has a shape of more than 64 numbers", Assert.Throws<InvalidDataException>(() => SafeTensors.Open(path)).Message);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<InvalidDataException>(() => SafeTensors.Open(path));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 256 * 1024);
        string most = string.Join(',', Enumerable.Repeat(1, 64));
        using SafeTensorsFile file = SafeTensors.Open(Write("""{"a":{"dtype":"U8","shape":[MOST],"data_offsets":[0,1]}}""".Replace("MOST", most, StringComparison.Ordinal), [7]));
        Assert.Equal(64, file.Info("a").Shape.Count);
    }

    [Fact]
    public void A_refused_file_is_not_held_open()
    {
        string path = Write("{", []);
        Assert.Throws<InvalidDataException>(() => SafeTensors.Open(path));
        using FileStream exclusive = new(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
    }

    [Fact]
    public void A_missing_file_is_said_to_be_missing() =>
        Assert.Throws<FileNotFoundException>(() => SafeTensors.Open(_folder.File("none.safetensors")));

    [Fact]
    public void Names_types_and_shapes_are_listed_in_the_order_of_the_data()
    {
        // Header order, data order and name order all differ; one tensor is empty, one a scalar; an unknown field is ignored.
        string path = Write(
            """{"z":{"dtype":"BF16","shape":[2,1],"data_offsets":[1,5]},"__metadata__":{"k":"välue"},"m":{"dtype":"U8","shape":[],"data_offsets":[0,1],"note":{"x":[1]}},"Größe 長":{"dtype":"F64","shape":[0,7],"data_offsets":[5,5]}}   """,
            new byte[5]);
        using SafeTensorsFile file = SafeTensors.Open(path);
        Assert.Equal(["m", "z", "Größe 長"], file.Names);
        Assert.Equal("z: BF16 [2, 1]", file.Info("z").ToString());
        Assert.Equal((1L, 4L), (file.Info("z").Offset, file.Info("z").ByteLength));
        Assert.Equal([0L, 7L], file.Info("Größe 長").Shape);
        Assert.Empty(file.Info("m").Shape);
        Assert.Equal("välue", file.Metadata["k"]);
        Assert.Contains("'q'", Assert.Throws<KeyNotFoundException>(() => file.Info("q")).Message);
    }

    [Fact]
    public void A_file_without_tensors_is_valid()
    {
        using SafeTensorsFile file = SafeTensors.Open(Write("{}", []));
        Assert.Empty(file.Names);
        Assert.Empty(file.Metadata);
    }

    [Fact]
    public void Types_that_TorchSharp_lacks_are_read_as_bytes()
    {
        using SafeTensorsFile file = SafeTensors.Open(Write("""{"w":{"dtype":"F8_E4M3","shape":[2,2],"data_offsets":[0,4]}}""", [1, 2, 254, 255]));
        Assert.Equal(SafeTensorType.F8E4M3, file.Info("w").Type);
        Assert.Equal([1, 2, 254, 255], file.ReadBytes("w"));
        Assert.Contains("F8_E4M3", Assert.Throws<NotSupportedException>(() => file.Load("w")).Message);
        Assert.Contains("F8_E4M3", Assert.Throws<NotSupportedException>(() => file.LoadAll()).Message);
    }

    [Fact]
    public void Reading_after_Dispose_is_refused()
    {
        SafeTensorsFile file = SafeTensors.Open(Write("""{"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""", [1, 2]));
        file.Dispose();
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.ReadBytes("w"));
        Assert.Throws<ObjectDisposedException>(() => file.Load("w"));
        Assert.Throws<ObjectDisposedException>(() => file.LoadAll());
    }
}
