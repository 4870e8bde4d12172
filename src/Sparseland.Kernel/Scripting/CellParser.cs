using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Sparseland.Kernel.Scripting;

/// <summary>A part of a cell: C# code, text of another kind, or a directive.</summary>
/// <param name="Kind">"code", "markdown", "html", or the directive's name: "#r", "#i", "#!import" and so on.</param>
/// <param name="Text">The code, or the directive's argument.</param>
/// <param name="Line">Zero-based line of the cell where the part starts.</param>
internal sealed record CellPart(string Kind, string Text, int Line);

/// <summary>Splits a cell into code and directives, in their order.</summary>
internal static partial class CellParser
{
    /// <summary>Directives that change the language of what follows.</summary>
    private static readonly Dictionary<string, string> Languages = new(StringComparer.Ordinal)
    {
        ["#!csharp"] = "code", ["#!c#"] = "code", ["#!markdown"] = "markdown", ["#!html"] = "html", ["#!javascript"] = "javascript", ["#!js"] = "javascript",
    };

    /// <summary>Splits a cell.</summary>
    public static IReadOnlyList<CellPart> Parse(string cell)
    {
        var lines = cell.Replace("\r\n", "\n", StringComparison.Ordinal).Split('\n');
        if (!lines.Any(l => Candidate().IsMatch(l)))
        {
            return [new CellPart("code", string.Join('\n', lines), 0)];
        }

        var parts = new List<CellPart>();
        var kind = "code";
        var start = 0;
        for (var line = 0; line < lines.Length; line++)
        {
            var match = Candidate().Match(lines[line]);
            if (!match.Success || (kind == "code" && !IsDirective(lines, start, line)) || (kind != "code" && !match.Groups[1].Value.StartsWith("#!", StringComparison.Ordinal)))
            {
                continue;
            }

            Close(line);
            var name = match.Groups[1].Value;
            if (Languages.TryGetValue(name, out var language))
            {
                kind = language;
            }
            else
            {
                parts.Add(new CellPart(name, match.Groups[2].Value.Trim(), line));
                kind = "code";
            }

            start = line + 1;
        }

        Close(lines.Length);
        return parts;

        void Close(int end)
        {
            var text = string.Join('\n', lines[start..end]);
            if (!string.IsNullOrWhiteSpace(text))
            {
                parts.Add(new CellPart(kind, text, start));
            }
        }
    }

    // The same characters inside a string, a comment or code switched off by #if are not a directive.
    private static bool IsDirective(string[] lines, int start, int line)
    {
        var text = string.Join('\n', lines[start..(line + 1)]);
        var position = text.Length - lines[line].TrimStart().Length;
        return CSharpSyntaxTree.ParseText(text, ParseOptions).GetRoot()
            .DescendantNodes(descendIntoTrivia: true)
            .OfType<DirectiveTriviaSyntax>()
            .Any(d => d.HashToken.SpanStart == position && d.IsActive);
    }

    /// <summary>How cells are parsed: current C#, script form.</summary>
    public static CSharpParseOptions ParseOptions { get; } = new(LanguageVersion.Latest, kind: Microsoft.CodeAnalysis.SourceCodeKind.Script);

    // '#r' and '#i' with a quoted argument, and every '#!'.
    [GeneratedRegex("""^\s*(#!\S*|#[ri](?=\s*"))\s*(.*)$""")]
    private static partial Regex Candidate();
}
