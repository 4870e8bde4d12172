using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>
/// Reads CIFAR-10 (Krizhevsky 2009) from its binary version (cifar-10-binary.tar.gz, unpacked): data_batch_1.bin to data_batch_5.bin and
/// test_batch.bin, each a row of records of 1 label and 3 x 32 x 32 values: red, green, blue, each row by row.
/// </summary>
public static class Cifar10Folder
{
    private const int Side = 32;
    private const int Values = 3 * Side * Side;
    private const int Record = 1 + Values;

    /// <summary>"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck".</summary>
    public static IReadOnlyList<string> ClassNames { get; } = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

    /// <summary>Reads the training or the test images.</summary>
    /// <param name="folder">Where the files are; they are also found in its cifar-10-batches-bin.</param>
    /// <param name="train">The five training files, or else the test file.</param>
    /// <returns>Images [samples, 3, 32, 32], 0 to 1.</returns>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="FileNotFoundException">A file is missing; the message says which, and which version of the set to take.</exception>
    /// <exception cref="InvalidDataException">A file is truncated or holds a label above 9.</exception>
    public static LabelledImages Load(string folder, bool train)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        if (!Directory.Exists(folder)) throw new DirectoryNotFoundException($"There is no folder {folder}.");
        string[] names = train ? [.. Enumerable.Range(1, 5).Select(i => $"data_batch_{i}.bin")] : ["test_batch.bin"];
        string[] paths = [.. names.Select(name => Find(folder, name))];
        long[] sizes = [.. paths.Select(Count)];
        var images = new byte[sizes.Sum() * Values];
        var labels = new long[sizes.Sum()];
        long at = 0;
        for (int i = 0; i < paths.Length; i++)
        {
            byte[] file = File.ReadAllBytes(paths[i]);
            for (long record = 0; record < sizes[i]; record++, at++)
            {
                ReadOnlySpan<byte> bytes = file.AsSpan((int)(record * Record), Record);
                if (bytes[0] >= ClassNames.Count) throw new InvalidDataException($"{paths[i]}: record {record + 1} has the label {bytes[0]}; labels are 0 to 9.");
                labels[at] = bytes[0];
                bytes[1..].CopyTo(images.AsSpan((int)(at * Values), Values));
            }
        }
        return new(ByteImages.ToUnit(images, [at, 3, Side, Side]), tensor(labels), ClassNames);
    }

    private static long Count(string path)
    {
        long length = new FileInfo(path).Length;
        if (length == 0 || length % Record != 0)
            throw new InvalidDataException($"{path}: {length} bytes are no whole number of records of {Record} bytes; the file is truncated or of another format.");
        return length / Record;
    }

    private static string Find(string folder, string name)
    {
        string[] places = [folder, Path.Combine(folder, "cifar-10-batches-bin")];
        if (places.Select(place => Path.Combine(place, name)).FirstOrDefault(File.Exists) is { } path) return path;
        bool pickled = Directory.Exists(Path.Combine(folder, "cifar-10-batches-py")) || File.Exists(Path.Combine(folder, "data_batch_1"));
        string advice = pickled ? " The folder holds the Python version of the set; take the binary version, cifar-10-binary.tar.gz, and unpack it." : "";
        throw new FileNotFoundException($"There is no {name} in {folder} or in its cifar-10-batches-bin.{advice}", name);
    }
}
