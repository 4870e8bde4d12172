using System.Text.RegularExpressions;

namespace Sparseland.Kernel.Notebooks;

/// <summary>
/// Reads .dib files: cells one after another, each opened by a line such as <c>#!csharp</c> or <c>#!markdown</c>.
/// </summary>
internal static partial class DibFormat
{
    /// <summary>The file as a notebook. Cells of other languages keep their opening line, so that running them names it.</summary>
    public static Notebook Parse(string text, string name)
    {
        var notebook = Notebook.Create(name);
        var language = "csharp";
        var lines = new List<string>();
        foreach (var line in text.ReplaceLineEndings("\n").TrimStart('\uFEFF').Split('\n'))
        {
            if (Opening().Match(line) is { Success: true } opening)
            {
                Flush();
                language = opening.Groups[1].Value;
            }
            else
            {
                lines.Add(line);
            }
        }

        Flush();
        return notebook;

        void Flush()
        {
            var source = string.Join('\n', lines).Trim('\n', ' ');
            lines.Clear();
            if (source.Length == 0 || language == "meta")
                return;
            if (language is "markdown" or "md")
                notebook.Add("markdown", source);
            else
                notebook.Add("code", language is "csharp" or "c#" ? source : $"#!{language}\n{source}");
        }
    }

    [GeneratedRegex(@"^#!(csharp|c#|markdown|md|html|fsharp|f#|pwsh|powershell|javascript|js|mermaid|sql|kql|value|http|meta)\s*$")]
    private static partial Regex Opening();
}
