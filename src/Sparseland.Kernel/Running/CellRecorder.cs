using System.Text;
using System.Text.Json.Nodes;
using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Running;

/// <summary>
/// Gathers what the cells of one run put out, in the form that the notebook format stores: each its own, also what its background work
/// writes while a later cell runs.
/// </summary>
internal sealed class CellRecorder
{
    private readonly Dictionary<int, CellRecording> cells = [];
    private readonly List<(string DisplayId, JsonObject Output)> displays = [];

    /// <summary>What a cell, by its number, has put out.</summary>
    public CellRecording Cell(int number)
    {
        if (!cells.TryGetValue(number, out var cell))
            cells.Add(number, cell = new CellRecording(number, displays));
        return cell;
    }

    /// <summary>A new form of an earlier display, in this cell or an earlier one.</summary>
    public void Update(JsonObject data, JsonObject metadata, string displayId)
    {
        foreach (var (_, output) in displays.Where(d => d.DisplayId == displayId))
        {
            output["data"] = data.DeepClone();
            output["metadata"] = metadata.DeepClone();
        }
    }
}

/// <summary>The outputs of one cell.</summary>
/// <param name="number">Its execution count.</param>
/// <param name="displays">Displays of the whole run, for updates.</param>
internal sealed class CellRecording(int number, List<(string DisplayId, JsonObject Output)> displays)
{
    private const int MostStreamCharacters = 1_000_000;

    private readonly StringBuilder streamText = new();
    private readonly List<JsonObject> outputs = [];
    private JsonObject? openStream;
    private int streamed;

    /// <summary>The outputs so far.</summary>
    public IReadOnlyList<JsonObject> Outputs
    {
        get
        {
            CloseStream();
            return outputs;
        }
    }

    /// <summary>Text on a standard stream; neighbours of the same stream become one output.</summary>
    public void Stream(string name, string text)
    {
        if (openStream is null || openStream.Text("name") != name)
        {
            CloseStream();
            openStream = new JsonObject { ["name"] = name, ["output_type"] = "stream", ["text"] = new JsonArray() };
            outputs.Add(openStream);
        }

        // A loop that prints for ever must not fill the memory.
        if (streamed > MostStreamCharacters)
            return;
        streamed += text.Length;
        streamText.Append(text);
        if (streamed > MostStreamCharacters)
            streamText.Append("\n... more output was left out\n");
    }

    /// <summary>A displayed value.</summary>
    public void Display(JsonObject data, JsonObject metadata, string displayId)
    {
        CloseStream();
        var output = new JsonObject { ["data"] = data, ["metadata"] = metadata, ["output_type"] = "display_data" };
        outputs.Add(output);
        displays.Add((displayId, output));
    }

    /// <summary>The value of the cell.</summary>
    public void Result(JsonObject data, JsonObject metadata)
    {
        CloseStream();
        outputs.Add(new JsonObject { ["data"] = data, ["execution_count"] = number, ["metadata"] = metadata, ["output_type"] = "execute_result" });
    }

    /// <summary>The error that ended the cell.</summary>
    public void Error(string name, string message, IEnumerable<string> traceback)
    {
        CloseStream();
        outputs.Add(new JsonObject
        {
            ["ename"] = name,
            ["evalue"] = message,
            ["output_type"] = "error",
            ["traceback"] = new JsonArray([.. traceback.Select(l => (JsonNode)l)]),
        });
    }

    private void CloseStream()
    {
        if (openStream is not null)
        {
            var text = Overwritten(streamText.ToString());
            if (text.Length == 0)
                outputs.Remove(openStream);
            else
                openStream["text"] = NotebookJson.ToLines(text);
        }

        streamText.Clear();
        openStream = null;
    }

    /// <summary>What a terminal shows at the end: a carriage return starts its line anew.</summary>
    private static string Overwritten(string text)
    {
        text = text.Replace("\r\n", "\n", StringComparison.Ordinal);
        return text.Contains('\r', StringComparison.Ordinal)
            ? string.Join('\n', text.Split('\n').Select(l => l.TrimEnd('\r') is var line && line.LastIndexOf('\r') is >= 0 and var at ? line[(at + 1)..] : line))
            : text;
    }
}
