using System.Buffers.Binary;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.IO;

/// <summary>
/// The safetensors format (https://github.com/huggingface/safetensors): eight bytes of header length, a JSON header,
/// then the tensors' bytes, little-endian and row-major, without gaps.
/// </summary>
public static class SafeTensors
{
    private const int Piece = 1 << 20;
    private static readonly uint s_piece = Crc32C.Power(Piece);
    private static readonly UTF8Encoding s_strictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Opens a file for reading tensors one by one. See <see cref="SafeTensorsFile.Open"/>.</summary>
    /// <param name="path">The file.</param>
    public static SafeTensorsFile Open(string path) => SafeTensorsFile.Open(path);

    /// <summary>Reads all tensors of a file. See <see cref="SafeTensorsFile.LoadAll"/>.</summary>
    /// <param name="path">The file.</param>
    /// <param name="device">Where the tensors go; CPU when null.</param>
    public static Dictionary<string, Tensor> Load(string path, Device? device = null)
    {
        using SafeTensorsFile file = SafeTensorsFile.Open(path);
        return file.LoadAll(device);
    }

    /// <summary>
    /// Writes tensors to a file. The same input gives the same bytes: wider element types come first (the order of
    /// <see cref="SafeTensorType"/>, backwards), names of one type in the order of their UTF-8 bytes, metadata keys
    /// likewise; the header is padded with spaces to a multiple of 8, so that all data is aligned. The file appears
    /// under its name only when it is complete: a failure leaves an older file as it was, and what a killed write left
    /// behind (NAME.xxxxxxxx.xxx.tmp) goes at the next one. A note of its own, "sparseland.checksum", lets readers find damage.
    /// </summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="tensors">Tensors by name, of any device and strides; "__metadata__" is not a name.</param>
    /// <param name="metadata">Notes for readers, or null; one of the name "sparseland.checksum" is replaced.</param>
    /// <param name="progress">Told after each tensor, in bytes.</param>
    /// <param name="cancellationToken">Stops within a tensor; nothing is left behind.</param>
    /// <exception cref="ArgumentException">A name or an element type that the format does not have.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Save(
        string path,
        IReadOnlyDictionary<string, Tensor> tensors,
        IReadOnlyDictionary<string, string>? metadata = null,
        IProgress<ProgressReport>? progress = null,
        CancellationToken cancellationToken = default)
    {
        using ReplacedFile file = Begin(path, tensors, metadata, progress, cancellationToken);
        file.Commit();
    }

    /// <summary>The same beside the file's place: it gets its name with <see cref="ReplacedFile.Commit"/>, when what belongs to it can be written too.</summary>
    internal static ReplacedFile Begin(
        string path,
        IReadOnlyDictionary<string, Tensor> tensors,
        IReadOnlyDictionary<string, string>? metadata = null,
        IProgress<ProgressReport>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(tensors);
        Entry[] entries = Arrange(tensors);
        byte[] header = Header(entries, metadata);

        long total = entries.Sum(entry => entry.ByteLength);
        return ReplacedFile.Begin(path, stream =>
        {
            stream.Write(header);
            var checksums = new uint[entries.Length];
            long done = 0;
            for (int i = 0; i < entries.Length; i++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                checksums[i] = Write(stream, entries[i], cancellationToken);
                done += entries[i].ByteLength;
                progress?.Report(new ProgressReport(done, total, entries[i].Name));
            }
            TensorChecksums.Fill(header, checksums);
            stream.Position = 0;
            stream.Write(header);
        }, header.Length + total);
    }

    private static Entry[] Arrange(IReadOnlyDictionary<string, Tensor> tensors)
    {
        var entries = new List<Entry>(tensors.Count);
        foreach ((string name, Tensor tensor) in tensors)
        {
            if (name == SafeTensorsHeader.MetadataKey)
                throw new ArgumentException($"'{name}' is the format's own key: a tensor cannot have that name.", nameof(tensors));
            if (tensor is null)
                throw new ArgumentException($"Tensor '{name}' is null.", nameof(tensors));
            SafeTensorType type = SafeTensorTypes.Of(tensor.dtype)
                ?? throw new ArgumentException($"Tensor '{name}' is of {tensor.dtype}, which the format does not have.", nameof(tensors));
            entries.Add(new Entry(name, Utf8(name, nameof(tensors)), type, tensor));
        }
        entries.Sort((a, b) => a.Type != b.Type ? b.Type.CompareTo(a.Type) : a.Utf8Name.AsSpan().SequenceCompareTo(b.Utf8Name));
        return [.. entries];
    }

    private static byte[] Header(Entry[] entries, IReadOnlyDictionary<string, string>? metadata)
    {
        using var buffer = new MemoryStream();
        buffer.Write(stackalloc byte[SafeTensorsHeader.PrefixLength]);
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            WriteMetadata(json, new Dictionary<string, string>(metadata ?? new Dictionary<string, string>(), StringComparer.Ordinal)
            {
                [TensorChecksums.Key] = TensorChecksums.Empty(entries.Length),
            });
            long offset = 0;
            foreach (Entry entry in entries)
            {
                json.WriteStartObject(entry.Utf8Name);
                json.WriteString("dtype", SafeTensorTypes.NameOf(entry.Type));
                json.WriteStartArray("shape");
                foreach (long length in entry.Tensor.shape)
                    json.WriteNumberValue(length);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(offset += entry.ByteLength);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        while (buffer.Length % 8 != 0)
            buffer.WriteByte((byte)' ');

        byte[] bytes = buffer.ToArray();
        long length8 = bytes.Length - SafeTensorsHeader.PrefixLength;
        if (length8 > SafeTensorsHeader.MaximumLength)
            throw new ArgumentException($"Names and metadata make a header of {length8} bytes; the format allows at most {SafeTensorsHeader.MaximumLength}.", nameof(metadata));
        BinaryPrimitives.WriteInt64LittleEndian(bytes, length8);
        return bytes;
    }

    private static void WriteMetadata(Utf8JsonWriter json, Dictionary<string, string> metadata)
    {
        json.WriteStartObject(SafeTensorsHeader.MetadataKey);
        var sorted = metadata.Select(pair => (Key: Utf8(pair.Key, nameof(metadata)), pair.Value)).ToList();
        sorted.Sort((a, b) => a.Key.AsSpan().SequenceCompareTo(b.Key));
        foreach ((byte[] key, string value) in sorted)
        {
            if (value is null)
                throw new ArgumentException($"The metadata value of '{Encoding.UTF8.GetString(key)}' is null.", nameof(metadata));
            json.WriteString(key, Utf8(value, nameof(metadata)));
        }
        json.WriteEndObject();
    }

    private static byte[] Utf8(string text, string argument)
    {
        try
        {
            return s_strictUtf8.GetBytes(text);
        }
        catch (EncoderFallbackException e)
        {
            throw new ArgumentException($"'{text}' is not valid Unicode: a surrogate stands alone at {e.Index}.", argument, e);
        }
    }

    /// <summary>Writes a tensor's bytes and gives their checksum, which another thread computes meanwhile.</summary>
    private static unsafe uint Write(FileStream stream, Entry entry, CancellationToken cancellationToken)
    {
        if (entry.ByteLength == 0)
            return Crc32C.Of([]);
        using DisposeScope scope = NewDisposeScope();
        Tensor tensor = entry.Tensor.detach().cpu().resolve_conj().resolve_neg().contiguous();
        byte* source = TensorMemory.Address(tensor);
        ReadOnlySpan<byte> Bytes(long from) => new(source + from, (int)Math.Min(Piece, entry.ByteLength - from));
        uint Checksum()
        {
            uint sum = 0;
            for (long from = 0; from < entry.ByteLength && !cancellationToken.IsCancellationRequested; from += Piece)
                sum = Crc32C.Combine(sum, Crc32C.Of(Bytes(from)), Bytes(from).Length == Piece ? s_piece : Crc32C.Power(Bytes(from).Length));
            return sum;
        }

        if (entry.ByteLength <= Piece)
        {
            stream.Write(Bytes(0));
            return Checksum();
        }
        Task<uint> checksum = Task.Run(Checksum, CancellationToken.None);
        try
        {
            for (long from = 0; from < entry.ByteLength; from += Piece)
            {
                cancellationToken.ThrowIfCancellationRequested();
                stream.Write(Bytes(from));
            }
        }
        finally
        {
            // It reads the tensor's memory.
            checksum.Wait(CancellationToken.None);
        }
        return checksum.Result;
    }

    private sealed record Entry(string Name, byte[] Utf8Name, SafeTensorType Type, Tensor Tensor)
    {
        internal long ByteLength => Tensor.NumberOfElements * SafeTensorTypes.SizeOf(Type);
    }
}
