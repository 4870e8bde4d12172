using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Running;

/// <summary>
/// Which source files of the library a notebook reaches, and a hash over them: outputs are stale when one of these changed, and only then.
/// A name that the notebook's code mentions leads to the file that declares it, the names in that file to further ones, as far as the namespace
/// of the declaration can be seen from there: it is imported, encloses the place, or stands before the name. Comments and layout do not count.
/// It is a reading of the text, so it errs towards reaching too much.
/// </summary>
public sealed partial class LibrarySources
{
    private static readonly ConcurrentDictionary<string, LibrarySources?> s_known = new();

    private readonly Dictionary<string, SourceFile> files = [];
    private readonly Dictionary<string, List<string>> declaredIn = new(StringComparer.Ordinal);

    private LibrarySources(string folder)
    {
        foreach (var path in Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            var name = Path.GetRelativePath(folder, path).Replace('\\', '/');
            if (name.StartsWith("obj/", StringComparison.Ordinal) || name.StartsWith("bin/", StringComparison.Ordinal) || name.StartsWith("build/", StringComparison.Ordinal))
                continue;
            var code = Layout().Replace(Comments().Replace(File.ReadAllText(path), " "), " ");
            var space = Namespaces().Match(code).Groups[1].Value;
            files[name] = new SourceFile(code, space, Mentions.Of([code], space));
            foreach (var declared in Declarations().Matches(code).Where(m => !m.Groups["private"].Success).Select(m => m.Groups[1].Value).Concat(Extensions().Matches(code).Select(m => m.Groups[1].Value)).Distinct())
            {
                if (!declaredIn.TryGetValue(declared, out var places))
                    declaredIn[declared] = places = [];
                places.Add(name);
            }
        }
    }

    /// <summary>The sources of the clone that a file lies in; null where there is none.</summary>
    /// <param name="path">A file or folder in the clone.</param>
    public static LibrarySources? Of(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        for (var folder = Path.GetFullPath(path); folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Notebooks.sln")))
                return s_known.GetOrAdd(Path.Combine(folder, "src", "Sparseland"), static found => Directory.Exists(found) ? new LibrarySources(found) : null);
        }

        return null;
    }

    /// <summary>The files that a notebook reaches, by their paths below the library's folder, in order.</summary>
    public IReadOnlyList<string> Reach(Notebook notebook)
    {
        ArgumentNullException.ThrowIfNull(notebook);
        var reached = new SortedSet<string>(StringComparer.Ordinal);
        var open = new Queue<string>();
        void Visit(Mentions mentions)
        {
            foreach (var name in mentions.Words.Where(declaredIn.ContainsKey))
            {
                foreach (var place in declaredIn[name].Where(place => mentions.See(files[place].Namespace, name)))
                {
                    if (reached.Add(place))
                        open.Enqueue(place);
                }
            }
        }

        Visit(Mentions.Of([.. notebook.CodeCells.Select(cell => Comments().Replace(cell.Source, " "))], ""));
        while (open.TryDequeue(out var file))
            Visit(files[file].Mentions);
        return [.. reached];
    }

    /// <summary>SHA-256 over the code of these files.</summary>
    public string HashFor(Notebook notebook)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var name in Reach(notebook))
            hash.AppendData(Encoding.UTF8.GetBytes($"{name}\0{files[name].Code}\0"));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    // Line and block comments; a string that holds two slashes loses its rest, in every version of the file alike.
    [GeneratedRegex(@"/\*.*?\*/|//[^\n]*", RegexOptions.Singleline)]
    private static partial Regex Comments();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Layout();

    [GeneratedRegex(@"\b[A-Z]\w+\b")]
    private static partial Regex Names();

    // A private type is no other file's to name: "State" within one class leads nobody there.
    [GeneratedRegex(@"(?<private>\bprivate\s+(?:(?:sealed|static|readonly|partial|abstract|unsafe|ref)\s+)*)?\b(?:class|record struct|record|struct|interface|enum)\s+([A-Z]\w*)")]
    private static partial Regex Declarations();

    // A method on another type: Name(this ...).
    [GeneratedRegex(@"\b([A-Z]\w*)(?:<\w+>)?\(this ")]
    private static partial Regex Extensions();

    // Of a file of one namespace, as all of the library are.
    [GeneratedRegex(@"\bnamespace\s+([\w.]+)\s*;")]
    private static partial Regex Namespaces();

    [GeneratedRegex(@"\busing\s+(?:static\s+)?(?:\w+\s*=\s*)?([A-Z][\w.]*)\s*;")]
    private static partial Regex Imports();

    [GeneratedRegex(@"\b([A-Z]\w*)\s*\.\s*(?=([A-Z]\w+))")]
    private static partial Regex Qualified();

    private sealed record SourceFile(string Code, string Namespace, Mentions Mentions);

    /// <summary>The names in some code, and which namespaces it sees.</summary>
    private sealed record Mentions(HashSet<string> Words, HashSet<string> Seen, HashSet<(string Before, string Name)> Pairs)
    {
        public static Mentions Of(IReadOnlyList<string> code, string space)
        {
            HashSet<string> seen = [""];
            for (var at = space; at.Length > 0; at = at.Contains('.', StringComparison.Ordinal) ? at[..at.LastIndexOf('.')] : "")
                seen.Add(at);

            // An import of a type (static, or under another name) is one of its namespace too.
            foreach (var import in code.SelectMany(c => Imports().Matches(c)).Select(m => m.Groups[1].Value))
            {
                seen.Add(import);
                if (import.Contains('.', StringComparison.Ordinal))
                    seen.Add(import[..import.LastIndexOf('.')]);
            }

            return new(
                [.. code.SelectMany(c => Names().Matches(c)).Select(m => m.Value)], seen,
                [.. code.SelectMany(c => Qualified().Matches(c)).Select(m => (m.Groups[1].Value, m.Groups[2].Value))]);
        }

        /// <summary>Whether a name means the one that a namespace declares.</summary>
        public bool See(string space, string name) => Seen.Contains(space) || Pairs.Contains((space[(space.LastIndexOf('.') + 1)..], name));
    }
}
