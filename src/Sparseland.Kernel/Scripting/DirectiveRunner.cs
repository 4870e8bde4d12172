using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Markdig;
using Sparseland.Kernel.Notebooks;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Scripting;

/// <summary>Carries out the directives of a cell, except those that run code.</summary>
internal sealed partial class DirectiveRunner(ScriptEngineOptions options, References references)
{
    /// <summary>Every directive that a cell may use.</summary>
    public static readonly IReadOnlyList<string> Known = ["#r", "#i", "#!import", "#!csharp", "#!c#", "#!markdown", "#!html", "#!javascript", "#!time", "#!who", "#!whos", "#!claims", "#!scale", "#!about"];

    // What .NET Interactive has and a kernel of one language has not.
    private static readonly string[] OfOtherLanguages =
        ["#!share", "#!set", "#!connect", .. CellLanguage.All.Where(language => !language.Runs).SelectMany(language => (string[])[language.Name, .. language.Aliases]).Select(name => "#!" + name)];

    private readonly PackageRestore restore = new(options.PackageCacheDirectory, options.NuGetPackagesDirectory);
    private readonly Dictionary<string, PackageRequest> packages = new(StringComparer.OrdinalIgnoreCase);
    private readonly List<string> sources = [];

    /// <summary>Carries out one directive.</summary>
    /// <param name="part">The directive.</param>
    /// <param name="folder">Where its relative paths start.</param>
    /// <param name="output">Takes messages and displays.</param>
    /// <param name="cancel">Stops a restore.</param>
    /// <exception cref="DirectiveException">It is unknown, malformed or cannot be carried out.</exception>
    public async Task RunAsync(CellPart part, string folder, ICellOutput output, CancellationToken cancel)
    {
        switch (part.Kind)
        {
            case "#r":
                await ReferenceAsync(Unquote(part), folder, output, cancel).ConfigureAwait(false);
                break;
            case "#i":
                AddSource(Unquote(part), folder);
                break;
            case "#!about":
                output.Display(About(), $"about-{part.Line}");
                break;
            case "#!scale":
                output.Display(Scale(part.Text), $"scale-{part.Line}");
                break;
            case var other when OfOtherLanguages.Contains(other):
                throw new DirectiveException($"'{other}': this kernel runs C# only. .NET Interactive (dotnet tool install Microsoft.dotnet-interactive) has other languages and shares values between them.");
            default:
                throw new DirectiveException($"The directive '{part.Kind}' is not known. Known ones: {string.Join(", ", Known)}.");
        }
    }

    /// <summary>The file that a <c>#!import</c> names.</summary>
    /// <exception cref="DirectiveException">There is no such file, or it is of a kind that cannot be imported.</exception>
    public string ResolveImport(string argument, string folder)
    {
        var path = Path.GetFullPath(argument.Trim().Trim('"'), folder);
        if (argument.Length == 0 || !File.Exists(path))
        {
            throw new DirectiveException($"#!import: the file '{path}' does not exist.");
        }

        return Path.GetExtension(path) is ".ipynb" or ".dib" or ".cs" or ".csx"
            ? path
            : throw new DirectiveException($"#!import: '{path}' is not a .ipynb, .dib, .cs or .csx file.");
    }

    /// <summary>The code cells of a file.</summary>
    /// <exception cref="DirectiveException">A notebook that cannot be read.</exception>
    public static IReadOnlyList<string> CellsOf(string path)
    {
        if (Path.GetExtension(path) is not (".ipynb" or ".dib"))
            return [File.ReadAllText(path)];
        try
        {
            return [.. Notebook.Load(path).CodeCells.Select(c => c.Source)];
        }
        catch (InvalidDataException e)
        {
            throw new DirectiveException($"#!import: {e.Message}", e);
        }
    }

    /// <summary>Markdown, HTML or JavaScript text as a displayed value.</summary>
    public static MimeBundle Markup(string kind, string text) => kind == "html"
        ? ValueFormatting.Html(text, text)
        : kind == "javascript"
        ? new MimeBundle(new Dictionary<string, JsonNode> { ["application/javascript"] = JsonValue.Create(text), ["text/plain"] = JsonValue.Create("JavaScript, run by pages that allow it") })
        : new MimeBundle(new Dictionary<string, JsonNode>
        {
            ["text/markdown"] = JsonValue.Create(text),
            ["text/html"] = JsonValue.Create(Markdown.ToHtml(text)),
            ["text/plain"] = JsonValue.Create(text),
        });

    private static MimeBundle Scale(string argument)
    {
        try
        {
            return SessionCommands.Scale(argument);
        }
        catch (ArgumentException e)
        {
            throw new DirectiveException(e.Message, e);
        }
    }

    private async Task ReferenceAsync(string argument, string folder, ICellOutput output, CancellationToken cancel)
    {
        if (!argument.StartsWith("nuget:", StringComparison.OrdinalIgnoreCase))
        {
            references.AddFile(Path.GetFullPath(argument, folder));
            return;
        }

        var parts = argument["nuget:".Length..].Split(',', StringSplitOptions.TrimEntries);
        if (parts.Length > 2 || !PackageName().IsMatch(parts[0]))
        {
            throw new DirectiveException($"#r: '{argument}' is not of the form \"nuget: Name\" or \"nuget: Name, Version\".");
        }

        var request = new PackageRequest(parts[0], parts.Length == 2 && parts[1].Length > 0 && parts[1] != "*" ? parts[1] : null);
        if (references.AddCarried(request.Name))
        {
            var own = CarriedPackages.Instance.VersionOf(request.Name);
            if (request.Version is not null && own != request.Version)
            {
                output.Stream("stderr", $"{request.Name} {request.Version} was asked for; the kernel carries {own} and uses that.\n");
            }

            return;
        }

        if (packages.TryGetValue(request.Name, out var earlier))
        {
            if (request.Version is null || request.Version == earlier.Version)
            {
                return;
            }

            throw new DirectiveException($"#r: {request.Name} {earlier.Version ?? "(newest)"} is loaded already; another version needs a restart of the kernel.");
        }

        var restored = await restore.RestoreAsync([.. packages.Values, request], sources, cancel).ConfigureAwait(false);
        packages.Add(request.Name, request);
        references.AddRestored(restored);
        if (restored.Versions.TryGetValue(request.Name, out var version) && version != request.Version)
        {
            output.Stream("stdout", $"{request.Name} {version} is used.\n");
        }
    }

    private void AddSource(string argument, string folder)
    {
        var source = argument.StartsWith("nuget:", StringComparison.OrdinalIgnoreCase) ? argument["nuget:".Length..].Trim() : argument;
        if (source.Length == 0)
        {
            throw new DirectiveException("#i: a folder or feed address is missing: #i \"nuget: folder\".");
        }

        var isAddress = source.Contains("://", StringComparison.Ordinal);
        var full = isAddress ? source : Path.GetFullPath(source, folder);
        if (!isAddress && !Directory.Exists(full))
        {
            throw new DirectiveException($"#i: the folder '{full}' does not exist.");
        }

        sources.Add(full);
    }

    private static string Unquote(CellPart part)
    {
        var match = Quoted().Match(part.Text);
        return match.Success ? match.Groups[1].Value.Trim() : throw new DirectiveException($"{part.Kind}: the argument must stand in double quotes on the same line.");
    }

    private static MimeBundle About() => ValueFormatting.Text(
        $"Sparseland {typeof(DirectiveRunner).Assembly.GetName().Version?.ToString(3)}, C# notebook engine\n.NET {Environment.Version}, {System.Runtime.InteropServices.RuntimeInformation.RuntimeIdentifier}");

    [GeneratedRegex("""^"([^"]*)"\s*;?\s*(//.*)?$""")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$")]
    private static partial Regex PackageName();
}
