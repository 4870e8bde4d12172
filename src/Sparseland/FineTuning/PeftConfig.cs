using System.Text.Json;
using System.Text.RegularExpressions;
using Sparseland.Tensors;

namespace Sparseland.FineTuning;

/// <summary>
/// What an adapter_config.json of the PEFT library says of a LoRA adapter: rank and alpha, also by module, and which modules have one. Fields that change what is computed and are not known here are
/// refused by name.
/// </summary>
public sealed record PeftConfig
{
    /// <summary>r: rank of every module that <see cref="RankPattern"/> does not name. Default 8.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>lora_alpha: the update is multiplied by alpha / r, or by alpha / sqrt(r). Default 8.</summary>
    public double Alpha { get; init; } = 8;

    /// <summary>use_rslora: alpha / sqrt(r) in place of alpha / r (Kalajdzievski 2023). Default false.</summary>
    public bool RankStabilized { get; init; }

    /// <summary>target_modules as a list: names, or the ends of names after a dot. Null where <see cref="TargetExpression"/> says it.</summary>
    public IReadOnlyList<string>? TargetModules { get; init; }

    /// <summary>target_modules as one text: a regular expression of a whole name, or "all-linear".</summary>
    public string? TargetExpression { get; init; }

    /// <summary>rank_pattern: ranks by name, or by an expression of the end of one.</summary>
    public IReadOnlyDictionary<string, int> RankPattern { get; init; } = new Dictionary<string, int>();

    /// <summary>alpha_pattern: alphas likewise.</summary>
    public IReadOnlyDictionary<string, double> AlphaPattern { get; init; } = new Dictionary<string, double>();

    /// <summary>modules_to_save: modules that are stored whole, trained beside the adapter.</summary>
    public IReadOnlyList<string> ModulesToSave { get; init; } = [];

    /// <summary>
    /// fan_in_fan_out: the base layers store their weights as [in, out], as GPT-2's do. The two factors of an adapter have the same shapes either way, and layers here are [out, in] always, so nothing is turned.
    /// </summary>
    public bool FanInFanOut { get; init; }

    /// <summary>base_model_name_or_path, for the reader.</summary>
    public string BaseModel { get; init; } = "";

    /// <summary>Rank of a module.</summary>
    /// <param name="module">Its name.</param>
    public int RankOf(string module) => Pattern(RankPattern, module) is { } key ? RankPattern[key] : Rank;

    /// <summary>What the update of a module is multiplied by.</summary>
    /// <param name="module">Its name.</param>
    public double ScaleOf(string module)
    {
        double alpha = Pattern(AlphaPattern, module) is { } key ? AlphaPattern[key] : Alpha;
        return alpha / (RankStabilized ? Math.Sqrt(RankOf(module)) : RankOf(module));
    }

    /// <summary>Whether a linear layer is to have an adapter.</summary>
    /// <param name="module">Its name.</param>
    public bool Targets(string module)
    {
        ArgumentNullException.ThrowIfNull(module);
        if (TargetModules is { } list) return list.Any(t => module == t || module.EndsWith("." + t, StringComparison.Ordinal));
        return TargetExpression is not { } expression || expression == "all-linear" || Matches($"^(?:{expression})$", module);
    }

    /// <summary>Reads an adapter_config.json.</summary>
    /// <param name="json">Its text.</param>
    /// <exception cref="InvalidDataException">It is no JSON, of another kind of adapter, or asks for something that is not known here; the field is named.</exception>
    public static PeftConfig Parse(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            return Of(document.RootElement);
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"The adapter's config is no JSON: {error.Message}", error);
        }
    }

    /// <summary>As an adapter_config.json.</summary>
    public string ToJson()
    {
        var fields = new Dictionary<string, object?>
        {
            ["peft_type"] = "LORA", ["task_type"] = "CAUSAL_LM", ["base_model_name_or_path"] = BaseModel, ["r"] = Rank, ["lora_alpha"] = Alpha, ["lora_dropout"] = 0.0, ["bias"] = "none",
            ["use_rslora"] = RankStabilized, ["fan_in_fan_out"] = FanInFanOut, ["inference_mode"] = true, ["target_modules"] = (object?)TargetModules ?? TargetExpression,
            ["rank_pattern"] = RankPattern, ["alpha_pattern"] = AlphaPattern, ["modules_to_save"] = ModulesToSave.Count == 0 ? null : ModulesToSave,
        };
        return JsonSerializer.Serialize(fields, s_indented);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true };

    private static PeftConfig Of(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object) throw new InvalidDataException("The adapter's config is no object.");
        JsonElement? Field(string name) => root.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;
        InvalidDataException Wrong(string name, JsonElement value, string rule) => new($"The adapter's {name} is {value}; it must be {rule}.");
        string Text(string name, string fallback) => Field(name) is not { } v ? fallback : v.ValueKind == JsonValueKind.String ? v.GetString()! : throw Wrong(name, v, "a text");
        bool Flag(string name) => Field(name) is { } v && (v.ValueKind is JsonValueKind.True or JsonValueKind.False ? v.GetBoolean() : throw Wrong(name, v, "true or false"));
        int RankIn(string name, JsonElement v) => v.ValueKind == JsonValueKind.Number && v.TryGetInt32(out int n) && n >= 1 ? n : throw Wrong(name, v, "a whole number of at least 1");
        double AlphaIn(string name, JsonElement v) => v.ValueKind == JsonValueKind.Number && double.IsFinite(v.GetDouble()) && v.GetDouble() != 0 ? v.GetDouble() : throw Wrong(name, v, "a number other than 0");
        string[] List(string name, JsonElement v) =>
            v.ValueKind == JsonValueKind.Array && v.EnumerateArray().All(e => e.ValueKind == JsonValueKind.String) ? [.. v.EnumerateArray().Select(e => e.GetString()!)] : throw Wrong(name, v, "a list of names");
        Dictionary<string, T> Map<T>(string name, Func<string, JsonElement, T> of)
        {
            var map = new Dictionary<string, T>();
            if (Field(name) is not { } v) return map;
            if (v.ValueKind != JsonValueKind.Object) throw Wrong(name, v, "an object");
            foreach (JsonProperty p in v.EnumerateObject())
            {
                if (!map.TryAdd(p.Name, of($"{name}[{p.Name}]", p.Value))) throw new InvalidDataException($"The adapter's {name} has '{p.Name}' twice.");
            }

            return map;
        }

        string type = Text("peft_type", "");
        if (type != "LORA") throw new InvalidDataException($"The adapter's peft_type is '{type}'; only 'LORA' is known.");
        foreach (string name in (string[])["use_dora", "use_qalora", "lora_bias"])
        {
            if (Flag(name)) throw new InvalidDataException($"The adapter has {name}, which is not known here.");
        }

        string bias = Text("bias", "none");
        if (bias != "none") throw new InvalidDataException($"The adapter's bias is '{bias}': it has trained biases, which are not known here; only 'none' is.");
        foreach (string name in (string[])["alora_invocation_tokens", "trainable_token_indices", "target_parameters", "layer_replication", "megatron_config", "eva_config", "corda_config", "arrow_config"])
        {
            if (Field(name) is { } v && !(v.ValueKind is JsonValueKind.Array && v.GetArrayLength() == 0)) throw new InvalidDataException($"The adapter has {name}, which is not known here.");
        }

        // The others begin with factors that are taken out of the base weights, so that their update belongs to a base that is not the model's.
        if (Field("init_lora_weights") is { } start)
        {
            string how = start.ValueKind switch
            {
                JsonValueKind.String => start.GetString()!,
                JsonValueKind.True or JsonValueKind.False => "",
                _ => throw Wrong("init_lora_weights", start, "true, false or a name"),
            };
            if (how is not ("" or "gaussian" or "orthogonal" or "eva"))
            {
                throw new InvalidDataException(
                    $"The adapter's init_lora_weights is '{how}', which changes the base weights that it was trained on (PiSSA, OLoRA, LoftQ and their like); on the model's own weights all its layers would be wrong. " +
                    "Convert it to a plain LoRA adapter first, which has init_lora_weights true.");
            }
        }

        JsonElement? targets = Field("target_modules");
        var config = new PeftConfig
        {
            Rank = Field("r") is { } r ? RankIn("r", r) : 8, Alpha = Field("lora_alpha") is { } alpha ? AlphaIn("lora_alpha", alpha) : 8, RankStabilized = Flag("use_rslora"), FanInFanOut = Flag("fan_in_fan_out"),
            TargetModules = targets is { ValueKind: not JsonValueKind.String } list ? List("target_modules", list) : null,
            TargetExpression = targets is { ValueKind: JsonValueKind.String } one ? one.GetString() : null,
            RankPattern = Map("rank_pattern", RankIn), AlphaPattern = Map("alpha_pattern", AlphaIn),
            ModulesToSave = Field("modules_to_save") is { } saved ? List("modules_to_save", saved) : [], BaseModel = Text("base_model_name_or_path", ""),
        };
        foreach (string expression in config.RankPattern.Keys.Concat(config.AlphaPattern.Keys).Concat(config.TargetExpression is { } t && t != "all-linear" ? [t] : [])) Matches(expression, "");
        return config;
    }

    private static string? Pattern<T>(IReadOnlyDictionary<string, T> patterns, string module)
    {
        ArgumentNullException.ThrowIfNull(module);
        return patterns.Keys.FirstOrDefault(key => Matches($"^(?:.*\\.)?(?:{key})$", module));
    }

    private static bool Matches(string expression, string module)
    {
        try
        {
            // A file's expression may be made to take for ever; one that needs more than a second for a name is refused.
            return Regex.IsMatch(module, expression, RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1));
        }
        catch (Exception error) when (error is RegexParseException or RegexMatchTimeoutException)
        {
            throw new InvalidDataException($"The adapter's expression '{expression}' cannot be used: {error.Message}", error);
        }
    }
}
