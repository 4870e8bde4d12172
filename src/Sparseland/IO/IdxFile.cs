using System.Buffers.Binary;
using System.IO.Compression;
using Sparseland.Tensors;

namespace Sparseland.IO;

/// <summary>
/// An array of bytes in the IDX format of MNIST's files: two zeros, the type (8: unsigned byte), the number of dimensions, each
/// dimension as a big-endian 32-bit number, the values.
/// </summary>
/// <param name="Shape">Length of each dimension.</param>
/// <param name="Values">The values, the last dimension next to one another.</param>
public sealed record IdxFile(IReadOnlyList<int> Shape, byte[] Values)
{
    private const long MostValues = 1L << 30;

    /// <summary>Reads a file; one that ends in .gz is unpacked on the way.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is no IDX file of bytes, is truncated or goes on after its end.</exception>
    public static IdxFile Read(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        using FileStream file = File.OpenRead(path);
        bool packed = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase);
        using Stream stream = packed ? new GZipStream(file, CompressionMode.Decompress) : file;
        try
        {
            return Read(stream, path, packed ? MostValues : file.Length);
        }
        catch (EndOfStreamException error)
        {
            throw new InvalidDataException($"{path}: the file is truncated within its header.", error);
        }
        catch (InvalidDataException error) when (packed && !error.Message.StartsWith(path, StringComparison.Ordinal))
        {
            throw new InvalidDataException($"{path}: the file cannot be unpacked: {error.Message}", error);
        }
    }

    private static IdxFile Read(Stream stream, string path, long most)
    {
        Span<byte> head = stackalloc byte[4];
        stream.ReadExactly(head);
        if (head[0] != 0 || head[1] != 0)
            throw new InvalidDataException($"{path}: an IDX file begins with two zero bytes, this one with {head[0]:X2} {head[1]:X2}.");
        if (head[2] != 8)
            throw new InvalidDataException($"{path}: the values are of type {head[2]:X2}; only unsigned bytes (08) are read.");
        if (head[3] is < 1 or > 4)
            throw new InvalidDataException($"{path}: {head[3]} dimensions; there must be 1 to 4.");
        var shape = new int[head[3]];
        long count = 1;
        for (int i = 0; i < shape.Length; i++)
        {
            stream.ReadExactly(head);
            shape[i] = BinaryPrimitives.ReadInt32BigEndian(head);
            // Checked at each step, before anything is allocated: a damaged header may claim anything.
            count = shape[i] is > 0 && count * shape[i] <= MostValues ? count * shape[i] : throw new InvalidDataException($"{path}: dimension {i + 1} is {shape[i]}; dimensions are positive and their product is at most {MostValues}.");
        }
        if (count > most) throw Truncated(path, shape, most);
        var values = new byte[count];
        int read = stream.ReadAtLeast(values, values.Length, throwOnEndOfStream: false);
        if (read < values.Length) throw Truncated(path, shape, read);
        if (stream.ReadByte() >= 0) throw new InvalidDataException($"{path}: there is more in the file than its [{string.Join(", ", shape)}] values.");
        return new(shape, values);
    }

    private static InvalidDataException Truncated(string path, int[] shape, long there) =>
        new($"{path}: the file is truncated: of [{string.Join(", ", shape)}] values at most {there} are there.");

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
