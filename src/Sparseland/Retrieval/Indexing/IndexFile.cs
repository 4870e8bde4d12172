using System.IO.MemoryMappedFiles;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Sparseland.IO;

namespace Sparseland.Retrieval.Indexing;

/// <summary>
/// The form of an index on disk: magic, version, a mark of the byte order, and a table of sections (name, place, length, CRC-32C), each
/// section at a multiple of 64 bytes. Written beside its place and renamed at the end; checked in full when it is opened.
/// </summary>
internal sealed class IndexFile : IDisposable
{
    internal const int Version = 1;
    private const int Head = 24, Entry = 32, Alignment = 64, MostSections = 64, Piece = 1 << 22;
    private const uint Order = 0x0A0B0C0D;
    private static readonly byte[] s_magic = "SPLANDIX"u8.ToArray();
    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly Dictionary<string, (long Offset, int Length)> _sections = new(StringComparer.Ordinal);
    private readonly string _path;
    private bool _given;

    private IndexFile(string path, MemoryMappedViewAccessor view) => (_path, View) = (path, view);

    private MemoryMappedViewAccessor View { get; }

    /// <summary>Writes the sections, or leaves an older file as it was.</summary>
    internal static void Write(string path, IReadOnlyList<(string Name, ReadOnlyMemory<byte> Bytes)> sections, CancellationToken cancel)
    {
        byte[] head = new byte[Head + (Entry * sections.Count)];
        s_magic.CopyTo(head, 0);
        long at = Aligned(head.Length);
        for (int i = 0; i < sections.Count; i++)
        {
            Span<byte> entry = head.AsSpan(Head + (i * Entry), Entry);
            Encoding.ASCII.GetBytes(sections[i].Name, entry[..8]);
            MemoryMarshal.Write(entry[8..], at);
            MemoryMarshal.Write(entry[16..], (long)sections[i].Bytes.Length);
            MemoryMarshal.Write(entry[24..], Crc32C.Of(sections[i].Bytes.Span));
            at = Aligned(at + sections[i].Bytes.Length);
        }

        MemoryMarshal.Write(head.AsSpan(8), Version);
        MemoryMarshal.Write(head.AsSpan(12), Order);
        MemoryMarshal.Write(head.AsSpan(16), sections.Count);
        MemoryMarshal.Write(head.AsSpan(20), Crc32C.Of(head.AsSpan(Head)));
        ReplacedFile.Write(path, stream =>
        {
            stream.Write(head);
            foreach ((_, ReadOnlyMemory<byte> bytes) in sections)
            {
                stream.Position = Aligned(stream.Position);
                for (int from = 0; from < bytes.Length; from += Piece)
                {
                    cancel.ThrowIfCancellationRequested();
                    stream.Write(bytes.Span[from..Math.Min(bytes.Length, from + Piece)]);
                }
            }

            cancel.ThrowIfCancellationRequested();

            stream.SetLength(at);
        }, at);
    }

    /// <summary>Maps a file and checks all of it.</summary>
    /// <exception cref="InvalidDataException">It is no index, of another version or byte order, cut or damaged.</exception>
    internal static IndexFile Open(string path)
    {
        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        long length = stream.Length;
        if (length < Head)
        {
            stream.Dispose();
            throw new InvalidDataException($"'{path}' is no index: it has {length} bytes.");
        }

        using MemoryMappedFile map = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
        MemoryMappedViewAccessor view = map.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        try
        {
            var file = new IndexFile(path, view);
            file.ReadTable(length);
            return file;
        }
        catch
        {
            view.Dispose();
            throw;
        }
    }

    private static long Aligned(long at) => (at + Alignment - 1) / Alignment * Alignment;

    private void ReadTable(long length)
    {
        using IndexBytes whole = Stretch(0, (int)Math.Min(length, Head + (Entry * MostSections)), own: false);
        ReadOnlySpan<byte> head = whole.Span;
        if (!head[..8].SequenceEqual(s_magic)) throw new InvalidDataException($"'{_path}' is no index: it begins otherwise.");
        uint order = MemoryMarshal.Read<uint>(head[12..]);
        if (order == System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(Order)) throw new InvalidDataException($"'{_path}' was written on a machine of the other byte order. Build the index anew.");
        int version = MemoryMarshal.Read<int>(head[8..]), count = MemoryMarshal.Read<int>(head[16..]);
        if (version != Version) throw new InvalidDataException($"'{_path}' is an index of version {version}; this library reads version {Version}. Build the index anew.");
        if (order != Order || count is < 1 or > MostSections || head.Length < Head + (Entry * count)) throw new InvalidDataException($"'{_path}' is damaged or cut: its head does not fit.");
        head = head[..(Head + (Entry * count))];
        if (MemoryMarshal.Read<uint>(head[20..]) != Crc32C.Of(head[Head..])) throw new InvalidDataException($"'{_path}' is damaged: the checksum of its table differs.");
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> entry = head.Slice(Head + (i * Entry), Entry);
            string name = Encoding.ASCII.GetString(entry[..8]).TrimEnd('\0');
            long at = MemoryMarshal.Read<long>(entry[8..]), bytes = MemoryMarshal.Read<long>(entry[16..]);
            if (at < 0 || bytes is < 0 or > int.MaxValue || at > length - bytes)
                throw new InvalidDataException($"'{_path}' is cut: section '{name}' ends at byte {at + bytes}, the file at {length}.");
            using IndexBytes section = Stretch(at, (int)bytes, own: false);
            if (Crc32C.Of(section.Span) != MemoryMarshal.Read<uint>(entry[24..])) throw new InvalidDataException($"'{_path}' is damaged: the checksum of section '{name}' differs.");
            _sections[name] = (at, (int)bytes);
        }
    }

    private IndexBytes Stretch(long offset, int length, bool own) => new(View, offset, length, own);

    /// <summary>A section as numbers, copied.</summary>
    internal T[] Read<T>(string name) where T : unmanaged
    {
        (long offset, int length) = Place(name);
        if (length % Unsafe.SizeOf<T>() != 0) throw new InvalidDataException($"'{_path}': section '{name}' has {length} bytes, no multiple of {Unsafe.SizeOf<T>()}.");
        using IndexBytes section = Stretch(offset, length, own: false);
        return MemoryMarshal.Cast<byte, T>(section.Span).ToArray();
    }

    /// <summary>A section that stays mapped; what is returned owns the map from now on.</summary>
    internal IndexBytes Give(string name)
    {
        (long offset, int length) = Place(name);
        _given = true;
        return Stretch(offset, length, own: true);
    }

    internal int LengthOf(string name) => Place(name).Length;

    private (long Offset, int Length) Place(string name) =>
        _sections.TryGetValue(name, out (long, int) place) ? place : throw new InvalidDataException($"'{_path}' has no section '{name}'.");

    /// <summary>Strings as their ends and their bytes.</summary>
    internal static (ReadOnlyMemory<byte> Ends, ReadOnlyMemory<byte> Bytes) Strings(IReadOnlyList<string> strings)
    {
        var (ends, bytes) = (new int[strings.Count], new ByteList());
        for (int i = 0; i < strings.Count; i++)
        {
            try
            {
                s_utf8.GetBytes(strings[i], bytes.Take(s_utf8.GetByteCount(strings[i])));
            }
            catch (EncoderFallbackException e)
            {
                throw new ArgumentException($"'{strings[i]}', id or term {i}, holds half a surrogate pair, which a file of UTF-8 cannot keep.", nameof(strings), e);
            }

            ends[i] = bytes.Count;
        }

        return (Bytes(ends), bytes.Span.ToArray());
    }

    internal string[] ReadStrings(string ends, string bytes)
    {
        int[] places = Read<int>(ends);
        byte[] all = Read<byte>(bytes);
        var strings = new string[places.Length];
        for (int i = 0, from = 0; i < places.Length; from = places[i++])
        {
            if (places[i] < from || places[i] > all.Length) throw new InvalidDataException($"'{_path}': string {i} of section '{ends}' ends outside its bytes.");
            try
            {
                strings[i] = s_utf8.GetString(all, from, places[i] - from);
            }
            catch (DecoderFallbackException e)
            {
                throw new InvalidDataException($"'{_path}': string {i} of section '{bytes}' is no UTF-8.", e);
            }
        }

        return strings;
    }

    internal static ReadOnlyMemory<byte> Bytes<T>(T[] numbers) where T : unmanaged => MemoryMarshal.AsBytes<T>(numbers).ToArray();

    public void Dispose()
    {
        if (!_given) View.Dispose();
    }
}
