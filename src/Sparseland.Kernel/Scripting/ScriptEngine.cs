using System.Collections.Immutable;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Scripting;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Scripting;
using Microsoft.CodeAnalysis.Scripting.Hosting;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Scripting;

/// <summary>The C# notebook engine: one chain of Roslyn submissions for one notebook.</summary>
public sealed class ScriptEngine : IScriptEngine
{
    // Two first compilations at once would each make their own symbols of the library, and a later cell would find every name twice.
    private static readonly Lock Compiling = new();

    private static int handlesStrayExceptions;
    private static int warm;

    private readonly ScriptEngineOptions options;
    private readonly InteractiveAssemblyLoader loader = new();
    private readonly SemaphoreSlim oneCell = new(1, 1);
    private readonly CellSources sources = new();
    private readonly References references;
    private readonly DirectiveRunner directives;
    private readonly Lazy<LanguageService> language;
    private readonly List<string> submissions = [];
    private readonly UsingDeclarations usings = new();
    private readonly ScriptMetadataResolver baseResolver;
    private ScriptState<object>? state;
    private int cell;
    private int compiled;

    /// <summary>Creates an engine. Nothing is compiled before the first cell.</summary>
    /// <exception cref="DirectoryNotFoundException">The working directory does not exist.</exception>
    public ScriptEngine(ScriptEngineOptions? options = null)
    {
        this.options = options ?? new ScriptEngineOptions();
        if (!Directory.Exists(this.options.WorkingDirectory))
        {
            throw new DirectoryNotFoundException($"The working directory '{this.options.WorkingDirectory}' does not exist.");
        }

        // The library's module initialiser finds TorchSharp's natives for cells that never name the library itself.
        RuntimeHelpers.RunModuleConstructor(typeof(ProgressReport).Module.ModuleHandle);
        FormatterDisplays.Listen();
        references = new References(loader);
        directives = new DirectiveRunner(this.options, references);
        baseResolver = ScriptMetadataResolver.Default.WithBaseDirectory(this.options.WorkingDirectory);
        language = new(() => new LanguageService());
        KeepProcessAlive();
        if (Interlocked.Exchange(ref warm, 1) == 0)
        {
            // The compiler's own code is compiled while the front end still says hello: the first cell comes a second sooner.
            _ = Task.Run(WarmUp);
        }
    }

    /// <inheritdoc/>
    public async Task<CellResult> ExecuteAsync(string code, ICellOutput output, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(code);
        ArgumentNullException.ThrowIfNull(output);
        var watch = Stopwatch.StartNew();
        try
        {
            await oneCell.WaitAsync(cancel).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            return Interrupted("The cell was interrupted before it started.", watch.Elapsed);
        }

        try
        {
            var stoppable = new StoppableOutput(output);
            var library = new LibraryToken(e => new StoppableOutput(output).Stream("stderr", CellErrors.Background(e, sources)));
            await using var registration = cancel.Register(() =>
            {
                stoppable.Stop();
                library.Cancel();
                CellStop.Begin();
            }).ConfigureAwait(false);
            CellConsole.Enter(stoppable);
            NotebookHost.Enter(new EngineHost(stoppable, library.Token));
            cell++;
            // Compiling takes the pool's thread, not the caller's.
            var error = await Task.Run(() => RunPartsAsync(code, $"Cell [{cell}]", new StoppableOutput(output), new Stack<string>(), cancel), CancellationToken.None).ConfigureAwait(false);
            return new CellResult(error is null ? CellStatus.Ok : CellStatus.Error, error, watch.Elapsed);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            return Interrupted("The cell was interrupted. Variables of earlier cells are kept.", watch.Elapsed);
        }
        catch (StuckCellException)
        {
            return Interrupted(
                "The cell is inside native code, which cannot be interrupted. It stops as soon as that code returns; until then it "
                + "goes on in the background and what it holds stays in use. Restart the kernel if it does not return.",
                watch.Elapsed);
        }
        finally
        {
            CellConsole.Enter(null);
            NotebookHost.Enter(null);
            KernelMemory.GiveBack(watch.Elapsed);
            oneCell.Release();
        }
    }

    /// <inheritdoc/>
    public Task<Completions> CompleteAsync(string code, int position, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(code);
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(position, code.Length);
        return DirectiveCompletion.TryComplete(code, position) is { } found
            ? Task.FromResult(found)
            : language.Value.CompleteAsync(Snapshot(), code, position, cancel);
    }

    /// <inheritdoc/>
    public Task<MimeBundle?> InspectAsync(string code, int position, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(code);
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(position, code.Length);
        return language.Value.InspectAsync(Snapshot(), code, position, cancel);
    }

    /// <inheritdoc/>
    public Completeness IsComplete(string code)
    {
        ArgumentNullException.ThrowIfNull(code);
        foreach (var part in CellParser.Parse(code).Where(p => p.Kind == "code"))
        {
            var tree = CSharpSyntaxTree.ParseText(part.Text, CellParser.ParseOptions);
            if (!SyntaxFactory.IsCompleteSubmission(tree))
            {
                return Completeness.Incomplete;
            }

            if (tree.GetDiagnostics().Any(d => d.Severity == DiagnosticSeverity.Error))
            {
                return Completeness.Invalid;
            }
        }

        return Completeness.Complete;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        if (language.IsValueCreated)
        {
            language.Value.Dispose();
        }

        usings.End();
        loader.Dispose();
        oneCell.Dispose();
        return ValueTask.CompletedTask;
    }

    private LanguageSnapshot Snapshot()
    {
        lock (submissions)
        {
            return new LanguageSnapshot([.. submissions], references.All);
        }
    }

    private async Task<CellError?> RunPartsAsync(string code, string name, ICellOutput output, Stack<string> importing, CancellationToken cancel)
    {
        var time = false;
        var watch = Stopwatch.StartNew();
        foreach (var part in CellParser.Parse(code))
        {
            CellError? error = null;
            try
            {
                switch (part.Kind)
                {
                    case "code":
                        // Empty lines in front keep the line numbers of the cell.
                        error = await RunCodeAsync(new string('\n', part.Line) + part.Text, name, output, cancel).ConfigureAwait(false);
                        break;
                    case "markdown" or "html" or "javascript":
                        output.Display(DirectiveRunner.Markup(part.Kind, part.Text), $"{name}-{part.Line}");
                        break;
                    case "#!who" or "#!whos" or "#!claims":
                        output.Display(await OfSessionAsync(part.Kind, output, cancel).ConfigureAwait(false), $"{name}-{part.Line}");
                        break;
                    case "#!time":
                        time = true;
                        break;
                    case "#!import":
                        error = await ImportAsync(part.Text, output, importing, cancel).ConfigureAwait(false);
                        break;
                    default:
                        await directives.RunAsync(part, Folder(importing), output, cancel).ConfigureAwait(false);
                        break;
                }
            }
            catch (DirectiveException e)
            {
                error = new CellError("DirectiveError", e.Message, [$"{name}, line {part.Line + 1}: {e.Message}"]);
            }

            if (error is not null)
            {
                return error;
            }
        }

        if (time)
        {
            output.Display(ValueFormatting.Text($"Wall time: {watch.Elapsed.TotalMilliseconds.ToString("0.0", System.Globalization.CultureInfo.InvariantCulture)} ms"), $"{name}-time");
        }

        return null;
    }

    // On the cell's thread: a ToString of the user's may run for ever.
    private async Task<MimeBundle> OfSessionAsync(string command, ICellOutput output, CancellationToken cancel)
    {
        // A name that was declared again is the later one, at its place.
        SessionVariable[] variables = [.. (state?.Variables ?? []).Reverse().DistinctBy(v => v.Name).Reverse().Select(v => new SessionVariable(v.Name, v.Type, v.Value))];
        MimeBundle? shown = null;
        var end = await CellThread.RunAsync(
            () =>
            {
                shown = command switch
                {
                    "#!who" => SessionCommands.Who(variables),
                    "#!whos" => SessionCommands.Whos(variables),
                    _ => SessionCommands.ClaimsSoFar(variables),
                };
                return Task.CompletedTask;
            },
            e => output.Stream("stderr", CellErrors.Background(e, sources)),
            options.InterruptGrace,
            cancel).ConfigureAwait(false);
        return shown ?? throw (end == CellEnd.Stuck ? new StuckCellException() : new OperationCanceledException(cancel));
    }

    // Paths in an imported file start from that file.
    private string Folder(Stack<string> importing) => importing.TryPeek(out var file) ? Path.GetDirectoryName(file)! : options.WorkingDirectory;

    private async Task<CellError?> ImportAsync(string argument, ICellOutput output, Stack<string> importing, CancellationToken cancel)
    {
        var path = directives.ResolveImport(argument, Folder(importing));
        if (importing.Contains(path))
        {
            throw new DirectiveException($"#!import: '{path}' imports itself ({string.Join(" > ", importing.Reverse().Append(path).Select(Path.GetFileName))}).");
        }

        importing.Push(path);
        try
        {
            var number = 0;
            foreach (var code in DirectiveRunner.CellsOf(path))
            {
                number++;
                if (await RunPartsAsync(code, $"{Path.GetFileName(path)} [{number}]", output, importing, cancel).ConfigureAwait(false) is { } error)
                {
                    return error;
                }
            }

            return null;
        }
        finally
        {
            importing.Pop();
        }
    }

    private async Task<CellError?> RunCodeAsync(string code, string name, ICellOutput output, CancellationToken cancel)
    {
        var added = references.All.Length;
        (code, var held) = UsingDeclarations.Take(code);
        var checks = StopChecks.Into(code);
        var script = Continue(checks.Code, name);
        var diagnostics = Compile(script, cancel);
        if (IsWrong(diagnostics) && checks.Edits.Count > 0)
        {
            // The messages are about what the user wrote.
            checks = new StopChecks(code, []);
            script = Continue(code, name);
            diagnostics = Compile(script, cancel);
        }

        if (diagnostics.Any(d => d.Id == "CS0029") && SpanResult(script, code) is { } copied)
        {
            code = copied;
            checks = StopChecks.Into(code);
            script = Continue(checks.Code, name);
            diagnostics = Compile(script, cancel);
        }

        if (IsWrong(diagnostics))
        {
            return CellErrors.FromDiagnostics(diagnostics, name, code);
        }

        sources.Add(name, script.GetCompilation().AssemblyName, code, checks);
        var previous = state;
        ScriptState<object>? next = null;
        Exception? thrown = null;
        CellError? failure = null;
        MimeBundle? result = null;
        var hasResult = HasResult(script);
        var end = await CellThread.RunAsync(
            async () =>
            {
                var ran = previous is null
                    ? await script.RunAsync(globals: null, catchException: Keep, CancellationToken.None)
                    : await script.RunFromAsync(previous, catchException: Keep, CancellationToken.None);
                // Both on the cell's thread: a Message or a ToString of the user's may run for ever.
                if (thrown is not null)
                {
                    failure = CellErrors.FromException(thrown, sources);
                }

                // What was displayed already is not shown a second time as its own handle.
                if (thrown is null && hasResult && ran.ReturnValue is not (DisplayedValue or Microsoft.DotNet.Interactive.Formatting.DisplayedValue))
                {
                    result = ValueFormatting.Format(ran.ReturnValue);
                }

                next = ran;
            },
            e => output.Stream("stderr", CellErrors.Background(e, sources)),
            options.InterruptGrace,
            cancel).ConfigureAwait(false);
        if (end != CellEnd.Finished)
        {
            throw end == CellEnd.Stuck ? new StuckCellException() : new OperationCanceledException(cancel);
        }

        compiled = added;

        // Also after an exception: what the cell had declared before it threw stays usable, as in every notebook.
        state = next!;

        // On a cell's thread too: a Dispose of the user's may run for ever.
        void Told(Exception e) => output.Stream("stderr", CellErrors.Background(e, sources));
        if (usings.HasWork(held))
        {
            var after = state;
            await CellThread.RunAsync(
                () =>
                {
                    usings.After(after, held, Told);
                    return Task.CompletedTask;
                }, Told, options.InterruptGrace, cancel).ConfigureAwait(false);
        }

        lock (submissions)
        {
            submissions.Add(code);
        }

        if (failure is not null)
        {
            return failure;
        }

        if (result is not null)
        {
            output.Result(result);
        }

        return null;

        bool Keep(Exception e)
        {
            if (cancel.IsCancellationRequested)
            {
                return false;
            }

            thrown = e;
            return true;
        }
    }

    private Script<object> Continue(string code, string name) => state is null
        ? CSharpScript.Create<object>(code, Options(name), assemblyLoader: loader)
        : state.Script.ContinueWith<object>(code, Options(name));

    private static bool IsWrong(IEnumerable<Diagnostic> diagnostics) => diagnostics.Any(d => d.Severity == DiagnosticSeverity.Error);

    private static CellResult Interrupted(string message, TimeSpan elapsed) =>
        new(CellStatus.Interrupted, new CellError("Interrupted", message, [message]), elapsed);

    private ScriptOptions Options(string name) => ScriptOptions.Default
        .WithLanguageVersion(LanguageVersion.Latest)
        // A submission inherits the references of the one before; naming all of them again would make each cell's tables
        // longer than the last one's.
        .WithReferences(references.All.Skip(compiled))
        .WithImports([.. ScriptEngineOptions.DefaultUsings, typeof(CellGlobals).FullName!])
        .WithMetadataResolver(new CachingReferenceResolver(baseResolver))
        .WithSourceResolver(ScriptSourceResolver.Default.WithBaseDirectory(options.WorkingDirectory))
        .WithFilePath(name)
        .WithFileEncoding(System.Text.Encoding.UTF8)
        .WithEmitDebugInformation(true)
        .WithOptimizationLevel(OptimizationLevel.Release)
        .WithAllowUnsafe(true);

    private static ImmutableArray<Diagnostic> Compile(Script script, CancellationToken cancel)
    {
        lock (Compiling)
        {
            return script.Compile(cancel);
        }
    }

    private void WarmUp() => Compile(CSharpScript.Create<object>("Console.Write(string.Empty); new[] { 1 }.Select(i => i + 1).First()", Options("warm-up")), CancellationToken.None);

    // A trailing expression without ';' that is not void. The value itself cannot tell: null is a value too.
    private static bool HasResult(Script script)
    {
        var compilation = script.GetCompilation();
        var tree = compilation.SyntaxTrees.Last();

        // A script may also end in "return value;".
        var last = tree.GetRoot() is CompilationUnitSyntax { Members: [.., GlobalStatementSyntax { Statement: var statement }] } ? statement switch
        {
            ExpressionStatementSyntax { SemicolonToken.IsMissing: true } shown => shown.Expression,
            ReturnStatementSyntax returned => returned.Expression,
            _ => null,
        } : null;
        return last is not null && compilation.GetSemanticModel(tree).GetTypeInfo(last).Type is not { SpecialType: SpecialType.System_Void };
    }

    // A span cannot leave its cell as a value: its copy does. Null where the cell does not end in one.
    private static string? SpanResult(Script script, string code)
    {
        var compilation = script.GetCompilation();
        var tree = compilation.SyntaxTrees.Last();
        if (tree.ToString() != code
            || tree.GetRoot() is not CompilationUnitSyntax { Members: [.., GlobalStatementSyntax { Statement: ExpressionStatementSyntax { SemicolonToken.IsMissing: true } last }] }
            || compilation.GetSemanticModel(tree).GetTypeInfo(last.Expression).Type is not INamedTypeSymbol { IsRefLikeType: true, Name: "Span" or "ReadOnlySpan" })
        {
            return null;
        }

        var span = last.Expression.Span;
        return $"{code[..span.Start]}({code[span.Start..span.End]}).ToArray(){code[span.End..]}";
    }

    // An exception on a thread that a cell started would end the process and with it everybody's work.
    private static void KeepProcessAlive()
    {
        if (Interlocked.Exchange(ref handlesStrayExceptions, 1) == 0)
        {
            ExceptionHandling.SetUnhandledExceptionHandler(static e =>
            {
                // Must not throw: that would end the process. Flows to the cell that started the thread.
                try
                {
                    if (CellConsole.Current is not { Stopped: true })
                    {
                        Console.Error.Write(CellErrors.Background(e, new CellSources()));
                    }
                }
                catch (Exception told)
                {
                    CellConsole.WriteToProcess($"{e}\n{told}\n");
                }

                return true;
            });

            // A cell's loops may hold pool threads for good; the engine's own steps must not wait for the pool to grow.
            ThreadPool.GetMinThreads(out var threads, out var ports);
            ThreadPool.SetMinThreads(Math.Max(threads, Environment.ProcessorCount + 16), ports);
        }
    }

    private sealed class StuckCellException : Exception;
}
