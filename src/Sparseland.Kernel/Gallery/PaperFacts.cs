using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Gallery;

/// <summary>Which paper a notebook is about and where its code lives; stored in the notebook's metadata under "sparseland".</summary>
/// <param name="Paper">Authors and where it appeared.</param>
/// <param name="Room">Folder of the method below src/Sparseland, which is also the last part of its namespace.</param>
/// <param name="Type">The method's main type in that room, in a file of its name.</param>
public sealed record PaperFacts(string Paper, string Room, string Type)
{
    /// <summary>Path of the room below the clone, with '/' between the parts.</summary>
    public string Folder => $"src/Sparseland/{Room}";

    /// <summary>Path of the type's file below the clone.</summary>
    public string File => $"{Folder}/{Type}.cs";

    /// <summary>The facts of a notebook; null where one of the three is missing, as in the notebooks that stand before the chapters.</summary>
    public static PaperFacts? Read(Notebook notebook)
    {
        ArgumentNullException.ThrowIfNull(notebook);
        var json = notebook.Metadata["sparseland"];
        return json.Text("paper") is { Length: > 0 } paper && json.Text("room") is { Length: > 0 } room && json.Text("type") is { Length: > 0 } type
            ? new PaperFacts(paper, room, type)
            : null;
    }
}
