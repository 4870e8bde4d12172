using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.IO.MemoryMappedFiles;
using System.Reflection.PortableExecutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Scripting;

namespace Sparseland.Kernel.Scripting;

/// <summary>
/// Gives every submission the same metadata object for the same file. Without this each cell reads the framework's
/// 160 assemblies anew and keeps them: 4.5 MB a cell.
/// </summary>
internal sealed class CachingReferenceResolver(MetadataReferenceResolver inner) : MetadataReferenceResolver
{
    // Shared by all engines of the process: metadata never changes under a loaded assembly.
    private static readonly ConcurrentDictionary<string, PortableExecutableReference> Files = new(StringComparer.Ordinal);

    public override bool ResolveMissingAssemblies => inner.ResolveMissingAssemblies;

    /// <summary>The one reference for an assembly file, with its XML documentation if that lies beside it.</summary>
    public static PortableExecutableReference File(string path) => Files.GetOrAdd(
        Path.GetFullPath(path),
        static p => MappedMetadata(p).GetReference(documentation: new Documentation(p), filePath: p));

    public override PortableExecutableReference? ResolveMissingAssembly(MetadataReference definition, AssemblyIdentity referenceIdentity) =>
        Share(inner.ResolveMissingAssembly(definition, referenceIdentity));

    public override ImmutableArray<PortableExecutableReference> ResolveReference(string reference, string? baseFilePath, MetadataReferenceProperties properties) =>
        [.. inner.ResolveReference(reference, baseFilePath, properties).Select(r => Share(r)!)];

    public override bool Equals(object? other) => ReferenceEquals(this, other);

    public override int GetHashCode() => inner.GetHashCode();

    private static PortableExecutableReference? Share(PortableExecutableReference? reference) =>
        reference?.FilePath is { } path ? File(path) : reference;

    // Only the metadata, and only the pages that the compiler touches: reading 240 whole files would cost 80 MB and 50 ms.
    private static unsafe AssemblyMetadata MappedMetadata(string path)
    {
        using var file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, mapName: null, 0, MemoryMappedFileAccess.Read);
        var view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        byte* start = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        var reader = new PEReader(start, checked((int)new FileInfo(path).Length));
        var metadata = reader.GetMetadata();
        return AssemblyMetadata.Create(ModuleMetadata.CreateFromMetadata(
            (nint)metadata.Pointer,
            metadata.Length,
            () =>
            {
                reader.Dispose();
                view.SafeMemoryMappedViewHandle.ReleasePointer();
                view.Dispose();
            }));
    }
}
