using System.Text.Json.Nodes;

namespace Sparseland.Models.Language;

/// <summary>Scaled positions as a config.json has them, in rope_scaling or the newer rope_parameters.</summary>
internal static class RotaryScalingFile
{
    private static readonly string[] s_types = ["linear", "dynamic", "yarn", "llama3"];

    /// <summary>Reads the field that asks for scaling, or null where none does.</summary>
    /// <param name="fields">The object.</param>
    /// <param name="typeNeeded">Whether an object without a type is refused; rope_parameters without one means plain positions.</param>
    public static RotaryScaling? Read(ConfigFields fields, bool typeNeeded)
    {
        string? type = fields.Text("rope_type") ?? fields.Text("type");
        if (type == "default" || (type is null && !typeNeeded && !fields.HasObjects)) return null;
        int kind = Array.IndexOf(s_types, type);
        if (kind < 0) throw new InvalidDataException($"The config asks for {fields}; plain positions ('default') and {string.Join(", ", s_types.Select(t => $"'{t}'"))} are known.");
        var scaling = new RotaryScaling
        {
            Kind = (RotaryScalingKind)kind, Factor = fields.Number("factor"), Original = fields.OptionalInteger("original_max_position_embeddings"),
        };
        return scaling.Kind switch
        {
            RotaryScalingKind.Llama3 => scaling with
            {
                Original = fields.Integer("original_max_position_embeddings"), LowFrequency = fields.Number("low_freq_factor"), HighFrequency = fields.Number("high_freq_factor"),
            },
            RotaryScalingKind.Yarn => scaling with
            {
                BetaFast = fields.Number("beta_fast", 32), BetaSlow = fields.Number("beta_slow", 1), AttentionFactor = fields.NumberOrNull("attention_factor", null),
                MScale = fields.NumberOrNull("mscale", null), MScaleAllDim = fields.NumberOrNull("mscale_all_dim", null), Truncate = fields.Flag("truncate", true),
            },
            _ => scaling,
        };
    }

    public static JsonObject Write(RotaryScaling scaling)
    {
        var json = new JsonObject { ["rope_type"] = s_types[(int)scaling.Kind], ["factor"] = scaling.Factor };
        if (scaling.Original is { } original) json["original_max_position_embeddings"] = original;
        if (scaling.Kind == RotaryScalingKind.Llama3) (json["low_freq_factor"], json["high_freq_factor"]) = (scaling.LowFrequency, scaling.HighFrequency);
        if (scaling.Kind != RotaryScalingKind.Yarn) return json;
        (json["beta_fast"], json["beta_slow"]) = (scaling.BetaFast, scaling.BetaSlow);
        foreach ((string name, double? value) in new[] { ("attention_factor", scaling.AttentionFactor), ("mscale", scaling.MScale), ("mscale_all_dim", scaling.MScaleAllDim) })
        {
            if (value is { } number) json[name] = number;
        }

        if (!scaling.Truncate) json["truncate"] = false;
        return json;
    }
}
