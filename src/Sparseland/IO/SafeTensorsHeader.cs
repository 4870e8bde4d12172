using System.Buffers.Binary;
using System.Text.Json;

namespace Sparseland.IO;

/// <summary>
/// The header of a safetensors file: eight bytes of length, then JSON that names each tensor's type, shape and place.
/// Everything it says is checked against the format and the file before anything is believed.
/// </summary>
internal sealed record SafeTensorsHeader(
    IReadOnlyList<SafeTensorInfo> Tensors,
    IReadOnlyDictionary<string, string> Metadata,
    TensorChecksums? Checksums,
    long DataStart)
{
    /// <summary>The format's limit on the header, in bytes.</summary>
    internal const long MaximumLength = 100_000_000;

    internal const int PrefixLength = 8;

    /// <summary>More dimensions than any tensor library works with; a header could name millions in few bytes.</summary>
    internal const int MaximumRank = 64;

    internal const string MetadataKey = "__metadata__";

    /// <summary>Length of the JSON, from the file's first eight bytes; refuses one that cannot be.</summary>
    internal static int LengthOf(ReadOnlySpan<byte> prefix, long fileLength, string path)
    {
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > MaximumLength)
            throw Bad(path, $"the header claims {length} bytes; the format allows at most {MaximumLength}");
        if ((long)length > fileLength - PrefixLength)
            throw Bad(path, $"the header claims {length} bytes, but only {fileLength - PrefixLength} follow: the file is truncated or not safetensors");
        return (int)length;
    }

    /// <summary>Reads and checks the JSON.</summary>
    /// <param name="header">The file's bytes before the data, prefix included.</param>
    /// <param name="fileLength">Length of the file.</param>
    /// <param name="path">The file.</param>
    internal static SafeTensorsHeader Parse(ReadOnlySpan<byte> header, long fileLength, string path)
    {
        ReadOnlySpan<byte> json = header[PrefixLength..];
        if (json.IsEmpty || json[0] != (byte)'{')
            throw Bad(path, "the header does not start with '{'");
        var tensors = new List<SafeTensorInfo>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        var metadata = new Dictionary<string, string>();
        int checksums = -1;
        try
        {
            var reader = new Utf8JsonReader(json);
            reader.Read();
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                string name = reader.GetString()!;
                if (!names.Add(name))
                    throw Bad(path, $"the name '{name}' occurs twice");
                reader.Read();
                if (name == MetadataKey)
                    metadata = ParseMetadata(ref reader, path, out checksums);
                else
                    tensors.Add(ParseTensor(ref reader, name, path));
            }
            // Only white space may follow; the reader throws at anything else.
            reader.Read();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new InvalidDataException($"{path}: the header is not valid JSON: {e.Message}", e);
        }

        // The note is the file's own matter and not shown among the others.
        TensorChecksums? read = metadata.Remove(TensorChecksums.Key, out string? note)
            ? TensorChecksums.Read(note, checksums < 0 ? -1 : PrefixLength + checksums, header, tensors.Count, path)
            : null;
        tensors.Sort((a, b) => (a.Offset, a.ByteLength).CompareTo((b.Offset, b.ByteLength)));
        CheckCover(tensors, fileLength - header.Length, path);
        return new SafeTensorsHeader(tensors, metadata, read, header.Length);
    }

    internal static InvalidDataException Bad(string path, string reason) => new($"{path}: {reason}.");

    /// <summary>The notes, and where the value of the checksums' note starts; -1 where it is not there as it is.</summary>
    private static Dictionary<string, string> ParseMetadata(ref Utf8JsonReader reader, string path, out int checksums)
    {
        checksums = -1;
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Bad(path, $"{MetadataKey} is not an object");
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
                throw Bad(path, $"{MetadataKey} maps strings to strings, but '{key}' has a value of type {reader.TokenType}");
            if (key == TensorChecksums.Key && !reader.ValueIsEscaped)
                checksums = (int)reader.TokenStartIndex + 1;
            if (!metadata.TryAdd(key, reader.GetString()!))
                throw Bad(path, $"the metadata key '{key}' occurs twice");
        }
        return metadata;
    }

    private static SafeTensorInfo ParseTensor(ref Utf8JsonReader reader, string name, string path)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Bad(path, $"tensor '{name}' is not described by an object");
        string? type = null;
        long[]? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            bool repeated = key switch { "dtype" => type, "shape" => shape, "data_offsets" => offsets, _ => (object?)null } is not null;
            if (repeated)
                throw Bad(path, $"tensor '{name}' has '{key}' twice");
            if (key == "dtype")
                type = reader.TokenType == JsonTokenType.String ? reader.GetString() : throw Bad(path, $"tensor '{name}' has a dtype that is not a string");
            else if (key == "shape")
                shape = ParseNumbers(ref reader, name, key, MaximumRank, path);
            else if (key == "data_offsets")
                offsets = ParseNumbers(ref reader, name, key, 3, path);
            else
                reader.Skip();
        }
        if (type is null || shape is null || offsets is null)
            throw Bad(path, $"tensor '{name}' lacks {(type is null ? "dtype" : shape is null ? "shape" : "data_offsets")}");
        return CheckTensor(name, type, shape, offsets, path);
    }

    private static long[] ParseNumbers(ref Utf8JsonReader reader, string name, string key, int limit, string path)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
            throw Bad(path, $"tensor '{name}' has a {key} that is not an array");
        Span<long> numbers = stackalloc long[MaximumRank];
        int count = 0;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long number) || number < 0)
                throw Bad(path, $"tensor '{name}' has a {key} with something else than integers from 0 to 2^63 - 1");
            if (count == limit)
                throw Bad(path, $"tensor '{name}' has a {key} of more than {limit} numbers");
            numbers[count++] = number;
        }
        return numbers[..count].ToArray();
    }

    private static SafeTensorInfo CheckTensor(string name, string typeName, long[] shape, long[] offsets, string path)
    {
        if (SafeTensorTypes.Parse(typeName) is not { } type)
            throw Bad(path, $"tensor '{name}' has the unknown dtype '{typeName}'");
        if (offsets.Length != 2 || offsets[1] < offsets[0])
            throw Bad(path, $"tensor '{name}' has data_offsets [{string.Join(", ", offsets.Take(3))}], which are not a begin and an end");
        string shown = string.Join(", ", shape.Take(8)) + (shape.Length > 8 ? ", ..." : "");
        long bytes = SafeTensorTypes.SizeOf(type), strides = bytes;
        try
        {
            // Strides too must be numbers, which they are not in [0, 2^62, 2^62], though that has no elements.
            foreach (long length in shape)
            {
                bytes = checked(bytes * length);
                strides = checked(strides * Math.Max(1, length));
            }
        }
        catch (OverflowException)
        {
            throw Bad(path, $"tensor '{name}' has shape [{shown}], whose size overflows");
        }
        if (offsets[1] - offsets[0] != bytes)
            throw Bad(path, $"tensor '{name}' of {typeName} [{shown}] needs {bytes} bytes, but its data_offsets span {offsets[1] - offsets[0]}");
        return new SafeTensorInfo(name, type, shape, offsets[0], bytes);
    }

    /// <summary>The tensors must fill the data section without a hole or an overlap.</summary>
    private static void CheckCover(List<SafeTensorInfo> tensors, long dataLength, string path)
    {
        long end = 0;
        string before = "";
        foreach (SafeTensorInfo tensor in tensors)
        {
            if (tensor.Offset < end)
                throw Bad(path, $"tensor '{tensor.Name}' starts at {tensor.Offset} and overlaps '{before}', which ends at {end}");
            if (tensor.Offset > end)
                throw Bad(path, $"bytes {end} to {tensor.Offset} before tensor '{tensor.Name}' belong to no tensor");
            if (tensor.ByteLength > dataLength - tensor.Offset)
                throw Bad(path, $"tensor '{tensor.Name}' ends at {tensor.Offset + tensor.ByteLength}, but the file has {dataLength} bytes of data: it is truncated");
            end = tensor.Offset + tensor.ByteLength;
            before = tensor.Name;
        }
        if (end != dataLength)
            throw Bad(path, $"the tensors end at {end}, but the file has {dataLength} bytes of data");
    }
}
