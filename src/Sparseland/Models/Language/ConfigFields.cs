using System.Text.Json;

namespace Sparseland.Models.Language;

/// <summary>Reads the fields of a config.json and says which one is missing or not understood.</summary>
internal sealed class ConfigFields
{
    // A module is made of every block and an empty tensor of every size before a weight is looked at: a broken file must not take all memory.
    private static readonly Dictionary<string, int> s_most = new(StringComparer.Ordinal)
    {
        ["num_hidden_layers"] = 10_000, ["n_layer"] = 10_000, ["num_attention_heads"] = 10_000, ["n_head"] = 10_000, ["num_key_value_heads"] = 10_000, ["head_dim"] = 100_000,
        ["hidden_size"] = 1_000_000, ["n_embd"] = 1_000_000, ["intermediate_size"] = 10_000_000, ["n_inner"] = 10_000_000, ["vocab_size"] = 10_000_000,
    };

    // Readers take the first of two or the last, and one that writes the fields again can take neither.
    private static readonly JsonDocumentOptions s_reading = new() { AllowDuplicateProperties = false };

    private readonly JsonElement _root;

    // "rope_scaling." within that object.
    private readonly string _path;

    public ConfigFields(string json, params string[] types)
    {
        (_root, _path) = (Parse(json), "");
        if (!types.Contains(Type)) throw new InvalidDataException($"The config's model_type is '{Type}', not {string.Join(" or ", types)}.");
    }

    private ConfigFields(JsonElement root, string path) => (_root, _path) = (root, path);

    /// <summary>model_type, or "" where there is none.</summary>
    public string Type => TypeOf(_root);

    /// <summary>Whether a field is an object itself.</summary>
    public bool HasObjects => _root.EnumerateObject().Any(f => f.Value.ValueKind == JsonValueKind.Object);

    /// <summary>model_type of a config, or "" where it has none.</summary>
    public static string TypeOf(string json) => TypeOf(Parse(json));

    private static JsonElement Parse(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            using JsonDocument document = JsonDocument.Parse(json, s_reading);
            return document.RootElement.Clone();
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"The config is no JSON: {error.Message}", error);
        }
    }

    private static string TypeOf(JsonElement root) =>
        root.ValueKind == JsonValueKind.Object && root.TryGetProperty("model_type", out JsonElement type) && type.ValueKind == JsonValueKind.String ? type.GetString()! : "";

    public int Integer(string name, int? fallback = null) => OptionalInteger(name) ?? fallback ?? throw new InvalidDataException($"The config has no {_path}{name}.");

    public int? OptionalInteger(string name)
    {
        if (!TryGet(name, out JsonElement value)) return null;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt32(out int number)) throw new InvalidDataException($"The config's {_path}{name} is {value}; it must be a whole number.");
        return !s_most.TryGetValue(name, out int most) || number <= most ? number : throw new InvalidDataException($"The config's {_path}{name} is {value}; no model has more than {most}.");
    }

    public double Number(string name, double fallback)
    {
        if (!TryGet(name, out JsonElement value)) return fallback;
        return value.ValueKind == JsonValueKind.Number ? value.GetDouble() : throw new InvalidDataException($"The config's {_path}{name} is {value}; it must be a number.");
    }

    public bool Flag(string name, bool fallback)
    {
        if (!TryGet(name, out JsonElement value)) return fallback;
        return value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw new InvalidDataException($"The config's {_path}{name} is {value}; it must be true or false.");
    }

    public void Refuse(string name, params string[] known)
    {
        if (TryGet(name, out JsonElement value) && !known.Contains(value.ToString()))
            throw new InvalidDataException($"The config's {_path}{name} is '{value}'; only {string.Join(" or ", known.Select(k => $"'{k}'"))} is known.");
    }

    public void RefuseTrue(string name)
    {
        if (Flag(name, false)) throw new InvalidDataException($"The config's {_path}{name} is true; that is not known.");
    }

    public void RefuseFalse(string name)
    {
        if (!Flag(name, true)) throw new InvalidDataException($"The config's {_path}{name} is false; that is not known.");
    }

    /// <summary>Whether a field is there; null counts.</summary>
    public bool Has(string name) => _root.TryGetProperty(name, out _);

    /// <summary>A number that must be there.</summary>
    public double Number(string name) => NumberOrNull(name, null) ?? throw new InvalidDataException($"The config has no {_path}{name}.");

    /// <summary>A number; null where the file says null, the fallback where it says nothing.</summary>
    public double? NumberOrNull(string name, double? absent)
    {
        if (!Has(name)) return absent;
        return TryGet(name, out _) ? Number(name, 0) : null;
    }

    public string? Text(string name)
    {
        if (!TryGet(name, out JsonElement value)) return null;
        return value.ValueKind == JsonValueKind.String ? value.GetString() : throw new InvalidDataException($"The config's {_path}{name} is {value}; it must be a text.");
    }

    /// <summary>A list of texts, or null.</summary>
    public string[]? Strings(string name)
    {
        if (!TryGet(name, out JsonElement value)) return null;
        if (value.ValueKind != JsonValueKind.Array || value.EnumerateArray().Any(v => v.ValueKind != JsonValueKind.String)) throw new InvalidDataException($"The config's {_path}{name} is {value}; it must be a list of texts.");
        return [.. value.EnumerateArray().Select(v => v.GetString()!)];
    }

    /// <summary>Positions that are scaled beyond the trained context, in the older field or the newer one; null for plain ones.</summary>
    public RotaryScaling? ScaledPositions()
    {
        RotaryScaling? Of(string name)
        {
            if (!TryGet(name, out JsonElement rope)) return null;
            if (rope.ValueKind != JsonValueKind.Object) throw new InvalidDataException($"The config's {name} is {rope}; it must be an object.");
            return RotaryScalingFile.Read(new(rope, name + "."), typeNeeded: name == "rope_scaling");
        }

        RotaryScaling? older = Of("rope_scaling"), newer = Of("rope_parameters");
        if (older is not null && newer is not null && older != newer) throw new InvalidDataException("The config's rope_scaling and rope_parameters contradict each other.");
        return older ?? newer;
    }

    /// <summary>Refuses scaled positions by name.</summary>
    public void RefuseScaledPositions()
    {
        if (ScaledPositions() is { } scaling) throw new InvalidDataException($"The config asks for {scaling.Kind.ToString().ToLowerInvariant()} scaled positions; only unscaled ones are known of model_type '{Type}'.");
    }

    /// <summary>The object as text, for messages.</summary>
    public override string ToString() => $"{_path.TrimEnd('.')} {_root.GetRawText()}";

    /// <summary>A number of the newer rope_parameters, or the fallback.</summary>
    public double Rope(string name, double fallback)
    {
        if (!TryGet("rope_parameters", out JsonElement rope) || rope.ValueKind != JsonValueKind.Object || !rope.TryGetProperty(name, out JsonElement value) || value.ValueKind == JsonValueKind.Null) return fallback;
        return value.ValueKind == JsonValueKind.Number ? value.GetDouble() : throw new InvalidDataException($"The config's {_path}{name} is {value}; it must be a number.");
    }

    public void RefuseObject(string name)
    {
        if (TryGet(name, out JsonElement value) && value.ValueKind == JsonValueKind.Object) throw new InvalidDataException($"The config asks for {name} {value.GetRawText()}; that is not known.");
    }

    /// <summary>The config, its own rules checked.</summary>
    public T Checked<T>(T config, Action<T> validate)
    {
        try
        {
            validate(config);
            return config;
        }
        catch (ArgumentException error)
        {
            throw new InvalidDataException($"The config does not fit together: {error.Message}", error);
        }
    }

    private bool TryGet(string name, out JsonElement value) => _root.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;
}
