using System.Collections.Concurrent;
using System.Collections.Immutable;
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
        static p => MetadataReference.CreateFromFile(p, documentation: XmlFile(p)));

    public override PortableExecutableReference? ResolveMissingAssembly(MetadataReference definition, AssemblyIdentity referenceIdentity) =>
        Share(inner.ResolveMissingAssembly(definition, referenceIdentity));

    public override ImmutableArray<PortableExecutableReference> ResolveReference(string reference, string? baseFilePath, MetadataReferenceProperties properties) =>
        [.. inner.ResolveReference(reference, baseFilePath, properties).Select(r => Share(r)!)];

    public override bool Equals(object? other) => ReferenceEquals(this, other);

    public override int GetHashCode() => inner.GetHashCode();

    private static PortableExecutableReference? Share(PortableExecutableReference? reference) =>
        reference?.FilePath is { } path ? File(path) : reference;

    private static DocumentationProvider? XmlFile(string assembly)
    {
        var xml = Path.ChangeExtension(assembly, ".xml");
        return System.IO.File.Exists(xml) ? XmlDocumentationProvider.CreateFromFile(xml) : null;
    }
}
