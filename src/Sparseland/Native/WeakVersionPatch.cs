using System.Buffers.Binary;

namespace Sparseland.Native;

/// <summary>
/// Makes one symbol version that a library needs optional. libLibTorchSharp.so asks for GLIBCXX_3.4.32 only because of
/// <c>std::ios_base_library_init</c>, an empty marker that GCC 13 adds to a file using iostreams; no code calls it.
/// With VER_FLG_WEAK on that entry the dynamic linker accepts a libstdc++ that lacks the version.
/// </summary>
internal static class WeakVersionPatch
{
    /// <summary>The one version known to be a marker only, and so safe to do without.</summary>
    internal const string MarkerVersion = "GLIBCXX_3.4.32";

    /// <summary>The versions that a library needs, does not mark as weak, and the other library does not define.</summary>
    /// <param name="library">Versions of the library to be loaded.</param>
    /// <param name="asked">File name of the library that is asked, such as libstdc++.so.6.</param>
    /// <param name="offered">Versions of the library that is asked.</param>
    public static IReadOnlyList<string> Missing(ElfVersions library, string asked, ElfVersions offered)
    {
        var have = offered.Definitions.ToHashSet(StringComparer.Ordinal);
        return [.. library.Needs.Where(need => need.Library == asked && !need.Weak && !have.Contains(need.Version)).Select(need => need.Version)];
    }

    /// <summary>A copy of an ELF file in which every need of one version is weak, or null when there is none to change.</summary>
    /// <param name="file">The whole file; it is not changed.</param>
    /// <param name="version">The version's name.</param>
    /// <returns>A copy that differs in the two bytes of one vna_flags, or null if the version is not needed or weak already.</returns>
    /// <exception cref="InvalidDataException">The file is not a 64-bit little-endian ELF file, or is damaged.</exception>
    public static byte[]? Apply(ReadOnlySpan<byte> file, string version)
    {
        byte[]? patched = null;
        foreach (VersionNeed need in ElfVersions.Read(file).Needs)
        {
            if (need.Version == version && !need.Weak)
            {
                patched ??= file.ToArray();
                Span<byte> flags = patched.AsSpan(need.FlagsOffset, 2);
                BinaryPrimitives.WriteUInt16LittleEndian(flags, (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(flags) | ElfVersions.WeakFlag));
            }
        }
        return patched;
    }
}
