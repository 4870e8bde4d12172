using System.Buffers.Binary;
using System.IO.Compression;
using Sparseland.Data;
using Sparseland.IO;
using Sparseland.Tests.IO;
using Xunit;

namespace Sparseland.Tests.Data;

public class RealImageFilesTests
{
    private static readonly byte[] Pixels = [.. Enumerable.Range(0, 24).Select(i => (byte)(i * 11))];

    [Theory]
    [InlineData("", false)]
    [InlineData("", true)]
    [InlineData("MNIST/raw", false)]
    [InlineData("mnist", true)]
    public void Mnist_is_read_from_where_people_keep_it(string place, bool packed)
    {
        using var folder = new TemporaryFolder();
        string end = packed ? ".gz" : "";
        Write(Path.Combine(folder.Path, place, "train-images-idx3-ubyte" + end), Idx([2, 3, 4], Pixels));
        Write(Path.Combine(folder.Path, place, "train-labels-idx1-ubyte" + end), Idx([2], [7, 1]));
        using LabelledImages set = MnistFolder.Load(folder.Path, train: true);
        Assert.Equal([2, 3, 4], set.Images.shape);
        Assert.Equal([7, 1], set.Labels.data<long>().ToArray());
        Assert.Equal(Pixels.Select(b => b / 255f), set.Images.data<float>().ToArray());
        Assert.Equal("7", set.ClassNames[7]);
        FileNotFoundException missing = Assert.Throws<FileNotFoundException>(() => MnistFolder.Load(folder.Path, train: false));
        Assert.Contains("t10k-images-idx3-ubyte", missing.Message);
    }

    [Fact]
    public void Other_sets_in_the_same_format_bring_their_own_names()
    {
        using var folder = new TemporaryFolder();
        Write(Path.Combine(folder.Path, "t10k-images.idx3-ubyte"), Idx([2, 3, 4], Pixels));
        Write(Path.Combine(folder.Path, "t10k-labels.idx1-ubyte"), Idx([2], [0, 1]));
        using LabelledImages set = MnistFolder.Load(folder.Path, train: false, ["shirt", "boot"]);
        Assert.Equal(["shirt", "boot"], set.ClassNames);
        Assert.Contains("there are only 1 classes", Assert.Throws<InvalidDataException>(() => MnistFolder.Load(folder.Path, train: false, ["shirt"])).Message);
    }

    [Fact]
    public void Labels_that_do_not_fit_the_images_are_refused()
    {
        using var folder = new TemporaryFolder();
        Write(Path.Combine(folder.Path, "train-images-idx3-ubyte"), Idx([2, 3, 4], Pixels));
        Write(Path.Combine(folder.Path, "train-labels-idx1-ubyte"), Idx([3], [1, 2, 3]));
        Assert.Contains("[3] labels do not fit the 2 images", Assert.Throws<InvalidDataException>(() => MnistFolder.Load(folder.Path, true)).Message);
        Write(Path.Combine(folder.Path, "train-images-idx3-ubyte"), Idx([24], Pixels));
        Assert.Contains("three dimensions", Assert.Throws<InvalidDataException>(() => MnistFolder.Load(folder.Path, true)).Message);
        Assert.Throws<DirectoryNotFoundException>(() => MnistFolder.Load(Path.Combine(folder.Path, "nowhere"), true));
    }

    [Fact]
    public void Damaged_idx_files_are_refused_with_their_fault()
    {
        using var folder = new TemporaryFolder();
        byte[] good = Idx([2, 3, 4], Pixels);
        Refuse(good[..^1], "truncated: of [2, 3, 4] values");
        Refuse(good[..9], "truncated within its header");
        Refuse([], "truncated within its header");
        Refuse([.. good, 0], "more in the file");
        Refuse(Changed(0, 0x1F), "two zero bytes");
        Refuse(Changed(2, 0x0D), "type 0D");
        Refuse(Changed(3, 9), "9 dimensions");
        Refuse(Changed(4, 0xFF), "dimension 1 is");
        Refuse(Changed(4, 0x7F), "dimension 1 is");
        Refuse(Idx([0], []), "dimension 1 is 0");

        // Packed files: cut, no gzip at all, a header that promises more than there is.
        string packed = Path.Combine(folder.Path, "a.gz");
        Write(packed, good);
        byte[] bytes = File.ReadAllBytes(packed);
        File.WriteAllBytes(packed, bytes[..(bytes.Length / 2)]);
        Assert.Contains(packed, Assert.Throws<InvalidDataException>(() => IdxFile.Read(packed)).Message);
        File.WriteAllBytes(packed, good);
        Assert.Contains("cannot be unpacked", Assert.Throws<InvalidDataException>(() => IdxFile.Read(packed)).Message);
        Write(packed, Idx([2000, 28, 28], Pixels));
        Assert.Contains("truncated", Assert.Throws<InvalidDataException>(() => IdxFile.Read(packed)).Message);

        byte[] Changed(int position, byte value)
        {
            byte[] copy = [.. good];
            copy[position] = value;
            return copy;
        }

        void Refuse(byte[] content, string fault)
        {
            string path = Path.Combine(folder.Path, "a");
            File.WriteAllBytes(path, content);
            InvalidDataException refused = Assert.Throws<InvalidDataException>(() => IdxFile.Read(path));
            Assert.StartsWith(path, refused.Message);
            Assert.Contains(fault, refused.Message);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("cifar-10-batches-bin")]
    public void Cifar_is_read_in_the_order_of_its_files(string place)
    {
        using var folder = new TemporaryFolder();
        for (int file = 1; file <= 5; file++) File.WriteAllBytes(Made(folder, place, $"data_batch_{file}.bin"), [.. Record(file, 10 * file), .. Record(9, 1)]);
        File.WriteAllBytes(Made(folder, place, "test_batch.bin"), Record(3, 255));
        using LabelledImages train = Cifar10Folder.Load(folder.Path, train: true), test = Cifar10Folder.Load(folder.Path, train: false);
        Assert.Equal([10, 3, 32, 32], train.Images.shape);
        Assert.Equal([1, 9, 2, 9, 3, 9, 4, 9, 5, 9], train.Labels.data<long>().ToArray());
        Assert.Equal(30f / 255, train.Images[4, 0, 0, 0].item<float>());
        // Red, green, blue one after the other.
        Assert.Equal([1f, 0f, 1f], new[] { 0, 1, 2 }.Select(c => test.Images[0, c, 31, 31].item<float>()));
        Assert.Equal("cat", test.ClassNames[(int)test.Labels[0].item<long>()]);
    }

    [Fact]
    public void Damaged_or_missing_cifar_files_are_refused_with_their_fault()
    {
        using var folder = new TemporaryFolder();
        FileNotFoundException missing = Assert.Throws<FileNotFoundException>(() => Cifar10Folder.Load(folder.Path, false));
        Assert.Contains("test_batch.bin", missing.Message);
        Assert.DoesNotContain("binary version", missing.Message);
        Directory.CreateDirectory(Path.Combine(folder.Path, "cifar-10-batches-py"));
        Assert.Contains("binary version", Assert.Throws<FileNotFoundException>(() => Cifar10Folder.Load(folder.Path, false)).Message);
        string path = Path.Combine(folder.Path, "test_batch.bin");
        File.WriteAllBytes(path, Record(1, 1)[..^1]);
        Assert.Contains("3072 bytes are no whole number", Assert.Throws<InvalidDataException>(() => Cifar10Folder.Load(folder.Path, false)).Message);
        File.WriteAllBytes(path, []);
        Assert.Throws<InvalidDataException>(() => Cifar10Folder.Load(folder.Path, false));
        File.WriteAllBytes(path, [.. Record(1, 1), .. Record(10, 1)]);
        Assert.Contains("record 2 has the label 10", Assert.Throws<InvalidDataException>(() => Cifar10Folder.Load(folder.Path, false)).Message);
        Assert.Throws<DirectoryNotFoundException>(() => Cifar10Folder.Load(Path.Combine(folder.Path, "nowhere"), false));
    }

    /// <summary>Red and blue have the value, green has none.</summary>
    private static byte[] Record(int label, int value)
    {
        var record = new byte[3073];
        record.AsSpan().Fill((byte)value);
        record[0] = (byte)label;
        record.AsSpan(1025, 1024).Clear();
        return record;
    }

    private static byte[] Idx(int[] shape, byte[] values)
    {
        var header = new byte[4 + (4 * shape.Length)];
        (header[2], header[3]) = (8, (byte)shape.Length);
        for (int i = 0; i < shape.Length; i++) BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4 + (4 * i)), shape[i]);
        return [.. header, .. values];
    }

    private static string Made(TemporaryFolder folder, string place, string name) =>
        Path.Combine(Directory.CreateDirectory(Path.Combine(folder.Path, place)).FullName, name);

    private static void Write(string path, byte[] content)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using FileStream file = File.Create(path);
        using Stream stream = path.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionLevel.Fastest) : file;
        stream.Write(content);
    }
}
