using System.Text.Json;
using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>Fields of a config.json that was read and that are not understood here, as bos_token_id: a config that is written has them again.</summary>
internal static class KeptFields
{
    private static readonly JsonSerializerOptions s_layout = new() { WriteIndented = true, NewLine = "\n" };

    /// <summary>The config with the fields that only the one that was read has.</summary>
    /// <param name="json">The config as it is written here.</param>
    /// <param name="read">The config that was read; null for none.</param>
    /// <param name="stored">Type of the weights.</param>
    public static string Merge(string json, string? read, ScalarType stored)
    {
        const string Type = "torch_dtype", NewerType = "dtype";
        JsonObject fields = JsonNode.Parse(json)!.AsObject();
        fields[Type] = stored.ToString().ToLowerInvariant();
        if (read is not null)
        {
            foreach ((string name, JsonNode? value) in JsonNode.Parse(read)!.AsObject())
            {
                if (!fields.ContainsKey(name)) fields[name] = name == NewerType ? fields[Type]!.DeepClone() : value?.DeepClone();
            }
        }

        return fields.ToJsonString(s_layout) + "\n";
    }
}
