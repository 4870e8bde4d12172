using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace Sparseland.IO;

/// <summary>Files inside a .NET assembly, read from its file: the assembly is not loaded and none of its code runs.</summary>
internal static class AssemblyResource
{
    /// <summary>Bytes of the one resource whose name is, or ends with a dot and, the given one.</summary>
    /// <param name="path">The assembly's file.</param>
    /// <param name="name">Name of the resource, without the namespace before it.</param>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">No assembly, or none or several resources of the name; the message names those there are.</exception>
    public static byte[] Read(string path, string name)
    {
        using FileStream file = File.OpenRead(path);
        try
        {
            using var assembly = new PEReader(file, PEStreamOptions.LeaveOpen);
            if (!assembly.HasMetadata || !assembly.PEHeaders.TryGetDirectoryOffset(assembly.PEHeaders.CorHeader!.ResourcesDirectory, out int start))
                throw new InvalidDataException($"'{path}' is no .NET assembly with resources.");
            MetadataReader metadata = assembly.GetMetadataReader();
            (string Name, long Offset)[] all = [.. from handle in metadata.ManifestResources
                                                   let resource = metadata.GetManifestResource(handle)
                                                   where resource.Implementation.IsNil
                                                   select (metadata.GetString(resource.Name), start + resource.Offset)];
            (string Name, long Offset)[] fitting = [.. all.Where(r => r.Name == name || r.Name.EndsWith($".{name}", StringComparison.Ordinal))];
            if (fitting.Length != 1)
                throw new InvalidDataException($"'{path}' has {fitting.Length} resources '{name}'; it holds {(all.Length == 0 ? "none" : string.Join(", ", all.Select(r => r.Name)))}.");

            // A resource begins with its length.
            var prefix = new byte[4];
            file.Position = fitting[0].Offset;
            file.ReadExactly(prefix);
            int length = BitConverter.ToInt32(prefix);
            if (length < 0 || length > file.Length - file.Position) throw new InvalidDataException($"'{path}' is cut: its resource '{name}' has {length} bytes, but {file.Length - file.Position} are left.");
            byte[] bytes = GC.AllocateUninitializedArray<byte>(length);
            file.ReadExactly(bytes);
            return bytes;
        }
        catch (BadImageFormatException error)
        {
            throw new InvalidDataException($"'{path}' is no .NET assembly, or is damaged: {error.Message}", error);
        }
        catch (EndOfStreamException error)
        {
            throw new InvalidDataException($"'{path}' is cut.", error);
        }
    }
}
