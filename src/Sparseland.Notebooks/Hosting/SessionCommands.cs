using System.Text;
using Sparseland.Evaluation;

namespace Sparseland.Notebooks.Hosting;

/// <summary>A variable of the session.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">Its declared type.</param>
/// <param name="Value">What it holds.</param>
public sealed record SessionVariable(string Name, Type Type, object? Value);

/// <summary>What the magic commands of a session show; the same in our own kernel and in .NET Interactive.</summary>
public static class SessionCommands
{
    private const int MostCharacters = 80;

    /// <summary>#!claims: the claims stated so far, of the claims object that was made last.</summary>
    /// <param name="variables">The session's variables, in the order of their making.</param>
    public static MimeBundle ClaimsSoFar(IEnumerable<SessionVariable> variables)
    {
        ArgumentNullException.ThrowIfNull(variables);
        return variables.Select(v => v.Value).OfType<Claims>().LastOrDefault() is { } claims
            ? ClaimsTable.Render(claims)
            : ValueFormatting.Text("No claims so far: no variable of this session holds a Claims object (var claims = lesson.Claims(...)).");
    }

    /// <summary>#!scale: shows the scale, or sets it for the next <see cref="Lesson.Start"/>.</summary>
    /// <param name="argument">quick, lesson or full; empty to show it.</param>
    /// <exception cref="ArgumentException">The argument is no scale.</exception>
    public static MimeBundle Scale(string argument)
    {
        ArgumentNullException.ThrowIfNull(argument);
        if (argument.Trim().Length == 0)
            return ValueFormatting.Text($"Scale {Lesson.ParseScale(Environment.GetEnvironmentVariable(Lesson.ScaleVariable)).ToString().ToLowerInvariant()}. Others: #!scale quick, #!scale lesson, #!scale full.");
        string scale = argument.Trim() is "quick" or "lesson" or "full" ? argument.Trim()
            : throw new ArgumentException($"#!scale: \"{argument.Trim()}\" is no scale; write quick, lesson or full.", nameof(argument));
        Environment.SetEnvironmentVariable(Lesson.ScaleVariable, scale);
        return ValueFormatting.Text($"Scale {scale}, from the next Lesson.Start() on: run the setup cell and those below it.");
    }

    /// <summary>#!who: the names of the session's variables.</summary>
    public static MimeBundle Who(IEnumerable<SessionVariable> variables)
    {
        ArgumentNullException.ThrowIfNull(variables);
        string names = string.Join("  ", variables.Select(v => v.Name));
        return ValueFormatting.Text(names.Length > 0 ? names : "No variables.");
    }

    /// <summary>#!whos: name, type and value of the session's variables.</summary>
    public static MimeBundle Whos(IEnumerable<SessionVariable> variables)
    {
        ArgumentNullException.ThrowIfNull(variables);
        string[][] rows = [["name", "type", "value"], .. variables.Select(v => new[] { v.Name, TypeNames.CSharp(v.Type), OneLine(v.Value) })];
        if (rows.Length == 1) return ValueFormatting.Text("No variables.");
        int[] widths = [rows.Max(r => r[0].Length), rows.Max(r => r[1].Length)];
        var html = new StringBuilder("<table>");
        foreach (string[] row in rows)
        {
            string cell = row == rows[0] ? "th" : "td";
            html.Append("<tr>").Append(string.Concat(row.Select(text => $"<{cell} style=\"text-align:left\">{Markup.Escape(text)}</{cell}>"))).Append("</tr>");
        }

        return ValueFormatting.Html(html.Append("</table>").ToString(), string.Join('\n', rows.Select(r => $"{r[0].PadRight(widths[0])}  {r[1].PadRight(widths[1])}  {r[2]}")));
    }

    private static string OneLine(object? value)
    {
        string text = value is null ? "null" : string.Join("; ", ValueFormatting.Format(value).Data["text/plain"].ToString().Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries));
        return text.Length <= MostCharacters ? text : text[..(MostCharacters - 3)] + "...";
    }
}
