namespace Sparseland.Retrieval.Formats;

/// <summary>A folder of text files as a collection: each file is a document.</summary>
public static class TextFolder
{
    /// <summary>Endings of the files that are read when none are named.</summary>
    public static IReadOnlyList<string> DefaultEndings { get; } = [".txt", ".md"];

    /// <summary>Reads the files of a folder and of the folders in it; hidden ones and links are passed over.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="endings">Endings of the files to read, upper or lower case; null, the default, for <see cref="DefaultEndings"/>.</param>
    /// <param name="progress">Files read.</param>
    /// <param name="cancel">Checked all the time.</param>
    /// <returns>Documents in the order of their ids, which are the files' paths in the folder, parts apart by "/"; they have no titles.</returns>
    /// <exception cref="DirectoryNotFoundException">The folder is not there.</exception>
    /// <exception cref="ArgumentException">An ending is none, such as "txt" without its point.</exception>
    /// <exception cref="InvalidDataException">No file has such an ending, or one is neither UTF-8 nor marked as UTF-16 or UTF-32; the message names it.</exception>
    public static IReadOnlyList<RetrievalDocument> Read(string folder, IReadOnlyList<string>? endings = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        endings ??= DefaultEndings;
        if (endings.Count == 0) throw new ArgumentException("No ending is named, so that no file is read.", nameof(endings));
        foreach (string ending in endings)
        {
            if (ending is not ['.', _, ..] || ending.AsSpan().ContainsAny('/', '\\', '*')) throw new ArgumentException($"'{ending}' is no ending of a file name; it begins with a point, as \".txt\" does.", nameof(endings));
        }

        if (!Directory.Exists(folder)) throw new DirectoryNotFoundException($"There is no folder '{folder}'.");
        var files = new List<(string Id, string Path)>();
        foreach (string path in Directory.EnumerateFiles(folder, "*", new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = false, AttributesToSkip = FileAttributes.Hidden | FileAttributes.System | FileAttributes.ReparsePoint }))
        {
            cancel.ThrowIfCancellationRequested();
            if (endings.Any(e => path.EndsWith(e, StringComparison.OrdinalIgnoreCase))) files.Add((Path.GetRelativePath(folder, path).Replace(Path.DirectorySeparatorChar, '/'), path));
        }

        if (files.Count == 0) throw new InvalidDataException($"'{folder}' has no file that ends in {string.Join(", ", endings)}.");
        files.Sort((a, b) => string.CompareOrdinal(a.Id, b.Id));
        var documents = new RetrievalDocument[files.Count];
        for (int i = 0; i < documents.Length; i++)
        {
            // A file without length is not opened: it has no text, and may be a pipe, which would wait for ever.
            documents[i] = new(files[i].Id, new FileInfo(files[i].Path).Length == 0 ? "" : TextLines.ReadAll(files[i].Path, cancel));
            progress?.Report(new(i + 1, documents.Length, files[i].Id));
        }

        return documents;
    }
}
