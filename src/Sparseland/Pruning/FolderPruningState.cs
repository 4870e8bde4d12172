using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.IO;
using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>How far a <see cref="FolderPruning"/> has come; written down after each block.</summary>
internal sealed class FolderPruningState(string folder, string identity, int blocks) : IDisposable
{
    private const string States = "pruning-state.safetensors", Notes = "notes";
    private readonly List<PrunedLayer> _layers = [];
    private readonly Dictionary<string, double> _zeros = [];

    public BlockStates? Calibration { get; set; }

    public BlockStates? Dense { get; set; }

    public BlockStates? Pruned { get; set; }

    /// <summary>Blocks that are done.</summary>
    public int Done { get; private set; }

    public IReadOnlyList<PrunedLayer> Layers => _layers;

    public IReadOnlyDictionary<string, double> Zeros => _zeros;

    /// <summary>The files of the weights, in order.</summary>
    public IEnumerable<string> Shards => Enumerable.Range(-1, blocks + 1).Select(Shard);

    /// <summary>Whether a folder holds the state of a call that was stopped.</summary>
    public static bool IsIn(string folder) => File.Exists(Path.Combine(folder, States));

    /// <summary>All that decides what is written: a state is taken up only where it is the same.</summary>
    public static string Identity(StreamedFolder source, FolderPruningOptions options)
    {
        string skipped = string.Join(' ', Models.LinearSlots.Of(source.Model).Select(s => s.Name).Where(name => options.Blockwise.Skip?.Invoke(name) == true));
        return string.Create(CultureInfo.InvariantCulture,
            $"{source.Model.GetType().Name} {source.Fingerprint():x8}; {options.Method.Name}; {options.Method}; {options.Pattern}; {options.Blockwise.Propagation} {options.Blockwise.Batch}; {skipped}; {Hash(options.Calibration)}; {Hash(options.Evaluation)}");
    }

    /// <summary>The file of a block's weights, or with -1 of all others.</summary>
    public string Shard(int block) => Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"model-{block + 2:00000}-of-{blocks + 1:00000}.safetensors"));

    /// <summary>The file of a block's masks.</summary>
    public string MaskFile(int block) => Path.Combine(folder, "masks", string.Create(CultureInfo.InvariantCulture, $"block-{block:00000}.safetensors"));

    /// <summary>Writes down that a block is done.</summary>
    public void BlockDone(int block, IEnumerable<PrunedLayer> layers, IReadOnlyDictionary<string, double> zeros)
    {
        _layers.AddRange(layers);
        foreach ((string name, double share) in zeros) _zeros[name] = share;
        Done = block + 1;
        var tensors = new Dictionary<string, Tensor>();
        foreach ((string kind, BlockStates? states) in Kinds())
        {
            for (int i = 0; i < (states?.Batches.Count ?? 0); i++) tensors[string.Create(CultureInfo.InvariantCulture, $"{kind}.{i:00000}")] = states!.Batches[i];
        }

        var notes = new JsonObject
        {
            ["identity"] = identity, ["done"] = Done,
            ["layers"] = new JsonArray([.. _layers.Select(l => (JsonNode)new JsonObject { ["name"] = l.Name, ["kept"] = l.Kept, ["size"] = l.Size, ["error"] = double.IsFinite(l.RelativeError) ? l.RelativeError : null })]),
            ["zeros"] = new JsonObject(_zeros.Select(z => KeyValuePair.Create(z.Key, (JsonNode?)z.Value))),
        };

        // States and notes are one file: a kill leaves the older pair or the newer one.
        SafeTensors.Save(Path.Combine(folder, States), tensors, new Dictionary<string, string> { [Notes] = notes.ToJsonString() });
    }

    /// <summary>Takes up what was written down; false where there is nothing.</summary>
    /// <exception cref="InvalidDataException">It is of other options, or broken.</exception>
    public bool TryLoad()
    {
        string path = Path.Combine(folder, States);
        if (!File.Exists(path)) return false;
        using SafeTensorsFile file = SafeTensors.Open(path);
        try
        {
            JsonNode notes = JsonNode.Parse(file.Metadata.GetValueOrDefault(Notes) ?? "")!;
            if ((string?)notes["identity"] != identity)
                throw new InvalidDataException($"'{path}' is the state of another pruning: it was [{notes["identity"]}], this call is [{identity}]. Give the same options, or an empty folder.");
            Done = (int)notes["done"]!;
            foreach (JsonNode? layer in notes["layers"]!.AsArray())
                _layers.Add(new((string)layer!["name"]!, (long)layer["kept"]!, (long)layer["size"]!, (double?)layer["error"] ?? double.NaN));
            foreach ((string name, JsonNode? share) in notes["zeros"]!.AsObject()) _zeros[name] = (double)share!;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or NullReferenceException or FormatException)
        {
            throw new InvalidDataException($"'{path}' is no state of a pruning: {error.Message}", error);
        }

        if (Shards.Take(Done + 1).Concat(Enumerable.Range(0, Done).Select(MaskFile)).FirstOrDefault(file => !File.Exists(file)) is { } missing)
            throw new InvalidDataException($"'{path}' says that {Done} blocks are done, but '{missing}' is missing. Prune into an empty folder.");

        BlockStates? Read(string kind)
        {
            Tensor[] batches = [.. file.Names.Where(n => n.StartsWith(kind + ".", StringComparison.Ordinal)).Order(StringComparer.Ordinal).Select(n => file.Load(n))];
            return batches.Length == 0 ? null : BlockStates.Of(batches);
        }

        (Calibration, Dense, Pruned) = (Read("calibration"), Read("dense"), Read("pruned"));
        return true;
    }

    /// <summary>Removes what was written down, when all is done.</summary>
    public void Remove() => File.Delete(Path.Combine(folder, States));

    public void Dispose()
    {
        Calibration?.Dispose();
        Dense?.Dispose();
        Pruned?.Dispose();
    }

    private static string Hash(Tensor? ids)
    {
        if (ids is null) return "none";
        using Tensor flat = ids.cpu().contiguous();
        return string.Create(CultureInfo.InvariantCulture, $"[{string.Join(",", ids.shape)}] {Crc32C.Of(MemoryMarshal.AsBytes(TensorMemory.Read<long>(flat))):x8}");
    }

    private IEnumerable<(string Kind, BlockStates? States)> Kinds() => [("calibration", Calibration), ("dense", Dense), ("pruned", Pruned)];
}
