using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Scripting;

namespace Sparseland.Kernel.Scripting;

/// <summary>
/// <c>using var x = ...;</c> and <c>await using var x = ...;</c> at the top level of a cell, which a script does not allow. The variable becomes a plain one of the notebook, and
/// its value is disposed when a later cell gives the name another value, or at the engine's end.
/// </summary>
internal sealed class UsingDeclarations
{
    // A DisposeAsync of the user's must not hold up later cells for ever.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private readonly Dictionary<string, object> held = new(StringComparer.Ordinal);

    /// <summary>The code without the keyword, every line and column as before, and the names it declared.</summary>
    public static (string Code, IReadOnlyList<string> Names) Take(string code)
    {
        if (!code.Contains("using", StringComparison.Ordinal))
        {
            return (code, []);
        }

        // As a program, not as a script: a script takes the keyword for that of a directive.
        var declarations = CSharpSyntaxTree.ParseText(code, CellParser.ParseOptions.WithKind(Microsoft.CodeAnalysis.SourceCodeKind.Regular)).GetCompilationUnitRoot().Members
            .OfType<GlobalStatementSyntax>().Select(member => member.Statement).OfType<LocalDeclarationStatementSyntax>()
            .Where(statement => statement.UsingKeyword.Span.Length > 0).ToList();
        var text = code.ToCharArray();
        foreach (var declaration in declarations)
        {
            text.AsSpan(declaration.UsingKeyword.SpanStart, declaration.UsingKeyword.Span.Length).Fill(' ');
            text.AsSpan(declaration.AwaitKeyword.SpanStart, declaration.AwaitKeyword.Span.Length).Fill(' ');
        }

        return (new string(text), [.. declarations.SelectMany(d => d.Declaration.Variables).Select(v => v.Identifier.ValueText)]);
    }

    /// <summary>Whether a cell that declared these names leaves anything to look at.</summary>
    public bool HasWork(IReadOnlyList<string> names) => names.Count > 0 || held.Count > 0;

    /// <summary>Disposes what a cell replaced, and holds what it declared.</summary>
    /// <param name="state">After the cell.</param>
    /// <param name="names">What it declared with <c>using</c>.</param>
    /// <param name="failed">Told of each Dispose that throws.</param>
    public void After(ScriptState<object> state, IReadOnlyList<string> names, Action<Exception> failed)
    {
        foreach (var (name, value) in held.ToList())
        {
            if (!ReferenceEquals(state.GetVariable(name)?.Value, value))
            {
                held.Remove(name);
                Release(value, failed);
            }
        }

        foreach (var name in names)
        {
            if (state.GetVariable(name)?.Value is { } value and (IDisposable or IAsyncDisposable))
            {
                held[name] = value;
            }
        }
    }

    /// <summary>Disposes everything.</summary>
    public void End()
    {
        foreach (var value in held.Values)
        {
            Release(value, _ => { });
        }

        held.Clear();
    }

    private static void Release(object value, Action<Exception> failed)
    {
        try
        {
            if (value is IDisposable plain) plain.Dispose();
            else if (!Task.Run(async () => await ((IAsyncDisposable)value).DisposeAsync().ConfigureAwait(false)).Wait(Patience))
                throw new TimeoutException($"DisposeAsync of {value.GetType().Name} has not ended after {Patience.TotalSeconds} s; it goes on in the background.");
        }
        catch (AggregateException e) when (e.InnerExceptions.Count == 1)
        {
            failed(e.InnerException!);
        }
        catch (Exception e)
        {
            // The user's Dispose; the cell that replaced the value has nothing to do with it.
            failed(e);
        }
    }
}
