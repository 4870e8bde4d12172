using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Sparseland.Kernel.Notebooks;
using Sparseland.Notebooks;

namespace Sparseland.Kernel.Running;

/// <summary>Makes outputs fit to store: no scripts, no random identities, no times, so that the same run gives the same file.</summary>
internal sealed partial class OutputCleaning
{
    private readonly Dictionary<string, string> identities = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Cleans the outputs of one cell; those that show nothing any more are left out.</summary>
    public IEnumerable<JsonObject> Clean(IEnumerable<JsonObject> outputs)
    {
        foreach (var output in outputs)
        {
            output.Remove("transient");
            if (output["data"] is JsonObject data && !CleanData(data))
                continue;
            yield return output;
        }
    }

    /// <summary>Takes scripts out of HTML.</summary>
    public static string WithoutScripts(string html) => Script().Replace(html, "");

    private bool CleanData(JsonObject data)
    {
        foreach (var type in data.Select(d => d.Key).Where(k => k is "text/html" or "image/svg+xml" or "application/javascript" or "text/javascript").ToList())
        {
            if (type.EndsWith("javascript", StringComparison.Ordinal))
            {
                data.Remove(type);
                continue;
            }

            if (NotebookJson.Lines(data[type]) is not { } text)
                continue;
            var clean = Guid().Replace(Figure().Replace(WithoutScripts(text.ReplaceLineEndings("\n")), ""), StableIdentity);
            if (string.IsNullOrWhiteSpace(clean))
                data.Remove(type);
            else
                data[type] = NotebookJson.ToLines(clean);
        }

        if (NotebookJson.Lines(data["text/html"]) is { } html && NotebookJson.Lines(data["text/plain"]) is { } plain)
        {
            (html, plain) = StoredTimes.Remove(html, plain);
            data["text/html"] = NotebookJson.ToLines(html);
            data["text/plain"] = NotebookJson.ToLines(plain);
        }

        foreach (var type in data.Select(d => d.Key).Where(k => k.StartsWith("text/", StringComparison.Ordinal)).ToList())
        {
            if (data[type] is JsonValue value && value.GetValueKind() == JsonValueKind.String)
                data[type] = NotebookJson.ToLines(value.GetValue<string>());
        }

        // Jupyter writes the forms in alphabetical order.
        foreach (var (name, node) in data.OrderBy(d => d.Key, StringComparer.Ordinal).ToList())
        {
            data.Remove(name);
            data[name] = node;
        }

        return data.Any(d => d.Value is JsonObject || NotebookJson.Lines(d.Value) is not { } text || !string.IsNullOrWhiteSpace(text));
    }

    private string StableIdentity(Match match)
    {
        var key = match.Value.Replace("-", "", StringComparison.Ordinal);
        if (!identities.TryGetValue(key, out var stable))
            identities.Add(key, stable = $"id-{identities.Count + 1}");
        return stable;
    }

    [GeneratedRegex(@"<script\b[^>]*>.*?</script\s*>|<script\b[^>]*/>", RegexOptions.Singleline | RegexOptions.IgnoreCase)]
    private static partial Regex Script();

    // A chart's figure stands beside its HTML already; without the script the copy in the attribute is dead weight.
    [GeneratedRegex(@"\sdata-sl-plotly=""[^""]*""")]
    private static partial Regex Figure();

    [GeneratedRegex(@"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b|\b[0-9a-f]{32}\b")]
    private static partial Regex Guid();
}
