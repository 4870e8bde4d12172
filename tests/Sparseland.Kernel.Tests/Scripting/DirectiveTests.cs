using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Sparseland.Kernel.Tests.Scripting;

public sealed class DirectiveTests : EngineTest
{
    [Theory]
    [InlineData("#!nonsense", "#!nonsense")]
    [InlineData("var y = 1;\n#!fsharp\nlet x = 1", "#!fsharp")]
    [InlineData("#r nuget", "CS7010")]
    [InlineData("#r \"nuget: \"", "nuget")]
    [InlineData("#r \"nuget: A, 1, 2\"", "nuget: Name, Version")]
    [InlineData("#r \"absent.dll\"", "absent.dll")]
    [InlineData("#!import absent.ipynb", "absent.ipynb")]
    [InlineData("#!import", "#!import")]
    [InlineData("#i \"nuget: absent folder\"", "absent folder")]
    public async Task A_wrong_directive_is_named(string code, string expected) =>
        Assert.Contains(expected, Text(await Fail(code)), StringComparison.Ordinal);

    [Fact]
    public async Task An_unknown_directive_lists_the_known_ones() =>
        Assert.Contains("#!import", (await Fail("#!nonsense x")).Message, StringComparison.Ordinal);

    [Fact]
    public async Task Directives_inside_strings_and_comments_are_text()
    {
        var output = await Run(
            """"
            var s = @"
            #!nonsense
            "; var t = """
                #r "nuget: Nothing"
                """;
            /*
            #!nonsense
            */
            // #!nonsense
            s.Trim() + "|" + t
            """");
        Assert.Equal("#!nonsense|#r \"nuget: Nothing\"", output.ResultText);
    }

    [Fact]
    public async Task Order_of_code_and_directives_is_kept()
    {
        Write("two.csx", "Console.Write(2);");
        var output = await Run("Console.Write(1);\n#!import two.csx\nConsole.Write(3);\n#!markdown\n# four\n#!csharp\nConsole.Write(5);");
        Assert.Equal(["1", "2", "3", "# four", "5"], output.Events.Select(e => e.Text.Trim()));
        Assert.Contains("<h1", (string?)output.Displays[0].Data["text/html"], StringComparison.Ordinal);
        Assert.True(output.Displays[0].Data.ContainsKey("text/markdown"));
    }

    [Fact]
    public async Task Html_cells_show_html() =>
        Assert.Equal("<b>x</b>", ((string?)(await Run("#!html\n<b>x</b>")).Displays[0].Data["text/html"])!.Trim());

    [Fact]
    public async Task Time_and_about_show_something()
    {
        Assert.Matches(@"^Wall time: \d+(\.\d+)? ms$", (string?)(await Run("#!time\nvar x = 1;")).Displays[0].Data["text/plain"]);
        Assert.Contains(".NET", (string?)(await Run("#!about")).Displays[0].Data["text/plain"], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("#r \"nuget: TorchSharp\"")]
    [InlineData("#r \"nuget: TorchSharp-cpu, 0.107.0\"")]
    [InlineData("#r \"nuget: libtorch-cpu-linux-x64, 2.10.0\"")]
    [InlineData("#r \"nuget: Plotly.NET, 6.0.0\"")]
    [InlineData("#r \"nuget:Plotly.NET.CSharp\"")]
    [InlineData("#r \"nuget: Sparseland.Notebooks\"")]
    [InlineData("#r \"nuget: Sparseland\"")]
    [InlineData("#r \"nuget: XPlot.Plotly\"")]
    [InlineData("#r \"nuget: Microsoft.Data.Analysis\"")]
    public async Task Carried_packages_resolve_at_once(string directive)
    {
        Assert.Empty((await Run(directive)).Events);
        Assert.False(Directory.Exists(Path.Combine(Folder, "packages")));
    }

    [Fact]
    public async Task Another_version_of_a_carried_package_warns()
    {
        var output = await Run("#r \"nuget: Microsoft.Data.Analysis, 0.20.0\"");
        Assert.Contains("0.20.0", output.Stderr, StringComparison.Ordinal);
        Assert.Contains("0.23.1", output.Stderr, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_carried_package_outside_the_default_references_can_be_added()
    {
        await Fail("Spectre.Console.Color.Red.ToString()");
        Assert.Equal("red", (await Run("#r \"nuget: Spectre.Console\"\nSpectre.Console.Color.Red.ToString()")).ResultText);
    }

    [Fact]
    public async Task Framework_assemblies_can_be_named() => Assert.Equal("<a />", (await Run("#r \"System.Xml.Linq\"\nnew System.Xml.Linq.XElement(\"a\").ToString()")).ResultText);

    [Fact]
    public async Task A_users_assembly_is_loaded_once_with_what_it_needs()
    {
        Compile("inner", "public static class Inner { public static int Value => 41; }");
        Compile("outer", "public static class Outer { public static int Value => Inner.Value + 1; }", "inner");
        Write("lib folder/setup.csx", "#r \"inner-engine-test.dll\"\nvar setUp = Inner.Value;");
        Assert.Equal("41", (await Run("#!import \"lib folder/setup.csx\"\nsetUp")).ResultText);
        Assert.Equal("42", (await Run("#r \"lib folder/outer-engine-test.dll\"\nOuter.Value")).ResultText);
        Assert.Equal("42", (await Run("#r \"lib folder/inner-engine-test.dll\"\nInner.Value + 1")).ResultText);
        Assert.Equal("True", (await Run("typeof(Outer).Assembly == AppDomain.CurrentDomain.GetAssemblies().Single(a => a.GetName().Name == \"outer-engine-test\")")).ResultText);
    }

    [Fact]
    public async Task A_path_to_an_assembly_that_the_engine_carries_gives_the_loaded_one()
    {
        var copy = Path.Combine(Folder, "Sparseland.Notebooks.dll");
        File.Copy(typeof(Sparseland.Notebooks.Hosting.CellGlobals).Assembly.Location, copy);
        var output = await Run("#r \"Sparseland.Notebooks.dll\"\ndisplay(typeof(Sparseland.Notebooks.Hosting.MimeBundle).Assembly.Location);");
        Assert.Equal(typeof(Sparseland.Notebooks.Hosting.CellGlobals).Assembly.Location, (string?)output.Displays[0].Data["text/plain"]);
    }

    [Fact]
    public async Task A_file_that_is_not_an_assembly_is_refused()
    {
        Write("text.dll", "not a library");
        Assert.Contains("not a .NET assembly", (await Fail("#r \"text.dll\"")).Message, StringComparison.Ordinal);
        Assert.Equal("2", (await Run("1 + 1")).ResultText);
    }

    [Theory]
    [InlineData("helper.ipynb", "{\"cells\":[{\"cell_type\":\"markdown\",\"source\":\"x\"},{\"cell_type\":\"code\",\"source\":[\"var helped = 7;\\n\",\"helped++;\"]}],\"metadata\":{},\"nbformat\":4,\"nbformat_minor\":5}")]
    [InlineData("helper.dib", "#!meta\n\n{\"kernelInfo\":{\"defaultKernelName\":\"csharp\"}}\n\n#!markdown\n\n# title\n\n#!csharp\n\nvar helped = 8;\n")]
    [InlineData("helper.cs", "using System;\npublic static class H { public static int helped = 8; }\nvar helped = 8;")]
    [InlineData("helper.csx", "var helped = 8;")]
    public async Task Files_of_every_kind_can_be_imported(string name, string text)
    {
        Write(name, text);
        Assert.Equal("8", (await Run($"#!import \"{name}\"\nhelped")).ResultText);
    }

    [Fact]
    public async Task Imports_are_relative_to_the_importing_file_and_cycles_are_refused()
    {
        Write("sub/a.csx", "#!import b.csx\nvar a = b + 1;");
        Write("sub/b.csx", "var b = 1;");
        Assert.Equal("2", (await Run("#!import sub/a.csx\na")).ResultText);
        Write("x.csx", "#!import y.csx");
        Write("y.csx", "#!import x.csx");
        Assert.Contains("x.csx > y.csx > x.csx", (await Fail("#!import x.csx")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_malformed_notebook_cannot_be_imported()
    {
        Write("bad.ipynb", "{ \"cells\": 3 }");
        Assert.Contains("bad.ipynb", (await Fail("#!import bad.ipynb")).Message, StringComparison.Ordinal);
        Write("worse.ipynb", "no json");
        Assert.Contains("worse.ipynb", (await Fail("#!import worse.ipynb")).Message, StringComparison.Ordinal);
    }

    private void Compile(string name, string code, params string[] needs)
    {
        var folder = Directory.CreateDirectory(Path.Combine(Folder, "lib folder")).FullName;
        var trusted = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator);
        var result = CSharpCompilation.Create(
            name + "-engine-test",
            [CSharpSyntaxTree.ParseText(code)],
            trusted.Where(f => Path.GetFileName(f) is "System.Runtime.dll" or "System.Private.CoreLib.dll")
                .Concat(needs.Select(n => Path.Combine(folder, n + "-engine-test.dll")))
                .Select(f => MetadataReference.CreateFromFile(f)),
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary)).Emit(Path.Combine(folder, name + "-engine-test.dll"));
        Assert.True(result.Success, string.Join('\n', result.Diagnostics));
    }
}
