using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.IO;
using Sparseland.Kernels;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>The compressed layers in a language model's folder; <see cref="LanguageModelFolder"/> says the layout.</summary>
internal static class SparseLayers
{
    private const string Field = "sparse_layers", Bias = "bias";
    private static readonly JsonSerializerOptions s_layout = new() { WriteIndented = true, NewLine = "\n" };

    /// <summary>The config with a description of the compressed layers, or without the field where there are none.</summary>
    public static string Describe(string json, LanguageModel model)
    {
        JsonObject config = JsonNode.Parse(json)!.AsObject(), layers = [];
        foreach ((string name, SparseLinear layer) in In(model))
        {
            SparseDescription about = SparseMatrixFile.Describe(layer.Matrix);
            JsonObject entry = new() { ["format"] = about.Format, ["rows"] = about.Rows, ["columns"] = about.Columns };
            foreach ((string key, int value) in about.Settings) entry[key] = value;
            layers[name] = entry;
        }

        if (!config.Remove(Field) && layers.Count == 0) return json;
        if (layers.Count > 0) config[Field] = layers;
        return config.ToJsonString(s_layout) + "\n";
    }

    /// <summary>The arrays of all compressed layers by name; new tensors, but for biases.</summary>
    public static IEnumerable<KeyValuePair<string, Tensor>> Arrays(LanguageModel model) => In(model).SelectMany(layer => layer.Layer.Matrix.Arrays()
        .Select(array => KeyValuePair.Create($"{layer.Name}.{array.Key}", array.Value))
        .Concat(layer.Layer.Bias is { } bias ? [KeyValuePair.Create($"{layer.Name}.{Bias}", bias)] : []));

    /// <summary>Whether a folder's config describes compressed layers.</summary>
    public static bool AreIn(string? config) => config is not null && JsonNode.Parse(config)!.AsObject()[Field] is { } and not JsonObject { Count: 0 };

    /// <summary>Puts the compressed layers that a config describes into a model without weights.</summary>
    /// <returns>Names of the tensors that were read.</returns>
    /// <exception cref="InvalidDataException">A description that is broken, a layer that the model has not, of another shape, or arrays that do not fit.</exception>
    public static HashSet<string> Put(LanguageModel model, WeightFolder files)
    {
        var read = new HashSet<string>(StringComparer.Ordinal);
        if (model.ReadConfig is null || JsonNode.Parse(model.ReadConfig)!.AsObject()[Field] is not { } field) return read;
        string said = $"{Path.Combine(files.Folder, "config.json")}: \"{Field}\"";
        JsonObject layers = field as JsonObject ?? throw new InvalidDataException($"{said} must be an object.");
        Dictionary<string, LinearSlot> slots = LinearSlots.Of(model).ToDictionary(slot => slot.Name);
        foreach ((string name, JsonNode? node) in layers)
        {
            SparseDescription about = Parse(name, node, said);
            if (!slots.TryGetValue(name, out LinearSlot? slot) || slot.Module is not Linear linear) throw new InvalidDataException($"{said} has '{name}', which is no linear layer of this model.");
            if (linear.weight.shape is not [var rows, var columns] || (rows, columns) != (about.Rows, about.Columns))
                throw new InvalidDataException($"{said} says that '{name}' is [{about.Rows}, {about.Columns}]; the model's is [{string.Join(", ", linear.weight.shape)}].");
            IReadOnlyList<string> arrays = SparseMatrixFile.ArraysOf(about.Format) ?? throw new InvalidDataException($"{said} says that '{name}' is of the format '{about.Format}', which is not known; {SparseMatrixFile.Known}.");
            SparseMatrix matrix = SparseMatrixFile.Read(about, files.Holder($"{name}.{arrays[0]}"), name);
            using Tensor? bias = linear.bias is null ? null : files.Weight($"{name}.{Bias}", linear.bias.shape, $"rows of '{name}'");
            slot.Put(new SparseLinear(matrix, bias));

            // A bias of a layer that has none is not among those that were read: it would be left out without a word.
            read.UnionWith((bias is null ? arrays : arrays.Append(Bias)).Select(array => $"{name}.{array}"));
            linear.Dispose();
        }

        return read;
    }

    private static IEnumerable<(string Name, SparseLinear Layer)> In(LanguageModel model) =>
        LinearSlots.Of(model).Where(slot => slot.Module is SparseLinear).Select(slot => (slot.Name, (SparseLinear)slot.Module));

    private static SparseDescription Parse(string name, JsonNode? node, string said)
    {
        if (node is not JsonObject entry || entry["format"] is not JsonValue format || !format.TryGetValue(out string? text)) throw new InvalidDataException($"{said} says no format of '{name}'.");
        var numbers = new Dictionary<string, int>();
        foreach ((string key, JsonNode? value) in entry)
        {
            if (value is JsonValue number && number.TryGetValue(out int whole)) numbers[key] = whole;
        }

        int Size(string key) => numbers.Remove(key, out int size) ? size : throw new InvalidDataException($"{said} says no {key} of '{name}'.");
        return new(text, Size("rows"), Size("columns"), numbers);
    }
}
