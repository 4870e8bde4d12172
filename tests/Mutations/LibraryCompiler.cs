using System.Text.Json;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Text;

namespace Mutations;

/// <summary>
/// The library of a copy of the clone, compiled in this process: one file changes from fault to fault, so that a build of the whole project
/// each time would take most of the check. The compiler's own arguments are asked of the build; what source generators wrote is read as files.
/// </summary>
internal sealed class LibraryCompiler
{
    private const string Project = "src/Sparseland/Sparseland.csproj";
    private readonly CSharpCompilation whole;
    private readonly Dictionary<string, SyntaxTree> trees;
    private readonly CSharpCommandLineArguments arguments;

    /// <exception cref="InvalidOperationException">The copy does not build.</exception>
    public LibraryCompiler(string copy)
    {
        Shell.Run(copy, "dotnet", "build", "src/Sparseland.Kernel", "-v", "q", "-p:RunAnalyzers=false", "-p:EmitCompilerGeneratedFiles=true");
        if (Shell.Try(copy, out string json, "dotnet", "build", Project, "--no-restore", "--no-dependencies", "-t:PrepareResources;Compile", "-v", "q",
            "-p:NonExistentFile=nowhere", "-p:ProvideCommandLineArgs=true", "-p:SkipCompilerExecution=true", "-getItem:CscCommandLineArgs") != 0)
        {
            throw new InvalidOperationException($"The build does not say how the library is compiled: {json[Math.Max(0, json.Length - 1000)..]}");
        }

        string folder = Path.Combine(copy, "src", "Sparseland");
        string[] given = [.. JsonDocument.Parse(json).RootElement.GetProperty("Items").GetProperty("CscCommandLineArgs").EnumerateArray().Select(item => item.GetProperty("Identity").GetString()!)];
        arguments = CSharpCommandLineParser.Default.Parse(given, folder, Path.GetDirectoryName(typeof(object).Assembly.Location));
        CSharpParseOptions options = arguments.ParseOptions.WithDocumentationMode(DocumentationMode.None);
        trees = arguments.SourceFiles.Select(file => Path.GetFullPath(file.Path, folder)).Concat(Directory.EnumerateFiles(Path.Combine(folder, "obj"), "*.g.cs", SearchOption.AllDirectories).Where(Generated))
            .AsParallel().AsOrdered().Select(path => Parse(path, File.ReadAllText(path), options)).ToDictionary(tree => tree.FilePath);
        whole = CSharpCompilation.Create("Sparseland", trees.Values, arguments.MetadataReferences.Select(reference => MetadataReference.CreateFromFile(reference.Reference)),
            // What may be null is asked at every build; here the analysis would be a good part of the time.
            arguments.CompilationOptions.WithGeneralDiagnosticOption(ReportDiagnostic.Default).WithNullableContextOptions(NullableContextOptions.Disable));
    }

    /// <summary>Writes the library with one file's text in place of its own: null, or the first error.</summary>
    /// <param name="file">Full path of the source file.</param>
    public string? Emit(string file, string text, string library)
    {
        SyntaxTree old = trees[file];
        CSharpCompilation changed = whole.ReplaceSyntaxTree(old, Parse(file, text, (CSharpParseOptions)old.Options));
        File.Delete(library);       // a hard link: the copy's own file stays as it is
        using FileStream into = File.Create(library);
        var result = changed.Emit(into, manifestResources: arguments.ManifestResources);
        return result.Success ? null : result.Diagnostics.First(diagnostic => diagnostic.Severity == DiagnosticSeverity.Error).ToString();
    }

    // Files of generators lie in a folder of their own below obj; the SDK's global usings, of the same ending, are among the sources already.
    private static bool Generated(string path) => path.Contains($"{Path.DirectorySeparatorChar}generated{Path.DirectorySeparatorChar}", StringComparison.Ordinal);

    private static SyntaxTree Parse(string path, string text, CSharpParseOptions options) => CSharpSyntaxTree.ParseText(SourceText.From(text, System.Text.Encoding.UTF8), options, path);
}
