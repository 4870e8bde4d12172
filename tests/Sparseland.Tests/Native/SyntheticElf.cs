using System.Buffers.Binary;
using System.Text;

namespace Sparseland.Tests.Native;

/// <summary>
/// Builds, byte by byte, the smallest ELF shared library that needs symbol versions: header, one PT_LOAD that maps the
/// whole file at a base address, one PT_DYNAMIC, the string table, and the chain of Elf64_Verneed and Elf64_Vernaux.
/// </summary>
internal static class SyntheticElf
{
    private const int ProgramHeaders = 64, ProgramHeaderSize = 56, Dynamic = ProgramHeaders + 2 * ProgramHeaderSize;
    private const ulong Base = 0x400000; // so that addresses and file offsets differ

    public static byte[] Build(params (string Library, (string Version, ushort Flags)[] Versions)[] needs)
    {
        var strings = new List<byte> { 0 };
        uint Name(string text)
        {
            var at = (uint)strings.Count;
            strings.AddRange(Encoding.UTF8.GetBytes(text));
            strings.Add(0);
            return at;
        }

        const int verneedAt = Dynamic + 6 * 16;
        int chain = needs.Sum(n => 16 + 16 * n.Versions.Length);
        var file = new byte[verneedAt + chain];
        int at = verneedAt;
        for (int i = 0; i < needs.Length; i++)
        {
            (string library, (string Version, ushort Flags)[] versions) = needs[i];
            int size = 16 + 16 * versions.Length;
            U16(at, 1);                                        // vn_version
            U16(at + 2, (ushort)versions.Length);              // vn_cnt
            U32(at + 4, Name(library));                        // vn_file
            U32(at + 8, 16);                                   // vn_aux
            U32(at + 12, i + 1 < needs.Length ? (uint)size : 0); // vn_next
            for (int j = 0; j < versions.Length; j++)
            {
                int entry = at + 16 + 16 * j;
                U32(entry, 0x1234567);                         // vna_hash
                U16(entry + 4, versions[j].Flags);             // vna_flags
                U16(entry + 6, (ushort)(2 + j));               // vna_other
                U32(entry + 8, Name(versions[j].Version));     // vna_name
                U32(entry + 12, j + 1 < versions.Length ? 16u : 0); // vna_next
            }
            at += size;
        }
        int stringsAt = file.Length;
        (ulong Tag, ulong Value)[] dynamic =
        [
            (5, Base + (ulong)stringsAt), (10, (ulong)strings.Count),
            (0x6ffffffe, Base + verneedAt), (0x6fffffff, (ulong)needs.Length), (0, 0), (0, 0),
        ];
        for (int i = 0; i < dynamic.Length; i++)
        {
            U64(Dynamic + 16 * i, dynamic[i].Tag);
            U64(Dynamic + 16 * i + 8, dynamic[i].Value);
        }
        "\u007fELF"u8.CopyTo(file);
        (file[4], file[5], file[6]) = (2, 1, 1);               // 64-bit, little-endian, version 1
        U16(16, 3);                                            // ET_DYN
        U64(32, ProgramHeaders);
        U16(54, ProgramHeaderSize);
        U16(56, 2);
        Segment(ProgramHeaders, 1, 0, (ulong)(file.Length + strings.Count));
        Segment(ProgramHeaders + ProgramHeaderSize, 2, Dynamic, 6 * 16);
        return [.. file, .. strings];

        void Segment(int header, uint type, ulong offset, ulong size)
        {
            U32(header, type);
            U64(header + 8, offset);
            U64(header + 16, Base + offset);
            U64(header + 32, size);
            U64(header + 40, size);
        }
        void U16(int place, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(place), value);
        void U32(int place, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(place), value);
        void U64(int place, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(place), value);
    }
}
