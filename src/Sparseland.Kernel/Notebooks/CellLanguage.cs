namespace Sparseland.Kernel.Notebooks;

/// <summary>A language that a cell of .NET Interactive may be written in.</summary>
/// <param name="Name">Its kernel there, which opens a cell as <c>#!name</c>.</param>
/// <param name="Title">What people call it.</param>
/// <param name="Runs">Whether this kernel runs or shows such cells.</param>
/// <param name="Aliases">Other names.</param>
internal sealed record CellLanguage(string Name, string Title, bool Runs, params string[] Aliases)
{
    /// <summary>The language of cells that name none.</summary>
    public const string CSharp = "csharp";

    /// <summary>All of them; a .dib file may name more in its #!meta cell.</summary>
    public static IReadOnlyList<CellLanguage> All { get; } =
    [
        new(CSharp, "C#", true, "c#", "C#"), new("fsharp", "F#", false, "f#", "F#"), new("pwsh", "PowerShell", false, "powershell"), new("html", "HTML", true),
        new("javascript", "JavaScript", true, "js"), new("mermaid", "Mermaid", false), new("sql", "T-SQL", false), new("kql", "KQL", false), new("http", "HTTP", false),
        new("value", "value", false), new("python", "Python", false), new("r", "R", false), new("markdown", "Markdown", true, "md"),
    ];

    /// <summary>The language of a name or alias, or null.</summary>
    public static CellLanguage? Find(string name) => All.FirstOrDefault(language => language.Name == name || language.Aliases.Contains(name));
}
