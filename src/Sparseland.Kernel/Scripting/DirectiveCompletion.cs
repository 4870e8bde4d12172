namespace Sparseland.Kernel.Scripting;

/// <summary>Completion of directives and of the carried packages' names.</summary>
internal static class DirectiveCompletion
{
    /// <summary>Completions when the position is in a directive line, else null.</summary>
    public static Completions? TryComplete(string code, int position)
    {
        var start = position == 0 ? 0 : code.LastIndexOf('\n', position - 1) + 1;
        var line = code[start..position];
        var text = line.TrimStart();
        var indent = line.Length - text.Length;
        if (text.StartsWith("#!", StringComparison.Ordinal) && !text.Contains(' ', StringComparison.Ordinal))
        {
            return new Completions([.. DirectiveRunner.Known.Where(d => d.StartsWith(text, StringComparison.Ordinal))], start + indent, position);
        }

        const string Nuget = "#r \"nuget:";
        if (!text.StartsWith(Nuget, StringComparison.Ordinal) || text.Contains(',', StringComparison.Ordinal))
        {
            return null;
        }

        var typed = text[Nuget.Length..].TrimStart();
        return new Completions(
            [.. CarriedPackages.Instance.Names.Where(n => n.StartsWith(typed, StringComparison.OrdinalIgnoreCase)).Order(StringComparer.OrdinalIgnoreCase)],
            position - typed.Length,
            position);
    }
}
