using System.Text.Json.Nodes;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Completion;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Host.Mef;
using Microsoft.CodeAnalysis.QuickInfo;
using Microsoft.CodeAnalysis.Text;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Scripting;

/// <summary>What the language service needs to know of an engine at one moment.</summary>
internal sealed record LanguageSnapshot(IReadOnlyList<string> Submissions, IReadOnlyList<MetadataReference> References);

/// <summary>Completion and inspection by Roslyn's own services over a copy of the submission chain.</summary>
internal sealed class LanguageService : IDisposable
{
    private readonly SemaphoreSlim one = new(1, 1);
    private readonly AdhocWorkspace workspace = new(MefHostServices.DefaultHost);
    private readonly List<ProjectId> chain = [];
    private int references;

    /// <summary>Completions at a position of a new cell.</summary>
    public async Task<Completions> CompleteAsync(LanguageSnapshot snapshot, string code, int position, CancellationToken cancel)
    {
        var document = await DocumentAsync(snapshot, code, cancel).ConfigureAwait(false);
        var service = CompletionService.GetService(document)!;
        var text = SourceText.From(code);
        var found = await service.GetCompletionsAsync(document, position, cancellationToken: cancel).ConfigureAwait(false);
        if (found is null || found.ItemsList.Count == 0)
        {
            return new Completions([], position, position);
        }

        var typed = text.ToString(TextSpan.FromBounds(found.Span.Start, position));
        var matches = service.FilterItems(document, [.. found.ItemsList], typed)
            .Where(i => typed.Length == 0 || i.FilterText.Contains(typed, StringComparison.OrdinalIgnoreCase))
            .Select(i => i.DisplayText)
            .Concat(found.ItemsList.Where(i => i.FilterText.StartsWith(typed, StringComparison.OrdinalIgnoreCase)).Select(i => i.DisplayText))
            .Distinct()
            .OrderByDescending(m => m.StartsWith(typed, StringComparison.Ordinal))
            .ThenBy(m => m, StringComparer.OrdinalIgnoreCase)
            .ToList();
        return new Completions(matches, found.Span.Start, found.Span.End);
    }

    /// <summary>Signature and documentation at a position of a new cell, or null.</summary>
    public async Task<MimeBundle?> InspectAsync(LanguageSnapshot snapshot, string code, int position, CancellationToken cancel)
    {
        var document = await DocumentAsync(snapshot, code, cancel).ConfigureAwait(false);
        var service = QuickInfoService.GetService(document)!;
        // The cursor often stands just behind the name.
        var info = await service.GetQuickInfoAsync(document, position, cancel).ConfigureAwait(false)
            ?? (position > 0 ? await service.GetQuickInfoAsync(document, position - 1, cancel).ConfigureAwait(false) : null);
        if (info is null)
        {
            return null;
        }

        var sections = info.Sections.Select(s => s.Text.Trim()).Where(s => s.Length > 0).ToList();
        return new MimeBundle(new Dictionary<string, JsonNode>
        {
            ["text/plain"] = JsonValue.Create(string.Join("\n\n", sections)),
            ["text/markdown"] = JsonValue.Create($"```csharp\n{sections.FirstOrDefault()}\n```\n\n{string.Join("\n\n", sections.Skip(1))}"),
        });
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        workspace.Dispose();
        one.Dispose();
    }

    private async Task<Document> DocumentAsync(LanguageSnapshot snapshot, string code, CancellationToken cancel)
    {
        await one.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            if (references != snapshot.References.Count)
            {
                // New references must reach every link of the chain: the types of old variables may come from them.
                workspace.ClearSolution();
                chain.Clear();
                references = snapshot.References.Count;
            }

            while (chain.Count < snapshot.Submissions.Count)
            {
                var solution = WithProject(workspace.CurrentSolution, snapshot, snapshot.Submissions[chain.Count], chain.Count, out var id, out _);
                if (!workspace.TryApplyChanges(solution))
                {
                    break;
                }

                chain.Add(id);
            }

            var current = WithProject(workspace.CurrentSolution, snapshot, code, chain.Count, out _, out var document);
            return current.GetDocument(document)!;
        }
        finally
        {
            one.Release();
        }
    }

    private Solution WithProject(Solution solution, LanguageSnapshot snapshot, string code, int index, out ProjectId id, out DocumentId document)
    {
        var name = $"Submission{index}";
        id = ProjectId.CreateNewId(name);
        document = DocumentId.CreateNewId(id, name);
        var options = new CSharpCompilationOptions(
            OutputKind.DynamicallyLinkedLibrary,
            usings: [.. ScriptEngineOptions.DefaultUsings, typeof(CellGlobals).FullName!],
            allowUnsafe: true);
        var project = ProjectInfo.Create(
            id,
            VersionStamp.Create(),
            name,
            name,
            LanguageNames.CSharp,
            compilationOptions: options,
            parseOptions: CellParser.ParseOptions,
            projectReferences: chain.Count > 0 ? [new ProjectReference(chain[^1])] : [],
            metadataReferences: snapshot.References,
            isSubmission: true);
        return solution
            .AddProject(project)
            .AddDocument(DocumentInfo.Create(
                document,
                name + ".csx",
                sourceCodeKind: SourceCodeKind.Script,
                loader: TextLoader.From(TextAndVersion.Create(SourceText.From(code), VersionStamp.Create()))));
    }
}
