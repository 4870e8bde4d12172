using System.Buffers.Binary;
using System.Text;

namespace Sparseland.Native;

/// <summary>One symbol version that a shared library asks another one for (an Elf64_Vernaux entry).</summary>
/// <param name="Library">File name of the library that is asked, such as libstdc++.so.6.</param>
/// <param name="Version">The version's name, such as GLIBCXX_3.4.32.</param>
/// <param name="Weak">Whether the entry carries VER_FLG_WEAK: the dynamic linker then only warns when it is missing.</param>
/// <param name="FlagsOffset">Where the two bytes of vna_flags stand in the file.</param>
internal readonly record struct VersionNeed(string Library, string Version, bool Weak, int FlagsOffset);

/// <summary>
/// The symbol versions that an ELF shared library needs and defines, read from its dynamic segment as the dynamic
/// linker does (System V ABI, chapter 5; Linux Standard Base, "Symbol Versioning"). Sections are not looked at:
/// a stripped file need not have them.
/// </summary>
internal sealed class ElfVersions
{
    /// <summary>VER_FLG_WEAK of elf.h.</summary>
    internal const ushort WeakFlag = 2;

    private const uint LoadSegment = 1, DynamicSegment = 2;
    private const ulong StringTable = 5, StringTableSize = 10;
    private const ulong VersionDefinitions = 0x6ffffffc, VersionDefinitionCount = 0x6ffffffd;
    private const ulong VersionNeeds = 0x6ffffffe, VersionNeedCount = 0x6fffffff;

    // A version index has 15 bits, so no honest file has more entries than this; a lying count ends here.
    private const int MostEntries = 0x8000;
    private const int LongestName = 4096;

    private ElfVersions(IReadOnlyList<VersionNeed> needs, IReadOnlyList<string> definitions) => (Needs, Definitions) = (needs, definitions);

    /// <summary>Versions asked of other libraries, in file order.</summary>
    public IReadOnlyList<VersionNeed> Needs { get; }

    /// <summary>Versions that the library itself offers, in file order (the first is its own name).</summary>
    public IReadOnlyList<string> Definitions { get; }

    /// <summary>Reads the versions of a 64-bit little-endian ELF file.</summary>
    /// <param name="file">The whole file.</param>
    /// <exception cref="InvalidDataException">It is no such file, is truncated, or contradicts itself; the message says where.</exception>
    public static ElfVersions Read(ReadOnlySpan<byte> file)
    {
        var reader = new Reader(file);
        reader.CheckIdentity();
        Dictionary<ulong, ulong> dynamic = reader.ReadDynamicSegment();
        if (!dynamic.TryGetValue(StringTable, out ulong strings) || !dynamic.TryGetValue(StringTableSize, out ulong stringsSize))
        {
            return new ElfVersions([], []);
        }
        var names = new Names(reader.FileOffset(strings), stringsSize);
        reader.Bytes(names.Offset, names.Size, "string table");
        return new ElfVersions(
            dynamic.TryGetValue(VersionNeeds, out ulong needs)
                ? reader.ReadNeeds(reader.FileOffset(needs), dynamic.GetValueOrDefault(VersionNeedCount), names) : [],
            dynamic.TryGetValue(VersionDefinitions, out ulong definitions)
                ? reader.ReadDefinitions(reader.FileOffset(definitions), dynamic.GetValueOrDefault(VersionDefinitionCount), names) : []);
    }

    private readonly record struct Names(ulong Offset, ulong Size);

    private readonly record struct Segment(ulong Offset, ulong Address, ulong FileSize);

    private ref struct Reader(ReadOnlySpan<byte> file)
    {
        private readonly ReadOnlySpan<byte> _file = file;
        private readonly List<Segment> _segments = [];

        public readonly void CheckIdentity()
        {
            ReadOnlySpan<byte> identity = Bytes(0, 16, "identification");
            if (!identity[..4].SequenceEqual("\u007fELF"u8))
            {
                throw new InvalidDataException("Not an ELF file: it does not start with 7f 45 4c 46.");
            }
            if (identity[4] != 2)
            {
                throw new InvalidDataException($"ELF class {identity[4]}: only 64-bit files (class 2) are read.");
            }
            if (identity[5] != 1)
            {
                throw new InvalidDataException($"ELF data encoding {identity[5]}: only little-endian files (encoding 1) are read.");
            }
        }

        public readonly Dictionary<ulong, ulong> ReadDynamicSegment()
        {
            ulong table = U64(32, "program header offset");
            ushort entrySize = U16(54, "program header size"), count = U16(56, "program header count");
            if (count > 0 && entrySize < 56)
            {
                throw new InvalidDataException($"ELF program headers of {entrySize} bytes: a 64-bit file has 56.");
            }
            Segment? found = null;
            for (ulong i = 0; i < count; i++)
            {
                ulong at = Add(table, i * entrySize);
                uint type = U32(at, "program header");
                var segment = new Segment(U64(Add(at, 8), "segment offset"), U64(Add(at, 16), "segment address"), U64(Add(at, 32), "segment size"));
                if (type == LoadSegment)
                {
                    _segments.Add(segment);
                }
                else if (type == DynamicSegment)
                {
                    found = segment;
                }
            }
            var entries = new Dictionary<ulong, ulong>();
            if (found is { } dynamic)
            {
                ReadOnlySpan<byte> bytes = Bytes(dynamic.Offset, dynamic.FileSize, "dynamic segment");
                for (; bytes.Length >= 16; bytes = bytes[16..])
                {
                    ulong tag = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
                    if (tag == 0)
                    {
                        break;
                    }
                    entries.TryAdd(tag, BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]));
                }
            }
            return entries;
        }

        public readonly List<VersionNeed> ReadNeeds(ulong at, ulong count, Names names)
        {
            var needs = new List<VersionNeed>();
            for (ulong i = 0; i < count; i++)
            {
                ushort auxiliaries = U16(Add(at, 2), "vn_cnt");
                string library = Name(names, U32(Add(at, 4), "vn_file"));
                ulong entry = Add(at, U32(Add(at, 8), "vn_aux"));
                uint next = U32(Add(at, 12), "vn_next");
                for (int j = 0; j < auxiliaries; j++)
                {
                    ushort flags = U16(Add(entry, 4), "vna_flags");
                    string version = Name(names, U32(Add(entry, 8), "vna_name"));
                    uint nextEntry = U32(Add(entry, 12), "vna_next");
                    needs.Add(new VersionNeed(library, version, (flags & WeakFlag) != 0, (int)Add(entry, 4)));
                    CheckCount(needs.Count);
                    if (nextEntry == 0)
                    {
                        break;
                    }
                    entry = Add(entry, nextEntry);
                }
                if (next == 0)
                {
                    break;
                }
                at = Add(at, next);
                CheckCount((int)Math.Min(i, MostEntries + 1UL));
            }
            return needs;
        }

        public readonly List<string> ReadDefinitions(ulong at, ulong count, Names names)
        {
            var definitions = new List<string>();
            for (ulong i = 0; i < count; i++)
            {
                ushort auxiliaries = U16(Add(at, 6), "vd_cnt");
                ulong entry = Add(at, U32(Add(at, 12), "vd_aux"));
                uint next = U32(Add(at, 16), "vd_next");
                if (auxiliaries > 0)
                {
                    definitions.Add(Name(names, U32(entry, "vda_name"))); // the others name its parents
                }
                CheckCount((int)Math.Min(i, MostEntries + 1UL));
                if (next == 0)
                {
                    break;
                }
                at = Add(at, next);
            }
            return definitions;
        }

        /// <summary>The place in the file of what will lie at an address.</summary>
        public readonly ulong FileOffset(ulong address)
        {
            foreach (Segment segment in _segments)
            {
                if (address >= segment.Address && address - segment.Address < segment.FileSize)
                {
                    return Add(segment.Offset, address - segment.Address);
                }
            }
            throw new InvalidDataException($"ELF address 0x{address:x} lies in no loaded segment of the file.");
        }

        public readonly ReadOnlySpan<byte> Bytes(ulong offset, ulong length, string what)
        {
            if (offset > (ulong)_file.Length || length > (ulong)_file.Length - offset)
            {
                throw new InvalidDataException(
                    $"ELF file truncated or damaged: {what} at offset 0x{offset:x} with {length} bytes goes beyond the file's {_file.Length} bytes.");
            }
            return _file.Slice((int)offset, (int)length);
        }

        private readonly string Name(Names names, uint offset)
        {
            if (offset >= names.Size)
            {
                throw new InvalidDataException($"ELF name at {offset} of a string table of {names.Size} bytes.");
            }
            ReadOnlySpan<byte> bytes = Bytes(names.Offset + offset, Math.Min(names.Size - offset, LongestName), "name");
            int end = bytes.IndexOf((byte)0);
            if (end < 0)
            {
                throw new InvalidDataException($"ELF name at {offset} of the string table does not end.");
            }
            return Encoding.UTF8.GetString(bytes[..end]);
        }

        private readonly ushort U16(ulong offset, string what) => BinaryPrimitives.ReadUInt16LittleEndian(Bytes(offset, 2, what));

        private readonly uint U32(ulong offset, string what) => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(offset, 4, what));

        private readonly ulong U64(ulong offset, string what) => BinaryPrimitives.ReadUInt64LittleEndian(Bytes(offset, 8, what));

        private static ulong Add(ulong a, ulong b) => b <= ulong.MaxValue - a
            ? a + b
            : throw new InvalidDataException($"ELF offset 0x{a:x} + 0x{b:x} overflows.");

        private static void CheckCount(int count)
        {
            if (count > MostEntries)
            {
                throw new InvalidDataException($"ELF file with more than {MostEntries} symbol versions.");
            }
        }
    }
}
