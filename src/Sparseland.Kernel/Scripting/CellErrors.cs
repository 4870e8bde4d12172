using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;

namespace Sparseland.Kernel.Scripting;

/// <summary>Turns compiler messages and exceptions into what a learner can read.</summary>
internal static partial class CellErrors
{
    private const int MostCauses = 10;

    // Exceptions that one error shows, all levels together.
    private const int MostExceptions = 50;

    private static readonly string[] EngineNamespaces =
    [
        "Microsoft.CodeAnalysis", "Sparseland.Kernel", "System.Runtime.ExceptionServices", "System.Runtime.CompilerServices",
        "System.Runtime.ControlledExecution", "Internal.Runtime", "System.Threading.ExecutionContext",
    ];

    /// <summary>Compile errors with the line in question and a caret under the place.</summary>
    public static CellError FromDiagnostics(IEnumerable<Diagnostic> diagnostics, string cellName, string code)
    {
        var lines = code.Split('\n');
        if (Magic().Match(lines.FirstOrDefault(l => !string.IsNullOrWhiteSpace(l)) ?? "") is { Success: true } magic)
        {
            var at = Array.FindIndex(lines, l => !string.IsNullOrWhiteSpace(l)) + 1;
            var message = $"'{magic.Groups[1].Value}': magics and shell commands are not supported; cells are C#. This kernel has {string.Join(", ", DirectiveRunner.Known)}, "
                + "HTML(\"...\") and display(...) to show things, and System.Diagnostics.Process.Start(...) for programs.";
            return new CellError("DirectiveError", message, [$"{cellName}, line {at}: {message}"]);
        }

        var errors = diagnostics.Where(d => d.Severity == DiagnosticSeverity.Error).ToList();
        var text = new List<string>();
        foreach (var error in errors.Take(10))
        {
            var position = error.Location.GetMappedLineSpan().StartLinePosition;
            text.Add($"{cellName}, line {position.Line + 1}: error {error.Id}: {error.GetMessage(CultureInfo.InvariantCulture)}");
            if (position.Line < lines.Length && error.Location.IsInSource)
            {
                text.Add("    " + lines[position.Line]);
                text.Add("    " + Caret(lines[position.Line], position.Character));
            }

            if (Hint(error) is { } hint)
            {
                text.Add("    hint: " + hint);
            }
        }

        if (errors.Count > 10)
        {
            text.Add($"and {errors.Count - 10} more errors");
        }

        return new CellError("CompilationError", $"{errors[0].Id}: {errors[0].GetMessage(CultureInfo.InvariantCulture)}", text);
    }

    /// <summary>An exception of a running cell: its message, the cells' lines, the causes.</summary>
    /// <param name="exception">What was thrown.</param>
    /// <param name="sources">The cells' texts, for the line in question.</param>
    public static CellError FromException(Exception exception, CellSources sources)
    {
        while (exception is TargetInvocationException or AggregateException { InnerExceptions.Count: 1 } && exception.InnerException is { } inner)
        {
            exception = inner;
        }

        var text = new List<string>();
        var shown = false;
        var told = 0;
        Tell(exception, "", "");
        return new CellError(exception.GetType().Name, Message(exception), text);

        // Causes below each other; of several, each with its number, one step to the right.
        void Tell(Exception e, string what, string indent)
        {
            if (++told > MostExceptions)
            {
                if (told == MostExceptions + 1) text.Add($"{indent}and more causes: an error shows {MostExceptions}");
                return;
            }

            text.Add($"{indent}{what}{e.GetType().FullName}: {Message(e)}");
            foreach (var frame in new StackTrace(e, fNeedFileInfo: true).GetFrames())
            {
                if (Describe(frame, sources) is not { } line)
                {
                    continue;
                }

                text.Add(indent + "   " + line);
                if (!shown && frame.GetFileName() is { } file && sources.Line(file, frame.GetFileLineNumber()) is { } full)
                {
                    shown = true;
                    var trimmed = full.TrimStart();
                    text.Add(indent + "      > " + trimmed);
                    var column = sources.Column(file, frame.GetFileLineNumber(), frame.GetFileColumnNumber() - 1) - (full.Length - trimmed.Length);
                    if (column >= 0 && column < trimmed.Length)
                    {
                        text.Add(indent + "        " + Caret(trimmed, column));
                    }
                }
            }

            if (e is AggregateException { InnerExceptions: { Count: > 1 } causes })
            {
                for (var i = 0; i < Math.Min(causes.Count, MostCauses); i++)
                {
                    Tell(causes[i], $"cause {i + 1} of {causes.Count}: ", indent + "  ");
                }

                if (causes.Count > MostCauses)
                {
                    text.Add($"{indent}  and {causes.Count - MostCauses} more causes");
                }
            }
            else if (e.InnerException is { } inner)
            {
                Tell(inner, "caused by ", indent);
            }
        }
    }

    /// <summary>An exception that no cell awaits, as text for standard error.</summary>
    public static string Background(Exception exception, CellSources sources) =>
        string.Join('\n', FromException(exception, sources).Traceback.Prepend("Exception in the background, after or beside its cell:")) + "\n";

    private static string? Describe(StackFrame frame, CellSources sources)
    {
        if (frame.GetMethod() is not { } method || method.DeclaringType is not { } type)
        {
            return null;
        }

        var fullName = type.FullName ?? type.Name;
        if (EngineNamespaces.Any(n => fullName.StartsWith(n, StringComparison.Ordinal)))
        {
            return null;
        }

        var place = frame.GetFileName() is { } file ? $" in {Path.GetFileName(file)}, line {frame.GetFileLineNumber()}" : "";
        if (!fullName.StartsWith("Submission#", StringComparison.Ordinal))
        {
            return $"at {fullName}.{method.Name}({string.Join(", ", method.GetParameters().Select(p => p.ParameterType.Name))}){place}";
        }

        if (place.Length == 0)
        {
            // A range check that the runtime moved away from its line: the cell is all that is known.
            place = sources.CellOf(method.Module.Assembly) is { } cell ? $" in {cell}" : "";
        }

        // Compiler-made names: '<<Initialize>>d__0.MoveNext' is the cell itself, '<Name>g__Local|0' a local function.
        var name = type.Name.StartsWith('<') ? type.Name : method.Name;
        var user = UserName().Match(name) is { Success: true } match ? match.Groups[1].Value : name;
        return user is "<Initialize>" or "<Factory>" or "Initialize" or "Factory" or "MoveNext" or ".ctor" && type.Name.StartsWith("Submission#", StringComparison.Ordinal)
            ? (place.Length > 0 ? $"at top level{place}" : null)
            : $"at {user}{place}";
    }

    private static string Caret(string line, int character) =>
        string.Concat(line.Take(character).Select(c => c == '\t' ? '\t' : ' ')) + "^";

    private static string? Hint(Diagnostic error) => error.Id switch
    {
        "CS0103" or "CS0246" => "was the cell that defines it run? A missing 'using' gives the same message.",
        "CS1002" => "a statement ends with ';'. Only the last expression of a cell may go without.",
        "CS1109" => "in a cell an extension method stands at top level: static int Twice(this int x) => 2 * x; without a class around it.",
        "CS7021" => "a cell is a script and has no namespaces: leave the namespace out, or put the code into a library and load it with #r \"path.dll\".",
        "CS9283" => "extension blocks need a static class of a library: write extension methods at top level (static int Twice(this int x) => 2 * x;), or load a library with #r \"path.dll\".",
        "CS0029" or "CS0266" => "the two types differ; a cast such as (float) or a suffix such as 1.0f may be what is missing.",
        _ => null,
    };

    private static string Message(Exception e)
    {
        string message;
        try
        {
            message = e.Message ?? "";
        }
        catch (Exception thrown)
        {
            // A Message of the user's: that it fails is the only thing left to say.
            return $"(its Message throws {thrown.GetType().Name})";
        }

        // libtorch puts its own C++ frames into the message.
        return message.IndexOf("\nException raised from ", StringComparison.Ordinal) is >= 0 and var end ? message[..end].TrimEnd() : message;
    }

    [GeneratedRegex("""^\s*(%%?[A-Za-z_]\w*|![\w./~].*)""")]
    private static partial Regex Magic();

    [GeneratedRegex("^<(<?[^<>]+>?)>")]
    private static partial Regex UserName();
}
