using System.Globalization;
using Microsoft.CodeAnalysis;

namespace Sparseland.Kernel.Scripting;

/// <summary>
/// XML documentation of an assembly: the file beside it, or for the runtime's own assemblies those of the SDK's reference
/// pack. Read at the first question, as most notebooks never ask.
/// </summary>
internal sealed class Documentation : DocumentationProvider
{
    // The runtime keeps in one implementation assembly what the reference pack documents under several names.
    private static readonly string[] CoreFiles = ["System.Runtime.xml", "System.Collections.xml", "System.Threading.xml", "System.Threading.Thread.xml"];
    private static readonly Lazy<string?> Pack = new(FindPack);

    private readonly string assembly;
    private readonly Lazy<IReadOnlyList<XmlFile>> files;

    /// <summary>Documentation for an assembly file.</summary>
    public Documentation(string assembly)
    {
        this.assembly = assembly;
        files = new(Find);
    }

    public override bool Equals(object? obj) => obj is Documentation other && other.assembly == assembly;

    public override int GetHashCode() => StringComparer.Ordinal.GetHashCode(assembly);

    protected override string? GetDocumentationForSymbol(string documentationMemberID, CultureInfo preferredCulture, CancellationToken cancellationToken = default)
    {
        foreach (var file in files.Value)
        {
            if (file.Lookup(documentationMemberID, preferredCulture, cancellationToken) is { Length: > 0 } found)
            {
                return found;
            }
        }

        return null;
    }

    private IReadOnlyList<XmlFile> Find()
    {
        var beside = Path.ChangeExtension(assembly, ".xml");
        if (File.Exists(beside))
        {
            return [new XmlFile(beside)];
        }

        if (Pack.Value is not { } pack || Path.GetDirectoryName(assembly) != RuntimeFolder)
        {
            return [];
        }

        var name = Path.GetFileName(beside);
        return [.. (name.StartsWith("System.Private.", StringComparison.Ordinal) ? CoreFiles : [name]).Select(n => Path.Combine(pack, n)).Where(File.Exists).Select(f => new XmlFile(f))];
    }

    private static string RuntimeFolder => Path.GetDirectoryName(typeof(object).Assembly.Location)!;

    // <dotnet>/shared/Microsoft.NETCore.App/<version> and <dotnet>/packs/Microsoft.NETCore.App.Ref/<version>/ref/net<major>.0
    private static string? FindPack()
    {
        var packs = Path.GetFullPath(Path.Combine(RuntimeFolder, "..", "..", "..", "packs", "Microsoft.NETCore.App.Ref"));
        return Directory.Exists(packs)
            ? Directory.EnumerateDirectories(packs, $"{Environment.Version.Major}.*")
                .Select(d => Path.Combine(d, "ref", $"net{Environment.Version.Major}.0"))
                .Where(Directory.Exists)
                .Order(StringComparer.Ordinal)
                .LastOrDefault()
            : null;
    }

    private sealed class XmlFile(string path) : XmlDocumentationProvider
    {
        public string? Lookup(string id, CultureInfo culture, CancellationToken cancel) => GetDocumentationForSymbol(id, culture, cancel);

        public override bool Equals(object? obj) => ReferenceEquals(this, obj);

        public override int GetHashCode() => StringComparer.Ordinal.GetHashCode(path);

        protected override Stream GetSourceStream(CancellationToken cancellationToken) => File.OpenRead(path);
    }
}
