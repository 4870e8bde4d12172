using System.Text.Json.Nodes;

namespace Sparseland.Kernel.Notebooks;

/// <summary>One cell of a <see cref="Notebook"/>: a view of its JSON, so that nothing unknown is lost.</summary>
public sealed class NotebookCell
{
    internal NotebookCell(JsonObject json) => Json = json;

    /// <summary>The cell as the file has it.</summary>
    public JsonObject Json { get; }

    /// <summary>"code", "markdown" or "raw".</summary>
    public string Type => Json.Text("cell_type")!;

    /// <summary>Whether the cell holds code to run.</summary>
    public bool IsCode => Type == "code";

    /// <summary>The cell's identity, unique in its notebook.</summary>
    public string Id => Json.Text("id")!;

    /// <summary>The cell's text.</summary>
    public string Source
    {
        get => NotebookJson.Lines(Json["source"])!;
        set => Json.Set("source", NotebookJson.ToLines(value));
    }

    /// <summary>The cell's metadata.</summary>
    public JsonObject Metadata => (JsonObject)Json["metadata"]!;

    /// <summary>Whether the cell's metadata hold a tag.</summary>
    public bool HasTag(string tag) =>
        Metadata["tags"] is JsonArray tags && tags.Any(t => t is JsonValue value && value.TryGetValue<string>(out var text) && text == tag);

    /// <summary>The outputs of a code cell; empty for others.</summary>
    public IReadOnlyList<JsonObject> Outputs => Json["outputs"] is JsonArray outputs ? [.. outputs.Cast<JsonObject>()] : [];

    /// <summary>Replaces the outputs of a code cell.</summary>
    /// <param name="executionCount">Number of the execution, or null for a cell that was not run.</param>
    /// <param name="outputs">Outputs of the notebook format.</param>
    /// <exception cref="InvalidOperationException">The cell is not a code cell.</exception>
    public void SetOutputs(int? executionCount, IEnumerable<JsonObject> outputs)
    {
        ArgumentNullException.ThrowIfNull(outputs);
        if (!IsCode)
            throw new InvalidOperationException($"Cell '{Id}' is a {Type} cell; only code cells have outputs.");
        Json.Set("execution_count", executionCount is { } count ? JsonValue.Create(count) : null);
        Json.Set("outputs", new JsonArray([.. outputs]));
    }
}
