using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.IO;
using Sparseland.Models.Language;
using Sparseland.Native;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// Prunes a decoder's folder of Hugging Face into another folder, with one block in memory at a time: the weights are mapped, each block is read, pruned and written in the
/// types, names and orientations that it had, and perplexity before and after is measured on the way, block by block, on the same windows.
/// </summary>
/// <remarks>
/// The folder holds a file per block, the index of them, masks in masks/, pruning.json (what was done) and the other files of the model; config.json comes last, so that a folder
/// that was cut off is not loaded. After each block the state is written down, and a call that was stopped or killed goes on from there.
/// </remarks>
public static class FolderPruning
{
    /// <summary>Name of the file that says what was done.</summary>
    public const string ReportName = "pruning.json";

    private const string Config = "config.json";

    /// <summary>Whether a folder holds a pruning that was stopped or failed, which <see cref="FolderPruningOptions.Resume"/> takes up.</summary>
    /// <param name="target">The folder for the pruned model.</param>
    public static bool CanResume(string target) => FolderPruningState.IsIn(target);

    /// <summary>Prunes a folder.</summary>
    /// <param name="source">Folder of the model; it is only read.</param>
    /// <param name="target">Folder for the pruned model: empty, missing, or one that a stopped call with the same options left (<see cref="FolderPruningOptions.Resume"/>).</param>
    /// <param name="options">Method, pattern, texts.</param>
    /// <param name="progress">Told after each block.</param>
    /// <param name="cancel">Checked between batches of texts and between layers.</param>
    /// <exception cref="ArgumentException">
    /// An option does not fit the model, the target holds something already, a weight or an input is not finite, or a changed weight is past the range of the file's type; the layer is named.
    /// </exception>
    /// <exception cref="IOException">A file cannot be read or written; no file is left half, and the call can be resumed.</exception>
    /// <exception cref="InvalidDataException">The source is no model's folder, or has compressed layers, or the state is of other options.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static FolderPruningResult Run(string source, string target, FolderPruningOptions options, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(source);
        ArgumentException.ThrowIfNullOrEmpty(target);
        ArgumentNullException.ThrowIfNull(options);
        Check(source, target, options);
        long start = Stopwatch.GetTimestamp();
        using StreamedFolder folder = StreamedFolder.Open(source);
        LanguageModel model = folder.Model;
        CheckTexts(model, options);

        // They are copied when all is done; a link to nothing is found now.
        foreach (string file in Companions(source)) File.OpenRead(file).Dispose();
        BlockwisePruning.CheckFits(model, options.Pattern, options.Blockwise.Skip);
        using IDisposable off = no_grad();
        using var state = new FolderPruningState(target, FolderPruningState.Identity(folder, options), model.Layers);
        bool resumed = options.Resume && state.TryLoad();
        if (!resumed && Directory.Exists(target) && Directory.EnumerateFileSystemEntries(target).Any())
        {
            throw new ArgumentException(
                $"'{target}' is not empty{(CanResume(target) ? "; it holds a pruning that was stopped, which can be resumed" : "")}. Give an empty folder.", nameof(target));
        }

        Directory.CreateDirectory(target);
        if (!resumed) Start(folder, target, options, state, cancel);
        for (int block = state.Done; block < model.Layers; block++)
        {
            PruneBlock(folder, block, options, state, cancel);
            FreedMemory.GiveBack();
            double[] gone = [.. state.Layers.Where(l => model.Layout.Block(l.Name) == block).Select(l => l.Sparsity)];
            progress?.Report(new(block + 1, model.Layers, gone.Length == 0 ? "stays dense" : FormattableString.Invariant($"{gone.Average():0.0%} removed")));
        }

        (WindowedLoss? before, WindowedLoss? after) = Measure(folder, options, state, cancel);
        string[] remarks = [.. Remarks(source, folder, state, before, after)];
        var result = new FolderPruningResult(state.Layers, state.Zeros, before, after, folder.Bytes, remarks, Stopwatch.GetElapsedTime(start).TotalSeconds);
        Finish(source, target, options, state, result);
        return result;
    }

    /// <summary>Before the first state is written down there is nothing to go on from: what was begun goes.</summary>
    private static void Start(StreamedFolder folder, string target, FolderPruningOptions options, FolderPruningState state, CancellationToken cancel)
    {
        try
        {
            Begin(folder, options, state, cancel);
        }
        catch
        {
            if (!CanResume(target)) File.Delete(state.Shard(-1));
            throw;
        }
    }

    private static void Begin(StreamedFolder folder, FolderPruningOptions options, FolderPruningState state, CancellationToken cancel)
    {
        folder.Fill(-1, cancel);
        using (DisposeScope scope = NewDisposeScope())
        {
            state.Calibration = options.Calibration is null || options.Method.Needs == InputKnowledge.None ? null : BlockStates.Of(folder.Model, options.Calibration, options.Blockwise.Batch, cancel);
            if (options.Evaluation is { } windows)
            {
                Tensor inputs = windows.narrow(1, 0, windows.shape[1] - 1);
                state.Dense = BlockStates.Of(folder.Model, inputs, options.Blockwise.Batch, cancel);
                state.Pruned = state.Dense.Copy();
            }

            SafeTensors.Save(state.Shard(-1), folder.Tensors(-1, new HashSet<string>()), s_format, cancellationToken: cancel);
        }

        folder.Release(-1);
        state.BlockDone(-1, [], new Dictionary<string, double>());
    }

    private static void PruneBlock(StreamedFolder folder, int block, FolderPruningOptions options, FolderPruningState state, CancellationToken cancel)
    {
        LanguageModel model = folder.Model;
        folder.Fill(block, cancel);
        using DisposeScope scope = NewDisposeScope();
        state.Dense?.Visit(model, block, keep: true, null, cancel);
        (string Name, Linear Layer)[] linears = [.. BlockwisePruning.Linears(model, block, options.Blockwise.Skip)];
        Dictionary<string, Tensor> tensors = [];
        (IReadOnlyList<PrunedLayer> layers, Dictionary<string, Tensor> masks) = BlockwisePruning.PruneBlock(model, block, linears, state.Calibration, options.Method, options.Pattern, options.Blockwise, found =>
        {
            // What is written may be rounded to the type of the file; what follows sees the same.
            tensors = folder.Tensors(block, found.Keys.ToHashSet());
            foreach ((string name, Linear layer) in linears)
            {
                Tensor stored = tensors[folder.StoredName($"{name}.weight")];
                layer.weight.copy_(model.Layout.Turned($"{name}.weight") ? stored.t() : stored);
            }
        }, cancel);
        state.Pruned?.Visit(model, block, keep: true, null, cancel);
        SafeTensors.Save(state.Shard(block), tensors, s_format, cancellationToken: cancel);
        Directory.CreateDirectory(Path.GetDirectoryName(state.MaskFile(block))!);
        SafeTensors.Save(state.MaskFile(block), masks, new Dictionary<string, string> { ["kind"] = MaskSet.FileKind }, cancellationToken: cancel);
        state.BlockDone(block, layers, Zeros(state.Shard(block), masks.Keys.Select(folder.StoredName)));
        folder.Release(block);
    }

    private static readonly Dictionary<string, string> s_format = new() { ["format"] = "pt" };

    /// <summary>Shares of zeros as they stand in a file.</summary>
    private static Dictionary<string, double> Zeros(string path, IEnumerable<string> names)
    {
        using SafeTensorsFile file = SafeTensors.Open(path);
        return names.ToDictionary(name => name, name =>
        {
            using Tensor stored = file.Load(name);
            return 1 - ((double)stored.count_nonzero().item<long>() / stored.numel());
        });
    }

    private static (WindowedLoss? Before, WindowedLoss? After) Measure(StreamedFolder folder, FolderPruningOptions options, FolderPruningState state, CancellationToken cancel)
    {
        if (state.Dense is null) return (null, null);
        folder.Fill(-1, cancel);
        Tensor windows = options.Evaluation!;
        (WindowedLoss, WindowedLoss) losses = (Loss(state.Dense), Loss(state.Pruned!));
        folder.Release(-1);
        return losses;

        WindowedLoss Loss(BlockStates states)
        {
            var all = new List<double>();
            double right = 0;
            long from = 0;
            int length = (int)windows.shape[1] - 1;
            foreach (Tensor batch in states.Batches)
            {
                for (long row = 0; row < batch.shape[0]; row++)
                {
                    cancel.ThrowIfCancellationRequested();
                    using DisposeScope scope = NewDisposeScope();
                    (double[] some, double correct) = WindowedLoss.OfLogits(folder.Model.Unembed(batch.narrow(0, row, 1)), windows.narrow(0, from++, 1).narrow(1, 1, length));
                    all.AddRange(some);
                    right += correct;
                }
            }

            return new(all, length, right / ((double)all.Count * length));
        }
    }

    private static IEnumerable<string> Remarks(string source, StreamedFolder folder, FolderPruningState state, WindowedLoss? before, WindowedLoss? after)
    {
        foreach ((string which, WindowedLoss? loss) in new[] { ("dense", before), ("pruned", after) })
        {
            if (loss is not null && !double.IsFinite(loss.Perplexity)) yield return $"The perplexity of the {which} model is not a finite number: its weights are not, or its activations overflow.";
        }

        if (File.Exists(Path.Combine(source, "adapter_config.json")))
            yield return "The folder holds an adapter (adapter_config.json), which was neither merged nor copied, since other libraries load the dense base model by it: merging it into the pruned weights fills their zeros. Merge first and prune then, or apply the masks again afterwards (MaskSet.LoadFolder, Apply).";
        else
            yield return "Merging an adapter (LoRA) into these weights later fills their zeros; apply the masks again afterwards (MaskSet.LoadFolder, Apply).";
        foreach ((string name, double zeros) in state.Zeros)
        {
            PrunedLayer? layer = state.Layers.FirstOrDefault(l => folder.StoredName($"{l.Name}.weight") == name);
            if (layer is not null && zeros > layer.Sparsity + 1e-9)
                yield return FormattableString.Invariant($"{name}: {zeros:0.####%} zeros in the file against {layer.Sparsity:0.####%} by its mask: kept weights that are zero, or too small for the type of the file.");
        }
    }

    private static void Finish(string source, string target, FolderPruningOptions options, FolderPruningState state, FolderPruningResult result)
    {
        var map = new JsonObject();
        long total = 0;
        foreach (string shard in state.Shards)
        {
            using SafeTensorsFile file = SafeTensors.Open(shard);
            foreach (SafeTensorInfo info in file.Tensors)
            {
                map[info.Name] = Path.GetFileName(shard);
                total += info.ByteLength;
            }
        }

        Write(Path.Combine(target, "model.safetensors.index.json"), new JsonObject { ["metadata"] = new JsonObject { ["total_size"] = total }, ["weight_map"] = map });
        foreach (string file in Companions(source))
        {
            byte[] content = File.ReadAllBytes(file);
            ReplacedFile.Write(Path.Combine(target, Path.GetFileName(file)), stream => stream.Write(content));
        }

        Write(Path.Combine(target, ReportName), new JsonObject
        {
            ["method"] = options.Method.Name, ["pattern"] = options.Pattern.ToString(), ["propagation"] = options.Blockwise.Propagation.ToString(), ["texts"] = options.Texts,
            ["calibration"] = options.Calibration is null ? null : new JsonArray([.. options.Calibration.shape.Select(n => (JsonNode)n)]),
            ["perplexity"] = result.Before is null ? null : new JsonObject
            {
                ["before"] = Number(result.Before.Perplexity), ["after"] = Number(result.After!.Perplexity), ["windows"] = result.Before.Losses.Count, ["tokens_per_window"] = result.Before.Length, ["stride"] = result.Before.Length,
            },
            ["sparsity"] = result.Sparsity,
            ["zeros"] = new JsonObject(result.ZerosSaved.Select(z => KeyValuePair.Create(z.Key, (JsonNode?)z.Value))),
        });
        byte[] config = File.ReadAllBytes(Path.Combine(source, Config));
        using ReplacedFile last = ReplacedFile.Begin(Path.Combine(target, Config), stream => stream.Write(config));

        // In this order: a kill in between leaves a whole model and a state, which can go; the other way round it would leave neither.
        last.Commit();
        state.Remove();
    }

    /// <summary>JSON has no number that is not finite.</summary>
    private static JsonNode? Number(double value) => double.IsFinite(value) ? value : null;

    private static IEnumerable<string> Companions(string source) => Directory.EnumerateFiles(source).Where(IsCompanion);

    /// <summary>An index (model.safetensors.index.json, tf_model.h5.index.json, ...) names files of weights that the target has not.</summary>
    private static bool IsCompanion(string path) =>
        Path.GetFileName(path) is var name && name != Config && name != ReportName && !name.Contains(".index.", StringComparison.Ordinal) && !name.StartsWith("pytorch_model", StringComparison.Ordinal)
        && !name.StartsWith("adapter_", StringComparison.Ordinal)
        && Path.GetExtension(name) is ".json" or ".txt" or ".model" or ".jinja";

    private static void Write(string path, JsonObject content)
    {
        byte[] bytes = JsonSerializer.SerializeToUtf8Bytes(content, new JsonSerializerOptions { WriteIndented = true });
        ReplacedFile.Write(path, stream => stream.Write(bytes));
    }

    private static void Check(string source, string target, FolderPruningOptions options)
    {
        ArgumentNullException.ThrowIfNull(options.Method, nameof(options));
        ArgumentNullException.ThrowIfNull(options.Pattern, nameof(options));
        ArgumentNullException.ThrowIfNull(options.Blockwise, nameof(options));
        options.Blockwise.Validate();
        if (options.Pattern is GlobalPattern) throw new ArgumentException("Blocks that are pruned one after another cannot compete with each other: take a share per layer or per row.", nameof(options));
        if (Path.GetFullPath(source).TrimEnd(Path.DirectorySeparatorChar) == Path.GetFullPath(target).TrimEnd(Path.DirectorySeparatorChar))
            throw new ArgumentException("The pruned model needs a folder of its own.", nameof(target));
        if (options.Method.Needs != InputKnowledge.None && options.Calibration is null) throw new ArgumentException($"{options.Method.Name} needs calibration texts.", nameof(options));
    }

    private static void CheckTexts(LanguageModel model, FolderPruningOptions options)
    {
        foreach ((string name, Tensor? ids, int behind) in new[] { (nameof(options.Calibration), options.Calibration, 0), (nameof(options.Evaluation), options.Evaluation, 1) })
        {
            if (ids is null) continue;
            if (ids.dim() != 2 || ids.dtype != ScalarType.Int64 || ids.shape[0] < 1 || ids.shape[1] < 1 + behind || ids.shape[1] > model.Context + behind)
            {
                throw new ArgumentException(
                    $"{name} must be token ids [sequences, {1 + behind} to {model.Context + behind}], int64, but is {ids.dtype} [{string.Join(", ", ids.shape)}].", nameof(options));
            }

            using Tensor least = ids.min(), most = ids.max();
            if (least.item<long>() < 0 || most.item<long>() >= model.Vocabulary)
                throw new ArgumentException($"{name} holds token ids from {least.item<long>()} to {most.item<long>()}; the model has those from 0 to {model.Vocabulary - 1}.", nameof(options));
        }
    }
}
