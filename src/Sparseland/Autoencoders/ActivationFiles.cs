using System.Text.Json.Nodes;
using Sparseland.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>Settings of <see cref="ActivationFiles"/>.</summary>
public sealed record ActivationFilesOptions
{
    /// <summary>Name of the tensor of activations. Null, the default, for "activations", or the only floating-point tensor where there is one.</summary>
    public string? Tensor { get; init; }

    /// <summary>Name of a tensor of gradients of the same shape. Null, the default, for those that <see cref="ActivationFiles.Write"/> wrote, otherwise none.</summary>
    public string? Gradients { get; init; }

    /// <summary>
    /// Rows of a window: neighbours that are read at once. Null, the default, for what was written, otherwise 256 or all where there are fewer; what fills no window at the
    /// end is left out.
    /// </summary>
    public int? TokensPerWindow { get; init; }
}

/// <summary>
/// Activations from safetensors: one file, or a folder of them in the order of their names (shards). Each has a tensor [tokens, d] or [texts, tokens, d] of float16,
/// bfloat16, float32 or float64, read as float32 where and when it is needed; nothing but the windows in use is in memory.
/// </summary>
public sealed partial class ActivationFiles : IActivationSource, IDisposable
{
    private const string DefaultTensor = "activations", DefaultGradients = "gradients";
    private const int UsualWindow = 256;
    private static readonly SafeTensorType[] s_types = [SafeTensorType.F16, SafeTensorType.BF16, SafeTensorType.F32, SafeTensorType.F64];
    private readonly Shard[] _shards;

    private ActivationFiles(Shard[] shards, int window, string description)
    {
        (_shards, TokensPerWindow, Description) = (shards, window, description);
        Tokens = shards[^1].First + shards[^1].Rows;
        Windows = checked((int)(Tokens / window));
        (Width, HasGradients) = ((int)shards[0].Width, shards[0].Gradients is not null);
    }

    /// <inheritdoc/>
    public string Description { get; }

    /// <inheritdoc/>
    public int Width { get; }

    /// <summary>Rows of all files.</summary>
    public long Tokens { get; }

    /// <inheritdoc/>
    public int Windows { get; }

    /// <inheritdoc/>
    public int TokensPerWindow { get; }

    /// <inheritdoc/>
    public bool HasGradients { get; }

    /// <summary>Opens files; their headers are checked, and no activation is read yet.</summary>
    /// <param name="path">A file, or a folder of files.</param>
    /// <param name="options">Settings; null, the default, for their defaults.</param>
    /// <exception cref="IOException">There is no such file or folder, or a shard that the manifest names is missing.</exception>
    /// <exception cref="InvalidDataException">A file is cut short or no safetensors file, has no such tensor, or one of another width or type; the message names file and tensor. Or the writing of the set was stopped.</exception>
    /// <exception cref="ArgumentException">A window is not positive, or longer than all rows.</exception>
    public static ActivationFiles Open(string path, ActivationFilesOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        options ??= new();
        if (options.TokensPerWindow is <= 0) throw new ArgumentOutOfRangeException(nameof(options), options.TokensPerWindow, $"{nameof(options.TokensPerWindow)} must be positive.");
        Manifest? manifest = Directory.Exists(path) ? Manifest.Read(path) : null;
        string[] names = manifest?.Files ?? FilesOf(path);
        var shards = new List<Shard>();
        try
        {
            long first = 0;
            for (int i = 0; i < names.Length; i++)
            {
                if (!File.Exists(names[i])) throw new FileNotFoundException($"'{names[i]}' is missing: the manifest of '{path}' names it.", names[i]);
                shards.Add(Shard.Open(names[i], first, options.Tensor ?? (manifest is null ? null : DefaultTensor), options.Gradients ?? (manifest is { Gradients: true } ? DefaultGradients : null)));
                Shard shard = shards[^1];
                if (shard.Width != shards[0].Width)
                    throw new InvalidDataException($"'{shard.File.Path}': '{shard.Tensor}' has width {shard.Width}, but that of '{shards[0].File.Path}' {shards[0].Width}; all files must agree.");
                if (manifest is not null && (shard.Rows != manifest.Tokens[i] || shard.Width != manifest.Width))
                    throw new InvalidDataException($"'{shard.File.Path}' has {shard.Rows} rows of width {shard.Width}, but the manifest says {manifest.Tokens[i]} of {manifest.Width}: it is of another set.");
                first += shard.Rows;
            }

            int window = options.TokensPerWindow ?? manifest?.TokensPerWindow ?? (int)Math.Min(UsualWindow, first);
            if (window > first || first == 0) throw new ArgumentException($"A window of {window} rows is longer than the {first} of '{path}'.", nameof(options));
            string name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)));
            return new([.. shards], window, $"{manifest?.Source ?? $"'{shards[0].Tensor}' of {name}"}; {first} tokens in {shards.Count} {(shards.Count == 1 ? "file" : "files")}, windows of {window}{(shards[0].Gradients is null ? "" : ", with gradients")}");
        }
        catch
        {
            foreach (Shard shard in shards) shard.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidDataException">A value is not finite, or a file has been cut; the message names file and row.</exception>
    public ActivationRows Read(ReadOnlySpan<int> windows, CancellationToken cancel)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        long[] shape = [(long)windows.Length * TokensPerWindow, Width];
        Tensor rows = empty(shape);
        Tensor? gradients = HasGradients ? empty(shape) : null;
        foreach (int window in windows)
        {
            if (window < 0 || window >= Windows) throw new ArgumentOutOfRangeException(nameof(windows), window, $"Windows run from 0 to {Windows - 1}.");
        }

        for (int w = 0, next; w < windows.Length; w = next)
        {
            cancel.ThrowIfCancellationRequested();

            // Windows that follow each other are read together: one of a token alone costs as much as hundreds.
            for (next = w + 1; next < windows.Length && windows[next] == windows[next - 1] + 1 && (long)(next - w) * TokensPerWindow < TokensAtOnce;) next++;
            long from = (long)windows[w] * TokensPerWindow, end = from + ((long)(next - w) * TokensPerWindow), to = (long)w * TokensPerWindow;
            for (int s = Array.FindLastIndex(_shards, shard => shard.First <= from); from < end; s++)
            {
                Shard shard = _shards[s];
                long count = Math.Min(end, shard.First + shard.Rows) - from;
                shard.Copy(shard.Tensor, from, count, rows.narrow(0, to, count));
                if (gradients is not null) shard.Copy(shard.Gradients!, from, count, gradients.narrow(0, to, count));
                (from, to) = (from + count, to + count);
            }
        }

        return new(rows.MoveToOuterDisposeScope(), gradients?.MoveToOuterDisposeScope());
    }

    /// <summary>Closes the files.</summary>
    public void Dispose()
    {
        foreach (Shard shard in _shards) shard.Dispose();
    }

    private static string[] FilesOf(string path)
    {
        if (File.Exists(path)) return [path];
        if (!Directory.Exists(path)) throw new FileNotFoundException($"There is no file or folder '{path}'.", path);
        string[] files = [.. Directory.GetFiles(path, "*.safetensors").Order(StringComparer.Ordinal)];
        return files.Length > 0 ? files : throw new FileNotFoundException($"'{path}' holds no .safetensors file.", path);
    }

    /// <summary>One file, and where its rows stand among all.</summary>
    private sealed record Shard(SafeTensorsFile File, string Tensor, string? Gradients, long First, long Rows, long Width) : IDisposable
    {
        public static Shard Open(string path, long first, string? tensor, string? gradients)
        {
            SafeTensorsFile file = SafeTensors.Open(path);
            try
            {
                SafeTensorInfo info = Find(file, tensor);
                if (gradients is not null)
                {
                    SafeTensorInfo other = Find(file, gradients);
                    if (!other.Shape.SequenceEqual(info.Shape)) throw new InvalidDataException($"'{path}': '{gradients}' is [{string.Join(", ", other.Shape)}], but '{info.Name}' [{string.Join(", ", info.Shape)}]; they must agree.");
                }

                return new(file, info.Name, gradients, first, info.Shape.SkipLast(1).Aggregate(1L, (product, length) => product * length), info.Shape[^1]);
            }
            catch
            {
                file.Dispose();
                throw;
            }
        }

        public void Copy(string name, long from, long count, Tensor target)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor rows = File.LoadRows(name, from - First, count).to(ScalarType.Float32);
            if (FiniteRows.FirstBad(rows) is { } bad) throw new InvalidDataException($"'{File.Path}': '{name}' holds a value that is not finite, in row {from - First + bad}.");
            target.copy_(rows);
        }

        public void Dispose() => File.Dispose();

        private static SafeTensorInfo Find(SafeTensorsFile file, string? name)
        {
            string has = $"it has {string.Join(", ", file.Tensors)}";
            SafeTensorInfo[] floating = [.. file.Tensors.Where(tensor => s_types.Contains(tensor.Type) && tensor.Shape.Count is 2 or 3)];
            SafeTensorInfo? info = file.Tensors.FirstOrDefault(tensor => tensor.Name == (name ?? DefaultTensor)) ?? (name is null && floating.Length == 1 ? floating[0] : null);
            if (info is null) throw new InvalidDataException(name is null ? $"'{file.Path}' has no tensor '{DefaultTensor}' and not just one that could be meant; {has}. Name one." : $"'{file.Path}' has no tensor '{name}'; {has}.");
            if (!s_types.Contains(info.Type) || info.Shape.Count is not (2 or 3) || info.Shape[^1] == 0)
                throw new InvalidDataException($"'{file.Path}': {info}; activations are [tokens, d] or [texts, tokens, d] of float16, bfloat16, float32 or float64.");
            return info;
        }
    }

    /// <summary>What was written, in the file activations.json of the folder.</summary>
    private sealed record Manifest(string Source, int Width, int TokensPerWindow, bool Gradients, string[] Files, long[] Tokens)
    {
        public const string FileName = "activations.json", Format = "sparseland-activations-1";

        /// <summary>Reads the manifest of a folder; null where it has none.</summary>
        public static Manifest? Read(string folder)
        {
            if (!File.Exists(Path.Combine(folder, FileName))) return null;
            FolderConfig config = FolderConfig.Read(folder, FileName);
            if (config.Text("format") is var format && format != Format) throw config.Refused("format", format, Format);
            (string, long)[] shards = config.Items("shards", shard => (Path.Combine(folder, Path.GetFileName(shard.Text("file") ?? throw shard.Refused("file", "missing", "the name of a file"))), (long)shard.Size("tokens")));
            if (shards.Length == 0) throw new InvalidDataException($"'{folder}' holds a set that is not whole: the call that wrote it was stopped, or is not done. Write it again.");
            return new(config.Text("source") ?? "", config.Size("width"), config.Size("tokens_per_window"), config.Flag("gradients", absent: false), [.. shards.Select(s => s.Item1)], [.. shards.Select(s => s.Item2)]);
        }

        public void Write(string folder)
        {
            var shards = new JsonArray([.. Files.Select((file, i) => (JsonNode)new JsonObject { ["file"] = Path.GetFileName(file), ["tokens"] = Tokens[i] })]);
            FolderConfig.Write(folder, FileName, new()
            {
                ["format"] = Format, ["source"] = Source, ["width"] = Width, ["tokens"] = Tokens.Sum(), ["tokens_per_window"] = TokensPerWindow, ["gradients"] = Gradients, ["shards"] = shards,
            });
        }
    }
}
