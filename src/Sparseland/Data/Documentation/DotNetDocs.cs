using System.Xml;
using System.Xml.Linq;

namespace Sparseland.Data.Documentation;

/// <summary>
/// The reference documentation that comes with the .NET SDK: English text about .NET's types and members, MIT-licensed, present wherever the
/// SDK is, read where it lies and never copied. A few million words with structure: what every chapter that needs text stands on.
/// </summary>
public static class DotNetDocs
{
    /// <summary>Environment variable that names a folder to search instead of the SDK's: one that holds packs/, or any folder of XML files.</summary>
    public const string FolderVariable = "SPARSELAND_DOTNET_DOCS";

    /// <summary>
    /// The XML files of the newest version of each reference pack, ordered by pack and file name, each file name once: the packs repeat
    /// each other's files.
    /// </summary>
    /// <param name="folder">
    /// Folder of an SDK (it holds packs/) or any folder with documentation files; null looks in SPARSELAND_DOTNET_DOCS, in DOTNET_ROOT,
    /// beside the running runtime, and where installers put the SDK.
    /// </param>
    /// <exception cref="DirectoryNotFoundException">There is none; the message says where was looked and what to do.</exception>
    public static IReadOnlyList<string> FindFiles(string? folder = null)
    {
        string[] places = folder is not null ? [folder] : [.. Places()];
        foreach (string place in places.Where(Directory.Exists))
        {
            string[] files = Files(place);
            if (files.Length > 0) return files;
        }

        throw new DirectoryNotFoundException(
            $"No reference documentation of .NET was found in {string.Join(", ", places.Select(p => $"'{p}'"))}. It comes with the .NET SDK, not with the " +
            $"runtime alone, in packs/Microsoft.NETCore.App.Ref: install the SDK, or set {FolderVariable} to the folder that holds its packs.");
    }

    /// <summary>Reads all members, in the order of the files and of the members in them; an identifier that stands twice counts once.</summary>
    /// <param name="files">Files of <see cref="FindFiles"/>; null finds them.</param>
    /// <param name="progress">Files read.</param>
    /// <param name="cancel">Checked between files.</param>
    /// <exception cref="DirectoryNotFoundException">There is no documentation.</exception>
    /// <exception cref="InvalidDataException">A file is not XML documentation; the message names it and the place.</exception>
    public static IReadOnlyList<DocMember> Load(IReadOnlyList<string>? files = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        files ??= FindFiles();
        if (files.Count == 0) throw new ArgumentException("There is no file to read.", nameof(files));
        var elements = new XElement[files.Count][];
        int done = 0;
        try
        {
            Parallel.For(0, files.Count, new ParallelOptions { CancellationToken = cancel }, i =>
            {
                elements[i] = Read(files[i]);
                progress?.Report(new(Interlocked.Increment(ref done), files.Count, Path.GetFileName(files[i])));
            });
        }
        catch (AggregateException several)
        {
            // One broken file is enough to say.
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(several.InnerExceptions[0]);
        }

        var seen = new HashSet<string>(StringComparer.Ordinal);
        List<XElement> all = [.. elements.SelectMany(e => e).Where(e => DocId.KindOf((string?)e.Attribute("name") ?? "") is not null && seen.Add((string)e.Attribute("name")!))];
        var types = seen.Where(id => id[0] == 'T').Select(DocId.Path).ToHashSet(StringComparer.Ordinal);
        return [.. all.Select(element => Member(element, types))];
    }

    /// <summary>One member from its XML element.</summary>
    /// <param name="element">A member element.</param>
    /// <param name="types">Paths of all types, which tell a namespace from a type that others are nested in.</param>
    internal static DocMember Member(XElement element, IReadOnlySet<string> types)
    {
        string id = (string)element.Attribute("name")!;
        DocMemberKind kind = DocId.KindOf(id)!.Value;
        (string space, string type) = DocId.Split(DocId.Path(id), kind == DocMemberKind.Type, types);
        List<DocNote> Notes(string tag, Func<XElement, string> name) => [.. element.Elements(tag).Select(e => new DocNote(name(e), DocText.Of(e)))];
        string Text(string tag) => string.Join('\n', element.Elements(tag).Select(DocText.Of).Where(t => t.Length > 0));
        string returns = Text("returns");
        return new(id, kind, space, type, DocId.ShortName(id) + (kind is DocMemberKind.Method or DocMemberKind.Property ? DocId.ShortParameters(id) : ""))
        {
            Summary = Text("summary"),
            Remarks = Text("remarks"),
            Returns = returns.Length > 0 ? returns : Text("value"),
            Parameters = Notes("param", e => (string?)e.Attribute("name") ?? ""),
            TypeParameters = Notes("typeparam", e => (string?)e.Attribute("name") ?? ""),
            Exceptions = Notes("exception", e => DocId.ShortName((string?)e.Attribute("cref") ?? "")),
            References = [.. DocText.References(element).Where(other => other != id).Distinct(StringComparer.Ordinal)],
        };
    }

    private static XElement[] Read(string file)
    {
        try
        {
            // Spaces between two references are words' spaces.
            using var reader = XmlReader.Create(file, new XmlReaderSettings { DtdProcessing = DtdProcessing.Prohibit });
            XElement root = XElement.Load(reader, LoadOptions.PreserveWhitespace);
            if (root.Name.LocalName != "doc") throw new InvalidDataException($"'{file}' is XML, but its root is <{root.Name.LocalName}> and not <doc>: no documentation file.");
            return [.. root.Elements("members").Elements("member")];
        }
        catch (XmlException error)
        {
            throw new InvalidDataException($"'{file}' is not well-formed XML documentation: {error.Message}", error);
        }
    }

    private static string[] Files(string place)
    {
        string packs = Path.Combine(place, "packs");
        IEnumerable<string> files = Directory.Exists(packs)
            ? Directory.GetDirectories(packs, "*.Ref").Order(StringComparer.Ordinal).SelectMany(Newest)
            : Directory.EnumerateFiles(place, "*.xml", SearchOption.AllDirectories).Order(StringComparer.Ordinal);

        // Where two packs hold one file, .NET's own, the last by name, is taken.
        return [.. files.GroupBy(f => Path.GetFileName(f), StringComparer.Ordinal).Select(g => g.Order(StringComparer.Ordinal).Last()).Order(StringComparer.Ordinal)];
    }

    private static IEnumerable<string> Newest(string pack)
    {
        string? version = Directory.GetDirectories(pack).OrderBy(VersionOf).ThenBy(v => v, StringComparer.Ordinal).LastOrDefault();
        if (version is null || !Directory.Exists(Path.Combine(version, "ref"))) return [];
        string? framework = Directory.GetDirectories(Path.Combine(version, "ref")).Order(StringComparer.Ordinal).LastOrDefault();
        return framework is null ? [] : Directory.GetFiles(framework, "*.xml");
    }

    private static Version VersionOf(string folder) =>
        Version.TryParse(Path.GetFileName(folder).Split('-')[0], out Version? version) ? version : new Version(0, 0);

    private static IEnumerable<string> Places()
    {
        string? set = Environment.GetEnvironmentVariable(FolderVariable);
        if (!string.IsNullOrEmpty(set))
        {
            yield return set;
            yield break;
        }

        string? root = Environment.GetEnvironmentVariable("DOTNET_ROOT");
        if (!string.IsNullOrEmpty(root)) yield return root;

        // shared/Microsoft.NETCore.App/10.0.0 lies three folders below the root.
        yield return Path.GetFullPath(Path.Combine(System.Runtime.InteropServices.RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."));
        string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        if (home.Length > 0) yield return Path.Combine(home, ".dotnet");
        if (OperatingSystem.IsWindows()) yield return Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.ProgramFiles), "dotnet");
        else
            foreach (string place in new[] { "/usr/share/dotnet", "/usr/lib/dotnet", "/usr/local/share/dotnet", "/usr/lib64/dotnet", "/snap/dotnet-sdk/current" }) yield return place;
    }
}
