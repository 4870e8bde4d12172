using System.Collections.Concurrent;
using System.Reflection;
using Microsoft.CodeAnalysis.Text;

namespace Sparseland.Kernel.Scripting;

/// <summary>The text of the cells that ran, for messages that show the line in question.</summary>
internal sealed class CellSources
{
    private readonly ConcurrentDictionary<string, string> texts = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, (SourceText Text, StopChecks Checks)> edited = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, string> names = new(StringComparer.Ordinal);

    /// <summary>Keeps a cell's text under its name and the name of the assembly that it was compiled to.</summary>
    public void Add(string cellName, string? assemblyName, string text, StopChecks checks)
    {
        texts[cellName] = text;
        edited[cellName] = (SourceText.From(text), checks);
        if (assemblyName is not null)
        {
            names[assemblyName] = cellName;
        }
    }

    /// <summary>The line (from 1) of a cell, or null. The compiler makes full paths of cell names.</summary>
    public string? Line(string file, int line) =>
        texts.TryGetValue(Path.GetFileName(file), out var text) && text.Split('\n') is var lines && line >= 1 && line <= lines.Length ? lines[line - 1].TrimEnd() : null;

    /// <summary>The column (from 0) of the user's text for a line (from 1) and column (from 0) of what was compiled.</summary>
    public int Column(string file, int line, int column) =>
        edited.TryGetValue(Path.GetFileName(file), out var cell) && line <= cell.Text.Lines.Count ? cell.Checks.OriginalColumn(cell.Text, line - 1, column) : column;

    /// <summary>The cell that an assembly was compiled from, or null.</summary>
    public string? CellOf(Assembly assembly) => assembly.GetName().Name is { } name ? names.GetValueOrDefault(name) : null;
}
