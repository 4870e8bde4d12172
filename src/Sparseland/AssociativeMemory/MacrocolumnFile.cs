using System.Runtime.InteropServices;
using System.Text.Json;
using Sparseland.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.AssociativeMemory;

/// <summary>
/// A trained macrocolumn as a safetensors file: the weights as 64-bit words [sources, words per row], column c in bit c % 64 of word
/// c / 64, the options as JSON in the metadata. A loaded memory goes on exactly as the saved one would have.
/// </summary>
public static class MacrocolumnFile
{
    private const string FormatKey = "format", FormatName = "sparseland.macrocolumn.1", OptionsKey = "options", StepsKey = "steps", ReadoutKey = "readout";

    /// <summary>Writes a memory, and its labels if it has any.</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="mac">The memory.</param>
    /// <param name="readout">Its labels, or null.</param>
    /// <exception cref="ArgumentException">The readout belongs to another shape.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Save(string path, Macrocolumn mac, LabelReadout? readout = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(mac);
        MacOptions options = mac.Options;
        if (readout is not null && (readout.Cells != options.Cells || readout.K != options.K))
            throw new ArgumentException($"The readout has {readout.Cells} cells in modules of {readout.K}, the memory {options.Cells} in modules of {options.K}.", nameof(readout));
        using var scope = NewDisposeScope();
        var tensors = new Dictionary<string, Tensor>();
        foreach ((string name, Projection? projection) in mac.Projections()) Put(tensors, name, projection);
        var metadata = new Dictionary<string, string>
        {
            [FormatKey] = FormatName,
            [OptionsKey] = JsonSerializer.Serialize(options),
            [StepsKey] = JsonSerializer.Serialize(mac.Steps),
        };
        if (readout is not null)
        {
            tensors["readout.counts"] = tensor(readout.Counts).reshape(readout.Cells, readout.Classes);
            tensors["readout.classes"] = tensor(readout.ClassCounts.ToArray());
            metadata[ReadoutKey] = JsonSerializer.Serialize(readout.Smoothing);
        }

        SafeTensors.Save(path, tensors, metadata);
    }

    /// <summary>Reads a memory.</summary>
    /// <param name="path">A file that <see cref="Save"/> wrote.</param>
    /// <exception cref="InvalidDataException">It is not such a file, or its parts contradict each other; the message says where.</exception>
    /// <exception cref="IOException">The file cannot be opened.</exception>
    public static (Macrocolumn Mac, LabelReadout? Readout) Load(string path)
    {
        using SafeTensorsFile file = SafeTensors.Open(path);
        using var scope = NewDisposeScope();
        if (!file.Metadata.TryGetValue(FormatKey, out string? format) || format != FormatName)
            throw Bad(path, $"its format is '{format}', not '{FormatName}'");
        var options = Parse<MacOptions>(file, OptionsKey);
        int steps = Parse<int>(file, StepsKey);
        if (steps < 0) throw Bad(path, $"it has {steps} steps");
        Macrocolumn mac;
        try
        {
            mac = new Macrocolumn(options);
        }
        catch (ArgumentException e)
        {
            throw new InvalidDataException($"{path}: {e.Message}", e);
        }

        mac.Restore(steps, file.Names.Contains("h.weights"));
        foreach ((string name, Projection? projection) in mac.Projections())
        {
            if (projection is not null) Take(file, name, projection);
        }

        return (mac, file.Metadata.ContainsKey(ReadoutKey) ? Readout(file, options) : null);
    }

    private static void Put(Dictionary<string, Tensor> tensors, string name, Projection? projection)
    {
        if (projection is null) return;
        int words = Words(projection);
        var packed = new long[(long)projection.Sources * words];
        for (int row = 0; row < projection.Sources; row++)
            MemoryMarshal.Cast<ulong, long>(projection.Weights.Row(row)[..words]).CopyTo(packed.AsSpan(row * words));
        tensors[$"{name}.weights"] = tensor(packed).reshape(projection.Sources, words);
        if (projection.Forgetting is not { } forgetting) return;
        tensors[$"{name}.seen"] = tensor(forgetting.State.Seen).reshape(projection.Sources, projection.Cells);
        tensors[$"{name}.level"] = tensor(forgetting.State.Level).reshape(projection.Sources, projection.Cells);
    }

    private static void Take(SafeTensorsFile file, string name, Projection projection)
    {
        int words = Words(projection), last = projection.Cells % 64;
        ulong[] packed = MemoryMarshal.Cast<long, ulong>(Values<long>(file, $"{name}.weights", ScalarType.Int64, projection.Sources, words)).ToArray();
        for (int row = 0; last != 0 && row < projection.Sources; row++)
        {
            if (packed[(row * words) + words - 1] >> last != 0) throw Bad(file.Path, $"row {row} of {name}.weights has ones beyond column {projection.Cells}");
        }

        projection.Restore(packed, words);
        projection.Forgetting?.Restore(
            Values<int>(file, $"{name}.seen", ScalarType.Int32, projection.Sources, projection.Cells),
            Values<byte>(file, $"{name}.level", ScalarType.Byte, projection.Sources, projection.Cells));
    }

    private static LabelReadout Readout(SafeTensorsFile file, MacOptions options)
    {
        double smoothing = Parse<double>(file, ReadoutKey);
        if (!file.Names.Contains("readout.classes")) throw Bad(file.Path, "it has no tensor readout.classes");
        int classes = (int)file.Info("readout.classes").Shape[0];
        if (classes < 2 || !(smoothing > 0) || !double.IsFinite(smoothing)) throw Bad(file.Path, $"its readout has {classes} classes and smoothing {smoothing}");
        var readout = new LabelReadout(options.Cells, options.K, classes, smoothing);
        readout.Restore(Values<long>(file, "readout.counts", ScalarType.Int64, options.Cells, classes), Values<long>(file, "readout.classes", ScalarType.Int64, classes));
        return readout;
    }

    private static T[] Values<T>(SafeTensorsFile file, string name, ScalarType type, params long[] shape)
        where T : unmanaged
    {
        if (!file.Names.Contains(name)) throw Bad(file.Path, $"it has no tensor {name}");
        Tensor values = file.Load(name);
        if (values.dtype != type || !values.shape.SequenceEqual(shape))
        {
            throw Bad(file.Path, $"{name} is {values.dtype} [{string.Join(", ", values.shape)}], not {type} [{string.Join(", ", shape)}]");
        }

        return values.data<T>().ToArray();
    }

    private static T Parse<T>(SafeTensorsFile file, string key)
    {
        if (!file.Metadata.TryGetValue(key, out string? text)) throw Bad(file.Path, $"its metadata has no '{key}'");
        try
        {
            return JsonSerializer.Deserialize<T>(text) ?? throw Bad(file.Path, $"its '{key}' is null");
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw new InvalidDataException($"{file.Path}: its '{key}' cannot be read: {e.Message}", e);
        }
    }

    private static int Words(Projection projection) => (projection.Cells + 63) / 64;

    private static InvalidDataException Bad(string path, string reason) => new($"{path}: {reason}.");
}
