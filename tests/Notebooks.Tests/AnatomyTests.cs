using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Sparseland.Kernel.Commands;
using Sparseland.Kernel.Gallery;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;
using Sparseland.Kernel.Scripting;

namespace Notebooks.Tests;

/// <summary>What every notebook of the series is made of, and what may be stored in it.</summary>
public partial class AnatomyTests
{
    private const int LongestCell = 20;
    private const string Start = "00-start-here.ipynb";

    // What the C# kernel of .NET Interactive imports by itself.
    private static readonly string[] InteractiveUsings = ["System", "System.Text", "System.Collections", "System.Collections.Generic", "System.Threading.Tasks", "System.Linq"];

    // Names of types that only our engine imports, with their namespaces.
    private static readonly Dictionary<string, string> OnlyOurs = new[] { typeof(File), typeof(Thread), typeof(Barrier), typeof(FileSystemWatcher), typeof(System.Globalization.CultureInfo) }
        .SelectMany(type => type.Assembly.GetExportedTypes())
        .Where(type => !type.IsNested && type.Namespace is { } space && ScriptEngineOptions.DefaultUsings.Contains(space) && !InteractiveUsings.Contains(space))
        .GroupBy(type => type.Name.Split('`')[0]).ToDictionary(group => group.Key, group => group.First().Namespace!);

    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void The_parts_are_there_in_their_order(string path)
    {
        var notebook = Series.Load(path);
        var headings = notebook.Cells.Where(c => c.Type == "markdown").SelectMany(c => c.Source.Split('\n')).Where(l => l.StartsWith('#')).ToList();
        Assert.StartsWith("# ", headings[0], StringComparison.Ordinal);
        Assert.Single(headings, h => h.StartsWith("# ", StringComparison.Ordinal));
        Assert.Equal("markdown", notebook.Cells[0].Type);
        Assert.NotEmpty(new Card(notebook, path).Question);
        var setup = notebook.CodeCells.First();
        Assert.Equal(NotebookTemplate.SetupCell.ReplaceLineEndings("\n"), setup.Source);

        // The start notebook teaches how to read the others; it claims nothing.
        if (path == Start)
            return;
        string[] wanted = ["Claims", "Your turn", "What does not carry over", "Sources"];
        var found = wanted.Select(w => headings.FindIndex(h => h.Contains(w, StringComparison.OrdinalIgnoreCase))).ToList();
        Assert.DoesNotContain(-1, found);
        Assert.Equal(found.Order(), found);
    }

    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void The_kernel_is_named_as_every_host_knows_it(string path)
    {
        var notebook = Series.Load(path);
        notebook.RequireCSharp();
        Assert.Equal(Notebook.KernelName, (string?)notebook.Metadata["kernelspec"]!["name"]);
    }

    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void No_cell_is_longer_than_a_screen(string path) =>
        Assert.All(Series.Load(path).CodeCells, c => Assert.True(c.Source.Split('\n').Length <= LongestCell, $"cell '{c.Id}' has {c.Source.Split('\n').Length} lines:\n{c.Source}"));

    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void The_file_is_small_and_as_Jupyter_writes_it(string path)
    {
        var file = Series.FullPath(path);
        Assert.InRange(new FileInfo(file).Length, 1, path == Start ? 1_500_000 : 3_000_000);
        Assert.Equal(File.ReadAllText(file), Series.Load(path).ToText());
    }

    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void No_script_no_address_of_a_script_and_no_path_of_a_machine_is_stored(string path)
    {
        var notebook = Series.Load(path);
        foreach (var output in notebook.CodeCells.SelectMany(c => c.Outputs))
        {
            var text = output.ToJsonString(new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
            Assert.DoesNotContain("<script", text, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotMatch(@"https?://[^""' ]*\.js\b", text);
            Assert.DoesNotMatch(MachinePath(), text);
        }

        Assert.All(notebook.Cells, c => Assert.DoesNotMatch(MachinePath(), c.Source));
    }

    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void Code_uses_the_multiplications_that_check_their_shapes(string path) =>
        Assert.All(Series.Load(path).CodeCells, c => Assert.DoesNotMatch(@"\bmatmul\s*\(", c.Source));

    /// <summary>Our engine imports more than .NET Interactive does: what a cell takes from there it must import itself.</summary>
    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void Every_host_knows_the_names(string path)
    {
        var (imported, declared) = (new HashSet<string>(InteractiveUsings), new HashSet<string>());
        foreach (var cell in Series.Load(path).CodeCells)
        {
            var root = CSharpSyntaxTree.ParseText(cell.Source, new CSharpParseOptions(kind: SourceCodeKind.Script)).GetCompilationUnitRoot();
            imported.UnionWith(root.Usings.Select(u => u.Name?.ToString() ?? ""));
            declared.UnionWith(root.DescendantNodes().Select(Declared).OfType<string>());
            var names = root.DescendantNodes().OfType<SimpleNameSyntax>().Where(n => n.Parent is not MemberAccessExpressionSyntax access || access.Expression == n).Select(n => n.Identifier.ValueText);
            var missing = names.Distinct().Except(declared).Where(n => OnlyOurs.TryGetValue(n, out var space) && !imported.Contains(space)).Select(n => $"{n} of {OnlyOurs[n]}");
            Assert.True(!missing.Any(), $"cell '{cell.Id}' needs a using of its own for {string.Join(", ", missing)}.");
        }
    }

    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void No_cell_has_a_using_declaration_which_other_hosts_do_not_compile(string path)
    {
        foreach (var cell in Series.Load(path).CodeCells)
        {
            // As a program: a script takes the keyword for that of a directive.
            var root = CSharpSyntaxTree.ParseText(cell.Source).GetCompilationUnitRoot();
            var declared = root.Members.OfType<GlobalStatementSyntax>().Select(m => m.Statement).OfType<LocalDeclarationStatementSyntax>().Where(d => d.UsingKeyword.IsKind(SyntaxKind.UsingKeyword));
            Assert.True(!declared.Any(), $"cell '{cell.Id}' has '{declared.FirstOrDefault()}' at its top level; .NET Interactive does not compile it. Write it without using, or in braces.");
        }
    }

    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void Stored_outputs_belong_to_the_code(string path) => Assert.Empty(StaleCheck.Reasons(Series.Load(path)));

    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void Every_formula_can_be_shown_without_a_network(string path)
    {
        var copy = ReadingCopy.Render(Notebook.Load(Series.FullPath(path)), new ReadingCopyOptions());
        Assert.DoesNotContain("class=\"tex\"", copy, StringComparison.Ordinal);
    }

    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void A_paper_has_its_code_in_a_room_of_the_library(string path)
    {
        var facts = PaperFacts.Read(Series.Load(path));
        // What stands before the chapters is about no paper.
        if (!path.Contains('/', StringComparison.Ordinal))
        {
            Assert.Null(facts);
            return;
        }

        Assert.NotNull(facts);
        Assert.True(File.Exists(Path.Combine(Series.Root, facts.File)), $"{facts.File} is not there");
        Assert.NotNull(typeof(Sparseland.Evaluation.Claim).Assembly.GetType($"Sparseland.{facts.Room.Replace('/', '.')}.{facts.Type}"));
    }

    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void It_says_what_to_read_before_and_after(string path)
    {
        var notebook = Series.Load(path);
        var place = CoursePlace.Read(notebook);
        Assert.NotNull(place);
        Assert.Equal(path == "00-start-here.ipynb", place.Before.Count == 0);
        Assert.Equal(Course.CellTag, notebook.Cells[^1].Metadata["tags"]?[0]?.GetValue<string>());
    }

    [Fact]
    public void The_course_has_three_paths_and_an_opening_for_each_chapter()
    {
        var cards = GalleryCommand.StoredCards(Series.Paths());
        var course = Course.Of(cards);
        Assert.Equal(3, course.Paths.Count);
        Assert.All(course.Paths, p => Assert.InRange(p.Cards.Count, 5, 7));
        // Whoever follows a path has read what its notebooks ask for, on the path or before the chapters.
        foreach (var path in course.Paths)
        {
            HashSet<string> read = [.. cards.Where(c => c.Chapter.Length == 0).Select(c => c.Path)];
            foreach (var card in path.Cards)
            {
                Assert.All(course.Before(card), b => Assert.Contains(b.Path, read));
                read.Add(card.Path);
            }
        }

        foreach (var chapter in cards.Where(c => c.Chapter.Length > 0).GroupBy(c => c.Chapter))
            Assert.Single(chapter, c => CoursePlace.Read(c.Notebook)!.IsOpening);
    }

    [Theory, MemberData(nameof(Series.All), MemberType = typeof(Series))]
    public void A_claim_that_did_not_hold_has_a_reason_and_no_other_has(string path)
    {
        var card = new Card(Series.Load(path), path);
        Assert.Equal(ResultsPage.NotReproduced(card).Select(c => c.Statement).Distinct().Order(), ResultsPage.Reasons(card).Keys.Order());
        Assert.All(ResultsPage.Reasons(card).Values, reason => Assert.InRange(reason.Length, 20, 400));
    }

    [Fact]
    public void The_ledger_is_that_of_the_stored_outputs()
    {
        foreach (var (file, text) in Ledger.Files(Series.Root, GalleryCommand.StoredCards(Series.Paths())))
            Assert.True(File.Exists(file) && File.ReadAllText(file).ReplaceLineEndings("\n") == text, $"{file} is not current; run 'sparseland gallery --ledger'.");
    }

    private static string? Declared(SyntaxNode node) => node switch
    {
        VariableDeclaratorSyntax variable => variable.Identifier.ValueText,
        MethodDeclarationSyntax method => method.Identifier.ValueText,
        LocalFunctionStatementSyntax function => function.Identifier.ValueText,
        BaseTypeDeclarationSyntax type => type.Identifier.ValueText,
        ParameterSyntax parameter => parameter.Identifier.ValueText,
        TupleElementSyntax element => element.Identifier.ValueText,
        _ => null,
    };

    [GeneratedRegex(@"(?<![\w.:/])/(home|root|Users|tmp|work|opt|var)/\w|\b[A-Z]:\\\\?(Users|Windows|Program)")]
    private static partial Regex MachinePath();
}
