using Sparseland.Kernel.Scripting;

namespace Sparseland.Kernel.Tests.Scripting;

public sealed class ErrorTests : EngineTest
{
    [Fact]
    public async Task A_compile_error_shows_line_caret_id_and_hint()
    {
        await Run("1");
        var error = await Fail("var a = 1;\nvar b = missing + 1;");
        Assert.Equal("CompilationError", error.Name);
        Assert.StartsWith("CS0103", error.Message, StringComparison.Ordinal);
        Assert.StartsWith("Cell [2], line 2: error CS0103", error.Traceback[0], StringComparison.Ordinal);
        Assert.Equal("    var b = missing + 1;", error.Traceback[1]);
        Assert.Equal("            ^", error.Traceback[2]);
        Assert.Contains("hint:", error.Traceback[3], StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_exception_whose_message_throws_is_an_error_like_any_other()
    {
        var error = await Fail("class Odd : Exception { public override string Message => throw new FormatException(\"no\"); }\nthrow new Odd();");
        Assert.Equal("Odd", error.Name);
        Assert.Equal("(its Message throws FormatException)", error.Message);
        Assert.Contains("Cell [1], line 2", Text(error), StringComparison.Ordinal);
        Assert.Equal("3", (await Run("1 + 2")).ResultText);
    }

    [Fact]
    public async Task A_chain_without_end_is_cut()
    {
        var error = await Fail("Exception deep = new Exception(\"d0\"); for (int i = 1; i < 5000; i++) deep = new Exception($\"d{i}\", deep);\nthrow deep;");
        Assert.Equal("d4999", error.Message);
        Assert.Contains("caused by System.Exception: d4998", Text(error), StringComparison.Ordinal);
        Assert.InRange(error.Traceback.Count, 50, 60);
        Assert.Contains("and more causes", error.Traceback[^1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Line_numbers_count_the_directives_before_the_code()
    {
        var error = await Fail("#!time\n\n\nthrow new Exception(\"x\");");
        Assert.Contains("Cell [1], line 4", Text(error), StringComparison.Ordinal);
        error = await Fail("#!time\nint i = \"s\";");
        Assert.Contains("Cell [2], line 2: error CS0029", Text(error), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_exception_shows_the_cells_lines_and_no_frame_of_the_engine()
    {
        await Run("int Divide(int a, int b)\n{\n    return a / b;\n}");
        var error = await Fail("var zero = 0;\nDivide(1, zero)");
        Assert.Equal("DivideByZeroException", error.Name);
        var text = Text(error);
        Assert.Contains("Divide in Cell [1], line 3", text, StringComparison.Ordinal);
        Assert.True(text.Contains("> return a / b;", StringComparison.Ordinal), text);
        Assert.Contains("Cell [2], line 2", text, StringComparison.Ordinal);
        Assert.DoesNotContain("Submission#", text, StringComparison.Ordinal);
        Assert.DoesNotContain("Roslyn", text, StringComparison.Ordinal);
        Assert.DoesNotContain("CodeAnalysis", text, StringComparison.Ordinal);
        Assert.DoesNotContain("Sparseland.Kernel", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_cause_of_several_is_shown_on_all_levels()
    {
        var error = await Fail("""
            throw new AggregateException("two things",
                new InvalidOperationException("first", new FormatException("below first")),
                new AggregateException(new ArgumentException("second a"), new ArgumentException("second b")));
            """);
        Assert.Equal("AggregateException", error.Name);
        string[] lines = [.. error.Traceback.Where(l => !l.TrimStart().StartsWith("at ", StringComparison.Ordinal) && !l.TrimStart().StartsWith('>') && l.Trim() != "^")];
        Assert.Equal(6, lines.Length);
        Assert.StartsWith("System.AggregateException: two things", lines[0], StringComparison.Ordinal);
        Assert.Equal("  cause 1 of 2: System.InvalidOperationException: first", lines[1]);
        Assert.Equal("  caused by System.FormatException: below first", lines[2]);
        Assert.StartsWith("  cause 2 of 2: System.AggregateException: ", lines[3], StringComparison.Ordinal);
        Assert.Equal("    cause 1 of 2: System.ArgumentException: second a", lines[4]);
        Assert.Equal("    cause 2 of 2: System.ArgumentException: second b", lines[5]);
    }

    [Theory]
    [InlineData("static class E { public static int Twice(this int x) => 2 * x; }", "top level")]
    [InlineData("static class E { extension(int x) { public int Twice() => 2 * x; } }", "top level")]
    [InlineData("namespace N { class C { } }", "namespaces")]
    public async Task What_a_script_cannot_hold_says_what_to_do(string code, string hint)
    {
        Assert.Contains(hint, Text(await Fail(code)), StringComparison.Ordinal);
        Assert.Equal("42", (await Run("static int Twice(this int x) => 2 * x;\n21.Twice()")).ResultText);
    }

    [Fact]
    public async Task The_caret_stands_under_the_throwing_statement()
    {
        var error = await Fail("int[] few = [1];\nvar fine = few[0]; int.Parse(\"x\");");
        Assert.True(Text(error).Contains("> var fine", StringComparison.Ordinal), Text(error));
        var at = error.Traceback.ToList().FindIndex(l => l.Contains("> var fine", StringComparison.Ordinal));
        Assert.True(at >= 0, Text(error));
        Assert.Equal(error.Traceback[at].IndexOf("int.Parse", StringComparison.Ordinal), error.Traceback[at + 1].IndexOf('^', StringComparison.Ordinal));
    }

    [Fact]
    public async Task An_index_out_of_range_names_its_cell()
    {
        var error = await Fail("int[] few = [1];\nfew[3] = 2;");
        Assert.Equal("IndexOutOfRangeException", error.Name);
        Assert.Contains("in Cell [1]", Text(error), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Causes_are_shown_too()
    {
        var error = await Fail("try { int.Parse(\"x\"); } catch (Exception e) { throw new InvalidOperationException(\"outer\", e); }");
        Assert.Equal(("InvalidOperationException", "outer"), (error.Name, error.Message));
        Assert.Contains("caused by System.FormatException", Text(error), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_exception_after_an_await_and_in_a_lambda_has_its_line()
    {
        var error = await Fail("await Task.Yield();\nvar q = new[] { 1 }.Select(i =>\n    i / (i - 1));\nq.ToList()");
        Assert.Equal("DivideByZeroException", error.Name);
        Assert.Contains("Cell [1], line 3", Text(error), StringComparison.Ordinal);
        Assert.Contains("Cell [1], line 4", Text(error), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("new Thread(() => throw new InvalidOperationException(\"stray\")).Start(); Thread.Sleep(200);")]
    [InlineData("ThreadPool.QueueUserWorkItem(_ => throw new InvalidOperationException(\"stray\")); Thread.Sleep(200);")]
    [InlineData("async void Bad() { await Task.Yield(); throw new InvalidOperationException(\"stray\"); } Bad(); Thread.Sleep(200);")]
    public async Task An_exception_in_the_background_is_told_and_leaves_the_process_alive(string code)
    {
        var output = await Run(code);
        Assert.Contains("InvalidOperationException: stray", output.Stderr, StringComparison.Ordinal);
        Assert.Equal("2", (await Run("1 + 1")).ResultText);
    }

    [Fact]
    public async Task Warnings_do_not_disturb()
    {
        var output = await Run("int unused; string s = null; async Task<int> F() { return 1; } [Obsolete] void Old() { } Old();");
        Assert.Empty(output.Events);
    }

    [Fact]
    public async Task An_error_of_an_imported_file_names_that_file()
    {
        Write("lib.csx", "int one = 1;\nthrow new Exception(\"in file\");");
        var error = await Fail("#!import lib.csx");
        Assert.Contains("lib.csx", Text(error), StringComparison.Ordinal);
        Assert.Contains("line 2", Text(error), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("%%javascript\nalert(1)", "%%javascript")]
    [InlineData("\n%matplotlib inline", "%matplotlib")]
    [InlineData("!ls -l", "!ls -l")]
    public async Task Magics_are_refused_in_one_message(string code, string magic)
    {
        var error = await Fail(code);
        Assert.Equal("DirectiveError", error.Name);
        Assert.StartsWith($"'{magic}': magics and shell commands are not supported", error.Message, StringComparison.Ordinal);
        Assert.Single(error.Traceback);
    }

    [Fact]
    public async Task A_negation_is_no_shell_command() => Assert.Equal("False", (await Run("var yes = true;\n!yes")).ResultText);

    [Fact]
    public async Task An_error_of_libtorch_shows_no_native_frames()
    {
        var error = await Fail("using TorchSharp;\ntorch.mm(torch.ones(2, 3), torch.ones(2, 3));");
        Assert.DoesNotContain("frame #", Text(error), StringComparison.Ordinal);
        Assert.DoesNotContain("Exception raised from", error.Message, StringComparison.Ordinal);
        Assert.Contains("2x3", error.Message, StringComparison.Ordinal);
        Assert.Contains("Cell [1], line 2", Text(error), StringComparison.Ordinal);
    }
}
