using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Sparseland.Kernel.Notebooks;

/// <summary>
/// A notebook file: Jupyter's format 4.5 (https://nbformat.readthedocs.io/en/latest/format_description.html), read and
/// written without loss. Files of 4.0 to 4.4 are brought to 4.5 when they are read; .dib files are read as well.
/// </summary>
public sealed class Notebook
{
    /// <summary>The kernel name that C# notebooks carry.</summary>
    public const string KernelName = ".net-csharp";

    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly JsonObject root;

    private Notebook(JsonObject root, string name)
    {
        this.root = root;
        Name = name;
    }

    /// <summary>The file's path as it was given, for messages.</summary>
    public string Name { get; }

    /// <summary>The cells in their order.</summary>
    public IReadOnlyList<NotebookCell> Cells => [.. ((JsonArray)root["cells"]!).Select(c => new NotebookCell((JsonObject)c!))];

    /// <summary>The code cells in their order.</summary>
    public IEnumerable<NotebookCell> CodeCells => Cells.Where(c => c.IsCode);

    /// <summary>The notebook's metadata.</summary>
    public JsonObject Metadata => (JsonObject)root["metadata"]!;

    /// <summary>The first heading of the markdown cells, or the file's name.</summary>
    public string Title => Cells.Where(c => c.Type == "markdown")
        .SelectMany(c => c.Source.Split('\n'))
        .FirstOrDefault(l => l.StartsWith("# ", StringComparison.Ordinal))?[2..].Trim() ?? Path.GetFileNameWithoutExtension(Name);

    /// <summary>An empty C# notebook.</summary>
    /// <param name="name">Its path, for messages.</param>
    public static Notebook Create(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return new(
            new JsonObject
            {
                ["cells"] = new JsonArray(),
                ["metadata"] = new JsonObject
                {
                    ["kernelspec"] = new JsonObject { ["display_name"] = ".NET (C#)", ["language"] = "C#", ["name"] = KernelName },
                    ["language_info"] = new JsonObject { ["name"] = "C#" },
                },
                ["nbformat"] = 4,
                ["nbformat_minor"] = 5,
            },
            name);
    }

    /// <summary>Reads a .ipynb or .dib file.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file breaks a rule of the format; the message names file, cell and rule.</exception>
    public static Notebook Load(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        if (!File.Exists(path))
            throw new FileNotFoundException($"The notebook '{path}' does not exist.", path);
        string text;
        try
        {
            text = File.ReadAllText(path, Utf8);
        }
        catch (DecoderFallbackException e)
        {
            throw new InvalidDataException($"{path}: a notebook is UTF-8 text; byte {e.Index} is not.", e);
        }

        return Path.GetExtension(path).Equals(".dib", StringComparison.OrdinalIgnoreCase) ? DibFormat.Parse(text, path) : Parse(text, path);
    }

    /// <summary>Reads the text of a .ipynb file.</summary>
    /// <param name="text">JSON.</param>
    /// <param name="name">The file's path, for messages.</param>
    /// <exception cref="InvalidDataException">The text breaks a rule of the format.</exception>
    public static Notebook Parse(string text, string name)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(name);
        JsonNode? node;
        try
        {
            node = JsonNode.Parse(text, documentOptions: new JsonDocumentOptions { MaxDepth = 256, AllowDuplicateProperties = false });
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{name}: not valid JSON: {e.Message}", e);
        }

        if (node is not JsonObject root)
            throw new InvalidDataException($"{name}: a notebook is a JSON object; this is {node?.GetValueKind().ToString() ?? "null"}.");
        CheckText(root, name);
        Check(root, name);
        return new Notebook(root, name);
    }

    /// <summary>Adds a cell at the end.</summary>
    /// <param name="type">"code", "markdown" or "raw".</param>
    /// <param name="source">Its text.</param>
    /// <param name="id">Its identity; null makes one from the position and the text.</param>
    public NotebookCell Add(string type, string source, string? id = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (type is not ("code" or "markdown" or "raw"))
            throw new ArgumentException($"A cell is 'code', 'markdown' or 'raw', not '{type}'.", nameof(type));
        var cells = (JsonArray)root["cells"]!;
        var taken = Cells.Select(c => c.Id).ToHashSet(StringComparer.Ordinal);
        var json = new JsonObject { ["cell_type"] = type };
        if (type == "code")
            json["execution_count"] = null;
        json["id"] = id is not null && taken.Add(id) ? id : MakeId(cells.Count, source, taken);
        json["metadata"] = new JsonObject();
        if (type == "code")
            json["outputs"] = new JsonArray();
        json["source"] = NotebookJson.ToLines(source);
        cells.Add((JsonNode)json);
        return new NotebookCell(json);
    }

    /// <summary>Makes sure that the notebook says it is C#.</summary>
    /// <exception cref="InvalidDataException">It names no kernel, or one of another language.</exception>
    public void RequireCSharp()
    {
        var kernel = Metadata["kernelspec"].Text("name");
        var language = Metadata["kernelspec"].Text("language") ?? Metadata["language_info"].Text("name");
        if (kernel is null && language is null)
        {
            throw new InvalidDataException(
                $"{Name}: metadata.kernelspec is missing, so the language is not known. A C# notebook has " +
                $"\"kernelspec\": {{\"display_name\": \".NET (C#)\", \"language\": \"C#\", \"name\": \"{KernelName}\"}} in its metadata.");
        }

        var known = kernel is KernelName or "sparseland-csharp" || language is "C#" or "csharp" || language == "polyglot-notebook" && kernel?.Contains("csharp", StringComparison.Ordinal) == true;
        if (!known)
            throw new InvalidDataException($"{Name}: the notebook is for the kernel '{kernel ?? "?"}' (language '{language ?? "?"}'); only C# notebooks can be run here.");
    }

    /// <summary>The file's text: indent 1, nothing escaped that need not be, final newline.</summary>
    public string ToText() => NotebookJson.Write(root) + "\n";

    /// <summary>An independent copy.</summary>
    public Notebook Clone() => new((JsonObject)root.DeepClone(), Name);

    /// <summary>JSON may hold half of a surrogate pair as an escape; such a text can be neither read nor written.</summary>
    private static void CheckText(JsonObject root, string name)
    {
        try
        {
            Read(root);
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidDataException($"{name}: a text holds half of a surrogate pair (\\ud800 to \\udfff), which is no Unicode: {e.Message}", e);
        }

        static void Read(JsonNode? node)
        {
            if (node is JsonObject pairs)
            {
                foreach (var (_, value) in pairs)
                    Read(value);
            }
            else if (node is JsonArray items)
            {
                foreach (var item in items)
                    Read(item);
            }
            else if (node is JsonValue value && value.GetValueKind() == JsonValueKind.String)
            {
                _ = value.GetValue<string>();
            }
        }
    }

    private static void Check(JsonObject root, string name)
    {
        if (root["nbformat"] is not JsonValue formatNode || !formatNode.TryGetValue<int>(out var format))
            throw new InvalidDataException($"{name}: 'nbformat' (an integer) is missing; this is not a notebook file.");
        if (format != 4)
            throw new InvalidDataException($"{name}: notebook format {format} is not supported, only 4; convert the file with 'jupyter nbconvert --to notebook'.");
        if (root["nbformat_minor"] is not JsonValue minorNode || !minorNode.TryGetValue<int>(out var minor) || minor < 0)
            throw new InvalidDataException($"{name}: 'nbformat_minor' (an integer) is missing.");
        if (root["cells"] is not JsonArray cells)
            throw new InvalidDataException($"{name}: 'cells' (a list) is missing.");
        if (!root.ContainsKey("metadata"))
            root.Set("metadata", new JsonObject());
        if (root["metadata"] is not JsonObject)
            throw new InvalidDataException($"{name}: 'metadata' must be an object.");
        var taken = new HashSet<string>(StringComparer.Ordinal);
        var withoutId = new List<(JsonObject Cell, int Index)>();
        for (var i = 0; i < cells.Count; i++)
        {
            CheckCell(cells[i], $"{name}, cell {i + 1}");
            var cell = (JsonObject)cells[i]!;
            if (cell.Text("id") is not { Length: > 0 } id || !taken.Add(id))
                withoutId.Add((cell, i));
        }

        // Made only after all given ones are known; the same file always gets the same ids.
        foreach (var (cell, index) in withoutId)
            cell.Set("id", MakeId(index, NotebookJson.Lines(cell["source"])!, taken));
        if (minor < 5)
            root["nbformat_minor"] = 5;
    }

    private static void CheckCell(JsonNode? node, string place)
    {
        if (node is not JsonObject cell)
            throw new InvalidDataException($"{place}: a cell is a JSON object.");
        var type = cell.Text("cell_type") ?? throw new InvalidDataException($"{place}: 'cell_type' is missing.");
        if (type is not ("code" or "markdown" or "raw"))
            throw new InvalidDataException($"{place}: 'cell_type' is 'code', 'markdown' or 'raw', not '{type}'.");
        if (!cell.ContainsKey("source"))
            throw new InvalidDataException($"{place}: 'source' is missing.");
        if (NotebookJson.Lines(cell["source"]) is null)
            throw new InvalidDataException($"{place}: 'source' must be a string or a list of strings.");
        if (!cell.ContainsKey("metadata"))
            cell.Set("metadata", new JsonObject());
        if (cell["metadata"] is not JsonObject)
            throw new InvalidDataException($"{place}: 'metadata' must be an object.");
        if (type != "code")
            return;
        if (!cell.ContainsKey("outputs"))
            cell.Set("outputs", new JsonArray());
        if (!cell.ContainsKey("execution_count"))
            cell.Set("execution_count", null);
        if (cell["outputs"] is not JsonArray outputs)
            throw new InvalidDataException($"{place}: 'outputs' must be a list.");
        for (var i = 0; i < outputs.Count; i++)
        {
            if (outputs[i] is not JsonObject output || output.Text("output_type") is not ("stream" or "display_data" or "execute_result" or "error"))
                throw new InvalidDataException($"{place}, output {i + 1}: 'output_type' must be 'stream', 'display_data', 'execute_result' or 'error'.");
        }
    }

    private static string MakeId(int index, string source, HashSet<string> taken)
    {
        for (var attempt = 0; ; attempt++)
        {
            var id = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{index}.{attempt}\n{source}")))[..8];
            if (taken.Add(id))
                return id;
        }
    }
}
