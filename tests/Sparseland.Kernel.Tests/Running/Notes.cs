using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Tests.Running;

/// <summary>Makes small notebooks in folders of their own, with a blank and letters beyond ASCII in the path.</summary>
internal static class Notes
{
    /// <summary>A cell that shows one claim in the form that front ends store.</summary>
    public static string ClaimCell(double measured, double target = 1, string kind = "Exact") => $$"""
        using System.Text.Json.Nodes;
        using Sparseland.Evaluation;
        using Sparseland.Notebooks.Hosting;
        var claims = new Claims("Test", "a test");
        claims.Check("one is one", ClaimKind.{{kind}}, "-", "a test", measured: {{measured}}, Relation.Equal, target: {{target}}, tolerance: 0);
        new MimeBundle(new Dictionary<string, JsonNode> { [Claims.MimeType] = JsonNode.Parse(claims.ToJson())!, ["text/plain"] = JsonValue.Create(claims.ToString()) })
        """;

    public static string Folder() => Directory.CreateTempSubdirectory("sparse länd ∑ ").FullName;

    public static string Write(string folder, string name, params string[] cells)
    {
        var path = Path.Combine(folder, name);
        var notebook = Notebook.Create(path);
        notebook.Add("markdown", "# Test ∑\n\n**Question.** Does it run?");
        foreach (var cell in cells)
            notebook.Add("code", cell);
        AtomicFile.Write(path, notebook.ToText());
        return path;
    }

    public static string Single(params string[] cells) => Write(Folder(), "a b ü.ipynb", cells);

    /// <summary>All text that the outputs of a cell show.</summary>
    public static string Shown(this NotebookCell cell) => string.Concat(cell.Outputs.Select(o => o["output_type"]!.GetValue<string>() switch
    {
        "stream" => NotebookJson.Lines(o["text"]),
        "error" => o["ename"]!.GetValue<string>() + ": " + o["evalue"]!.GetValue<string>(),
        _ => NotebookJson.Lines(o["data"]!["text/plain"]),
    }));
}
