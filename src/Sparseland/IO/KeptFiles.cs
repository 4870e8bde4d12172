namespace Sparseland.IO;

/// <summary>
/// Small files of a folder that are not understood here but belong to what was read from it, such as a generation_config.json: kept as they
/// were, so that a folder written from it has them again.
/// </summary>
internal sealed class KeptFiles
{
    private readonly Dictionary<string, byte[]> _files;

    /// <summary>Files by name.</summary>
    public KeptFiles(params IEnumerable<(string Name, byte[] Content)> files) => _files = files.ToDictionary(f => f.Name, f => f.Content, StringComparer.Ordinal);

    /// <summary>No file.</summary>
    public static KeptFiles None { get; } = new();

    /// <summary>Whether a file is among them.</summary>
    public bool Has(string name) => _files.ContainsKey(name);

    /// <summary>Reads those of the names that the folder has.</summary>
    public static KeptFiles Read(string folder, IEnumerable<string> names) =>
        new(names.Select(name => (name, Path: Path.Combine(folder, name))).Where(f => File.Exists(f.Path)).Select(f => (f.name, File.ReadAllBytes(f.Path))));

    /// <summary>Writes them; a file of the names that is not among them belongs to what stood in the folder before, and goes.</summary>
    public void Write(string folder, IEnumerable<string> names)
    {
        foreach (string name in names)
        {
            string path = Path.Combine(folder, name);
            if (_files.TryGetValue(name, out byte[]? content)) ReplacedFile.Write(path, stream => stream.Write(content));
            else File.Delete(path);
        }
    }
}
