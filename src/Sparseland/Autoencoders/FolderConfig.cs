using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.IO;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>A config of a folder that remembers which of its keys were read, and the tensors beside it.</summary>
internal sealed class FolderConfig
{
    /// <summary>Name of the config in every folder of an autoencoder.</summary>
    public const string FileName = "cfg.json";

    private static readonly JsonDocumentOptions s_reading = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, AllowDuplicateProperties = false };

    private readonly JsonObject _root;
    private readonly string _path;
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);

    private FolderConfig(JsonObject root, string path) => (_root, _path) = (root, path);

    /// <summary>Reads cfg.json of a folder.</summary>
    /// <exception cref="FileNotFoundException">There is none; the message lists folders below that have one.</exception>
    /// <exception cref="InvalidDataException">It is no JSON object.</exception>
    public static FolderConfig Read(string folder) => Read(folder, FileName);

    /// <summary>Reads another file of a folder in the same way.</summary>
    public static FolderConfig Read(string folder, string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        string path = Path.Combine(folder, name);
        if (!File.Exists(path))
        {
            string[] below = Directory.Exists(folder)
                ? [.. Directory.EnumerateFiles(folder, FileName, new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 6, IgnoreInaccessible = true })
                    .Select(file => Path.GetRelativePath(folder, Path.GetDirectoryName(file)!)).Order(StringComparer.Ordinal).Take(20)]
                : [];
            throw new FileNotFoundException(
                below.Length == 0 ? $"'{folder}' has no cfg.json: it is no folder of an autoencoder." : $"'{folder}' has no cfg.json itself; below it there are autoencoders in {string.Join(", ", below)}.", path);
        }

        return new(Parse(path), path);
    }

    /// <summary>The object in a file. A key that stands twice is refused: which of its values counts would be a guess.</summary>
    /// <exception cref="InvalidDataException">It is no JSON object.</exception>
    public static JsonObject Parse(string path)
    {
        try
        {
            return JsonNode.Parse(File.ReadAllText(path), documentOptions: s_reading) as JsonObject ?? throw new InvalidDataException($"{path}: it is no JSON object.");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: it is no JSON that can be read: {e.Message}", e);
        }
    }

    /// <summary>Writes cfg.json of a folder.</summary>
    public static void Write(string folder, JsonObject config) => Write(folder, FileName, config);

    /// <summary>Writes another file of a folder in the same way.</summary>
    public static void Write(string folder, string name, JsonObject config)
    {
        using ReplacedFile file = Begin(folder, name, config);
        file.Commit();
    }

    /// <summary>Writes a file beside its place, so that it can take its name together with the weights.</summary>
    public static ReplacedFile Begin(string folder, string name, JsonObject config)
    {
        byte[] text = Encoding.UTF8.GetBytes(config.ToJsonString(new() { WriteIndented = true }) + "\n");
        return ReplacedFile.Begin(Path.Combine(folder, name), stream => stream.Write(text), text.Length);
    }

    /// <summary>An object within; empty where there is none. Keys read there count as read here.</summary>
    public FolderConfig Within(string name)
    {
        _used.Add(name);
        return _root[name] is { } node and not JsonObject ? throw Bad(name, node, "an object") : new(_root[name] as JsonObject ?? [], $"{_path}, {name}");
    }

    /// <summary>Reads without counting as read: what is said of a key, and kept for writing it again.</summary>
    public T Peek<T>(Func<FolderConfig, T> read) => read(new(_root, _path));

    /// <summary>The objects of a list; none where it is missing.</summary>
    public T[] Items<T>(string name, Func<FolderConfig, T> read)
    {
        _used.Add(name);
        if (_root[name] is not { } node) return [];
        if (node is not JsonArray list || list.Any(item => item is not JsonObject)) throw Bad(name, node, "a list of objects");
        return [.. list.Select((item, i) => read(new((JsonObject)item!, $"{_path}, {name}[{i}]")))];
    }

    /// <summary>What was not read.</summary>
    public JsonObject Unused()
    {
        var rest = new JsonObject();
        foreach ((string key, JsonNode? value) in _root)
        {
            if (!_used.Contains(key)) rest[key] = value?.DeepClone();
        }

        return rest;
    }

    public bool Has(string name) => _root[name] is not null;

    public string? Text(string name)
    {
        _used.Add(name);
        if (_root[name] is not { } node) return null;
        return node is JsonValue value && value.TryGetValue(out string? text) ? text : throw Bad(name, node, "a text");
    }

    public int? Integer(string name) => Whole(name) switch
    {
        null => null,
        < int.MinValue or > int.MaxValue => throw Bad(name, _root[name]!, "a whole number of 32 bits"),
        { } number => (int)number,
    };

    /// <summary>A whole number; also 32.0, as other languages write a number that is a float there.</summary>
    public long? Whole(string name)
    {
        _used.Add(name);
        if (_root[name] is not { } node) return null;
        if (node is JsonValue value)
        {
            if (value.TryGetValue(out long number)) return number;

            // Up to 2^53 a float64 says which whole number was meant.
            if (value.TryGetValue(out double real) && real == Math.Floor(real) && Math.Abs(real) <= 1L << 53) return (long)real;
        }

        throw Bad(name, node, "a whole number");
    }

    public double? Number(string name)
    {
        _used.Add(name);
        if (_root[name] is not { } node) return null;
        return node is JsonValue value && value.TryGetValue(out double number) ? number : throw Bad(name, node, "a number");
    }

    public bool Flag(string name, bool absent)
    {
        _used.Add(name);
        if (_root[name] is not { } node) return absent;
        return node is JsonValue value && value.TryGetValue(out bool flag) ? flag : throw Bad(name, node, "true or false");
    }

    /// <summary>A size, which must be there.</summary>
    public int Size(string name) => Integer(name) switch
    {
        null => throw new InvalidDataException($"{_path}: it has no {name}."),
        <= 0 and var size => throw new InvalidDataException($"{_path}: {name} is {size}; it must be positive."),
        { } size => size,
    };

    /// <summary>true, false or a text, as a text.</summary>
    public string? TextOrFlag(string name) => _root[name] is JsonValue value && value.TryGetValue(out bool flag) ? (Flag(name, flag) ? "true" : "false") : Text(name);

    public InvalidDataException Refused(string name, object? value, string known) => new($"{_path}: {name} is '{value}'; known is {known}.");

    /// <summary>A tensor of a file as float32, of a wanted shape.</summary>
    /// <param name="file">The file.</param>
    /// <param name="name">Its name.</param>
    /// <param name="shape">Wanted shape.</param>
    /// <param name="remarks">Told where the numbers were widened.</param>
    public static Tensor Weight(SafeTensorsFile file, string name, long[] shape, List<string> remarks)
    {
        if (!file.Tensors.Any(tensor => tensor.Name == name))
            throw new InvalidDataException($"{file.Path}: it has no tensor '{name}' of shape [{string.Join(", ", shape)}]; it has {string.Join(", ", file.Tensors.Select(tensor => tensor.Name))}.");
        Tensor tensor = file.Load(name);
        if (!tensor.shape.SequenceEqual(shape))
            throw new InvalidDataException($"{file.Path}: '{name}' is [{string.Join(", ", tensor.shape)}], where the config wants [{string.Join(", ", shape)}].");
        if (tensor.dtype == ScalarType.Float32) return Finite(file, name, tensor);
        if (!tensor.is_floating_point()) throw new InvalidDataException($"{file.Path}: '{name}' is {tensor.dtype}; weights are floating-point.");
        string remark = $"weights are {tensor.dtype} in the file and Float32 here";
        if (!remarks.Contains(remark)) remarks.Add(remark);
        return Finite(file, name, tensor.to(ScalarType.Float32));
    }

    private static Tensor Finite(SafeTensorsFile file, string name, Tensor tensor) =>
        TensorInput.IsFinite(tensor) ? tensor : throw new InvalidDataException($"{file.Path}: '{name}' holds a value that is not finite.");

    private InvalidDataException Bad(string name, JsonNode node, string kind) => new($"{_path}: {name} is {node.ToJsonString()}; it must be {kind}.");
}
