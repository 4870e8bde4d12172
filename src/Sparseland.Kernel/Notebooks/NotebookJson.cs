using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Sparseland.Kernel.Notebooks;

/// <summary>
/// Writes JSON as Jupyter's own tools do (Python's <c>json.dumps(indent=1, ensure_ascii=False)</c>), so that a file
/// which was read and written again has the same bytes.
/// </summary>
internal static class NotebookJson
{
    /// <summary>The text of a node with one space of indent per level, LF line ends and no final newline.</summary>
    public static string Write(JsonNode node)
    {
        var text = new StringBuilder();
        Write(node, 0, text);
        return text.ToString();
    }

    /// <summary>Adds or replaces a member; a new one goes to its place in alphabetical order, where Jupyter puts it.</summary>
    public static void Set(this JsonObject target, string name, JsonNode? value)
    {
        if (target.ContainsKey(name))
        {
            target[name] = value;
            return;
        }

        var index = 0;
        while (index < target.Count && string.CompareOrdinal(target.GetAt(index).Key, name) < 0)
            index++;
        target.Insert(index, name, value);
    }

    /// <summary>A string member, or null when it is absent or not a string.</summary>
    public static string? Text(this JsonNode? node, string name) =>
        node is JsonObject target && target[name] is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;

    /// <summary>A text that the format keeps as one string or as a list of lines; null when it is neither.</summary>
    public static string? Lines(JsonNode? node) => node switch
    {
        JsonValue value when value.GetValueKind() == JsonValueKind.String => value.GetValue<string>(),
        JsonArray lines when lines.All(l => l is JsonValue v && v.GetValueKind() == JsonValueKind.String) => string.Concat(lines.Select(l => l!.GetValue<string>())),
        _ => null,
    };

    /// <summary>A text as the list of its lines, each with its newline.</summary>
    public static JsonArray ToLines(string text)
    {
        var lines = new JsonArray();
        for (var start = 0; start < text.Length;)
        {
            var end = text.IndexOf('\n', start) is >= 0 and var at ? at + 1 : text.Length;
            lines.Add((JsonNode)text[start..end]);
            start = end;
        }

        return lines;
    }

    private static void Write(JsonNode? node, int level, StringBuilder text)
    {
        switch (node)
        {
            case null:
                text.Append("null");
                break;
            case JsonObject { Count: 0 }:
                text.Append("{}");
                break;
            case JsonObject members:
                var separator = "{\n";
                foreach (var (name, value) in members)
                {
                    text.Append(separator).Append(' ', level + 1);
                    WriteString(name, text);
                    text.Append(": ");
                    Write(value, level + 1, text);
                    separator = ",\n";
                }

                text.Append('\n').Append(' ', level).Append('}');
                break;
            case JsonArray { Count: 0 }:
                text.Append("[]");
                break;
            case JsonArray items:
                separator = "[\n";
                foreach (var item in items)
                {
                    text.Append(separator).Append(' ', level + 1);
                    Write(item, level + 1, text);
                    separator = ",\n";
                }

                text.Append('\n').Append(' ', level).Append(']');
                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.String:
                WriteString(value.GetValue<string>(), text);
                break;
            default:
                // Numbers keep the spelling of the file ("1e-05", "1.0").
                text.Append(node.ToJsonString());
                break;
        }
    }

    private static void WriteString(string value, StringBuilder text)
    {
        text.Append('"');
        foreach (var c in value)
        {
            _ = c switch
            {
                '"' => text.Append("\\\""),
                '\\' => text.Append("\\\\"),
                '\n' => text.Append("\\n"),
                '\r' => text.Append("\\r"),
                '\t' => text.Append("\\t"),
                '\b' => text.Append("\\b"),
                '\f' => text.Append("\\f"),
                < ' ' => text.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture)),
                _ => text.Append(c),
            };
        }

        text.Append('"');
    }
}
