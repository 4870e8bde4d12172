using System.Text.Json;

namespace Sparseland.Models.Language;

/// <summary>Reads the fields of a config.json and says which one is missing or not understood.</summary>
internal sealed class ConfigFields
{
    private readonly JsonElement _root;

    public ConfigFields(string json, params string[] types)
    {
        _root = Parse(json);
        string type = TypeOf(_root);
        if (!types.Contains(type)) throw new InvalidDataException($"The config's model_type is '{type}', not {string.Join(" or ", types)}.");
    }

    /// <summary>model_type of a config, or "" where it has none.</summary>
    public static string TypeOf(string json) => TypeOf(Parse(json));

    private static JsonElement Parse(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            return document.RootElement.Clone();
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"The config is no JSON: {error.Message}", error);
        }
    }

    private static string TypeOf(JsonElement root) =>
        root.ValueKind == JsonValueKind.Object && root.TryGetProperty("model_type", out JsonElement type) && type.ValueKind == JsonValueKind.String ? type.GetString()! : "";

    public int Integer(string name, int? fallback = null) => OptionalInteger(name) ?? fallback ?? throw new InvalidDataException($"The config has no {name}.");

    public int? OptionalInteger(string name)
    {
        if (!TryGet(name, out JsonElement value)) return null;
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) ? number : throw new InvalidDataException($"The config's {name} is {value}; it must be a whole number.");
    }

    public double Number(string name, double fallback)
    {
        if (!TryGet(name, out JsonElement value)) return fallback;
        return value.ValueKind == JsonValueKind.Number ? value.GetDouble() : throw new InvalidDataException($"The config's {name} is {value}; it must be a number.");
    }

    public bool Flag(string name, bool fallback)
    {
        if (!TryGet(name, out JsonElement value)) return fallback;
        return value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw new InvalidDataException($"The config's {name} is {value}; it must be true or false.");
    }

    public void Refuse(string name, params string[] known)
    {
        if (TryGet(name, out JsonElement value) && !known.Contains(value.ToString()))
            throw new InvalidDataException($"The config's {name} is '{value}'; only {string.Join(" or ", known.Select(k => $"'{k}'"))} is known.");
    }

    public void RefuseTrue(string name)
    {
        if (Flag(name, false)) throw new InvalidDataException($"The config's {name} is true; that is not known.");
    }

    public void RefuseFalse(string name)
    {
        if (!Flag(name, true)) throw new InvalidDataException($"The config's {name} is false; that is not known.");
    }

    /// <summary>Positions that are scaled beyond the trained context, in the older field or the newer one.</summary>
    public void RefuseScaledPositions()
    {
        foreach (string name in new[] { "rope_scaling", "rope_parameters" })
        {
            if (!TryGet(name, out JsonElement rope)) continue;
            string type = "";
            if (rope.ValueKind == JsonValueKind.Object)
            {
                foreach (string field in new[] { "rope_type", "type" })
                {
                    if (type.Length == 0 && rope.TryGetProperty(field, out JsonElement value)) type = value.ToString();
                }
            }

            if (type != "default") throw new InvalidDataException($"The config asks for {name} {rope.GetRawText()}; only unscaled positions are known.");
        }
    }

    /// <summary>A number of the newer rope_parameters, or the fallback.</summary>
    public double Rope(string name, double fallback)
    {
        if (!TryGet("rope_parameters", out JsonElement rope) || rope.ValueKind != JsonValueKind.Object || !rope.TryGetProperty(name, out JsonElement value) || value.ValueKind == JsonValueKind.Null) return fallback;
        return value.ValueKind == JsonValueKind.Number ? value.GetDouble() : throw new InvalidDataException($"The config's {name} is {value}; it must be a number.");
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
