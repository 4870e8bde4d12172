using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.Tensors;

namespace Sparseland.Attention.Prefill;

/// <summary>The shape of every head of a model. Read and written as the released configurations have it: for each block an object from head to [type, a, b, score].</summary>
/// <param name="Layers">Of each block the patterns of its heads.</param>
public sealed record HeadPatternMap(IReadOnlyList<IReadOnlyList<HeadPattern>> Layers)
{
    private const string Vertical = "vertical_and_slash", Stream = "stream_llm", Block = "block_sparse", Dense = "dense";

    /// <summary>How many heads have each shape.</summary>
    public IReadOnlyDictionary<string, int> Counts => Layers.SelectMany(l => l).GroupBy(p => p.GetType().Name).ToDictionary(g => g.Key, g => g.Count());

    /// <summary>The same pattern for all heads.</summary>
    /// <param name="pattern">The pattern.</param>
    /// <param name="layers">Blocks, positive.</param>
    /// <param name="heads">Query heads, positive.</param>
    public static HeadPatternMap All(HeadPattern pattern, int layers, int heads)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(layers);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(heads);
        return new([.. Enumerable.Repeat(Enumerable.Repeat(pattern, heads).ToArray(), layers)]);
    }

    /// <summary>As a JSON text.</summary>
    public string ToJson()
    {
        JsonArray Entry(HeadPattern pattern) => pattern switch
        {
            VerticalSlash p => new(Vertical, p.Columns, p.Slashes, 1.0),
            AShape p => new(Stream, p.Sinks, p.Window, 1.0),
            BlockTopK p => new(Block, p.Blocks, 1, 1.0),
            _ => new(Dense, 0, 0, 1.0),
        };
        var layers = new JsonArray();
        foreach (IReadOnlyList<HeadPattern> layer in Layers)
        {
            var heads = new JsonObject();
            for (int h = 0; h < layer.Count; h++) heads[h.ToString(System.Globalization.CultureInfo.InvariantCulture)] = Entry(layer[h]);
            layers.Add(heads);
        }

        return layers.ToJsonString();
    }

    /// <summary>Reads a JSON text.</summary>
    /// <param name="json">The text.</param>
    /// <exception cref="FormatException">It is no such map; the message says where.</exception>
    public static HeadPatternMap FromJson(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            return FromNode(JsonNode.Parse(json, documentOptions: new() { AllowDuplicateProperties = false }));
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            // The second: half a character in a name, which is found when it is read.
            throw new FormatException($"The map is no JSON: {error.Message}", error);
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private static HeadPatternMap FromNode(JsonNode? root)
    {
        if (root is not JsonArray { Count: > 0 } layers) throw new FormatException("The map must be a list with an object for each block.");
        List<IReadOnlyList<HeadPattern>> read = [];
        foreach (JsonNode? node in layers)
        {
            if (node is not JsonObject heads) throw new FormatException($"Block {read.Count} of the map is no object.");
            if (heads.Count == 0) throw new FormatException($"Block {read.Count} of the map has no head.");
            HeadPattern[] patterns = new HeadPattern[heads.Count];
            foreach ((string name, JsonNode? entry) in heads)
            {
                if (!int.TryParse(name, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out int head) || head < 0 || head >= patterns.Length || patterns[head] is not null)
                    throw new FormatException($"Block {read.Count} has the head '{name}'; with {patterns.Length} heads they are 0 to {patterns.Length - 1}, each once.");
                patterns[head] = Read(entry, $"block {read.Count}, head {head}");
            }

            if (read.Count > 0 && patterns.Length != read[0].Count) throw new FormatException($"Block {read.Count} has {patterns.Length} heads, block 0 {read[0].Count}.");
            read.Add(patterns);
        }

        return new(read);
    }

    private static HeadPattern Read(JsonNode? entry, string where)
    {
        if (entry is not JsonArray { Count: >= 3 } parts || parts[0]?.GetValueKind() != JsonValueKind.String) throw new FormatException($"The entry of {where} must be [type, a, b, score].");
        int Size(int i) => parts[i]?.GetValueKind() == JsonValueKind.Number && parts[i]!.GetValue<double>() is >= 0 and <= int.MaxValue and var size && size == Math.Floor(size)
            ? (int)size : throw new FormatException($"The entry of {where} has no size at {i}: a whole number from 0 on.");
        return parts[0]!.GetValue<string>() switch
        {
            Vertical => new VerticalSlash(Size(1), Size(2)),
            Stream => new AShape(Size(1), Size(2)),
            Block => new BlockTopK(Size(1)),
            Dense => new DenseHead(),
            string other => throw new FormatException($"The type of {where} is '{other}'; {Vertical}, {Stream}, {Block} and {Dense} are known."),
        };
    }
}
