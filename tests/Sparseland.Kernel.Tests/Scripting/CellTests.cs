using Sparseland.Kernel.Scripting;

namespace Sparseland.Kernel.Tests.Scripting;

public sealed class CellTests : EngineTest
{
    [Theory]
    [InlineData("1 + 1", "2")]
    [InlineData("\"a\" + 1", "a1")]
    [InlineData("1.5", "1.5")]
    [InlineData("await Task.FromResult(3)", "3")]
    [InlineData("var x = 4; x", "4")]
    [InlineData("(string?)null", "<null>")]
    [InlineData("new[] { 1, 2 }.Where(i => i > 1).Single()", "2")]
    [InlineData("var z = 5; return z + 1;", "6")]
    [InlineData("if (DateTime.Now.Year > 1) return 7; return 8;", "7")]
    [InlineData("return;", null)]
    [InlineData("field = 2; int field;", null)]
    [InlineData("1 + 1;", null)]
    [InlineData("var y = 3;", null)]
    [InlineData("Console.Write(\"\")", null)]
    [InlineData("", null)]
    [InlineData("// nothing but a comment", null)]
    [InlineData("class C { }", null)]
    public async Task The_trailing_expression_is_the_result(string code, string? expected)
    {
        if (code.StartsWith("1 + 1;", StringComparison.Ordinal))
        {
            // An expression with ';' is no statement in C#: it must be said, not run.
            Assert.Contains("CS0201", Text(await Fail(code)), StringComparison.Ordinal);
            return;
        }

        Assert.Equal(expected, (await Run(code)).ResultText);
    }

    [Fact]
    public async Task Variables_usings_types_and_methods_persist()
    {
        await Run("using System.Numerics; int a = 20; int Twice(int n) => 2 * n; record Point(int X, int Y);");
        Assert.Equal("42", (await Run("Twice(a) + 2")).ResultText);
        Assert.Equal("5", (await Run("(int)new Complex(3, 4).Magnitude")).ResultText);
        Assert.Equal("Point { X = 1, Y = 2 }", (await Run("new Point(1, 2).ToString()")).ResultText);
        await Run("a = 1; string a2 = \"shadow\";");
        Assert.Equal("1", (await Run("a")).ResultText);
        await Run("var a = \"now a string\";");
        Assert.Equal("now a string", (await Run("a")).ResultText);
    }

    [Fact]
    public async Task Current_language_features_compile()
    {
        var output = await Run(
            """"
            int[] numbers = [1, 2, .. new[] { 3 }];
            var raw = """
                #!time is text here
                """;
            static int Squared(this int n) => n * n;
            class Halves { public int Value { get => field / 2; set; } }
            $"{numbers.Length} {raw} {7.Squared()} {new Halves { Value = 8 }.Value}"
            """");
        Assert.Equal("3 #!time is text here 49 4", output.ResultText);
    }

    [Fact]
    public async Task What_was_declared_before_an_exception_stays()
    {
        await Fail("var kept = 5; throw new InvalidOperationException(\"no\");");
        Assert.Equal("5", (await Run("kept")).ResultText);
    }

    [Fact]
    public async Task A_cell_that_does_not_compile_changes_nothing()
    {
        await Run("var n = 1;");
        await Fail("n = 2; undefined();");
        Assert.Equal("1", (await Run("n")).ResultText);
    }

    [Fact]
    public async Task Async_code_that_a_cell_waits_for_synchronously_does_not_deadlock()
    {
        var output = await Run(
            """
            async Task<int> Later() { await Task.Delay(5); await Task.Yield(); return 6; }
            Later().Result + await Later()
            """);
        Assert.Equal("12", output.ResultText);
    }

    [Fact]
    public async Task Background_work_goes_on_after_its_cell_and_writes_to_it()
    {
        var output = await Run(
            """
            var gate = new TaskCompletionSource();
            var finished = new TaskCompletionSource();
            async void Later() { await gate.Task; Console.Write("late"); finished.SetResult(); }
            Later();
            """);
        Assert.Equal("", output.Stdout);
        var next = await Run("gate.SetResult(); await finished.Task;");
        Assert.Equal("late", output.Stdout);
        Assert.Equal("", next.Stdout);
    }

    [Fact]
    public async Task Preprocessor_directives_of_the_language_work()
    {
        var output = await Run(
            """
            #nullable enable
            #region two
            #if NEVER
            Console.Write("wrong");
            #else
            Console.Write("right");
            #endif
            #endregion
            #pragma warning disable CS0168
            """);
        Assert.Equal("right", output.Stdout);
    }

    [Fact]
    public async Task Load_runs_a_script_file()
    {
        Write("part one.csx", "int fromFile = 12;");
        await Run("#load \"part one.csx\"\nfromFile++;");
        Assert.Equal("13", (await Run("fromFile")).ResultText);
    }

    [Fact]
    public async Task Bad_arguments_are_refused()
    {
        await Assert.ThrowsAsync<ArgumentNullException>(() => Engine.ExecuteAsync(null!, new RecordedOutput()));
        await Assert.ThrowsAsync<ArgumentNullException>(() => Engine.ExecuteAsync("1", null!));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => Engine.CompleteAsync("1", 2));
        Assert.Throws<DirectoryNotFoundException>(() => new ScriptEngine(new ScriptEngineOptions { WorkingDirectory = Path.Combine(Folder, "absent") }));
    }

    [Fact]
    public async Task Several_engines_keep_their_state_and_output_apart()
    {
        await using var other = new ScriptEngine(new ScriptEngineOptions { WorkingDirectory = Folder });
        var mine = new RecordedOutput();
        var theirs = new RecordedOutput();
        const string Code = "for (var i = 0; i < 50; i++) {{ Console.Write(\"{0}\"); await Task.Run(() => Console.Write(\"{0}\")); await Task.Yield(); }} display(\"{0}\"); var who = \"{0}\"; who";
        await Task.WhenAll(
            Engine.ExecuteAsync(string.Format(System.Globalization.CultureInfo.InvariantCulture, Code, "a"), mine),
            other.ExecuteAsync(string.Format(System.Globalization.CultureInfo.InvariantCulture, Code, "b"), theirs));
        Assert.Equal(new string('a', 100), mine.Stdout);
        Assert.Equal(new string('b', 100), theirs.Stdout);
        Assert.Equal("a", (string?)Assert.Single(mine.Displays).Data["text/plain"]);
        Assert.Equal("b", theirs.ResultText);
    }

    [Fact]
    public async Task Cells_of_one_engine_run_one_after_another()
    {
        var output = new RecordedOutput();
        await Task.WhenAll(
            Engine.ExecuteAsync("Console.Write(1); await Task.Delay(20); Console.Write(2);", output),
            Engine.ExecuteAsync("Console.Write(3);", output));
        Assert.Contains(output.Stdout, new[] { "123", "312" });
    }

    [Theory]
    [InlineData("1 + 1", Completeness.Complete)]
    [InlineData("var x = 3;", Completeness.Complete)]
    [InlineData("", Completeness.Complete)]
    [InlineData("if (true) {", Completeness.Incomplete)]
    [InlineData("foreach (var i in new[] { 1,", Completeness.Incomplete)]
    [InlineData("#!time\nwhile (true) {", Completeness.Incomplete)]
    [InlineData("#r \"nuget: A, 1\"\n1", Completeness.Complete)]
    [InlineData("}", Completeness.Invalid)]
    [InlineData("1 2", Completeness.Invalid)]
    public void Completeness_of_code(string code, Completeness expected) => Assert.Equal(expected, Engine.IsComplete(code));
}
