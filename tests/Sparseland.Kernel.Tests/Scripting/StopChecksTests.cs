using Microsoft.CodeAnalysis.Text;
using Sparseland.Kernel.Scripting;

namespace Sparseland.Kernel.Tests.Scripting;

public sealed class StopChecksTests : EngineTest
{
    [Theory]
    [InlineData("var s = 0; for (var i = 0; i < 3; i++) for (var j = 0; j < 3; j++) s += i * j; s", "9")]
    [InlineData("var s = 0; foreach (var i in new[] { 1, 2 }) if (i > 1) s += i; else s -= i; s", "1")]
    [InlineData("var s = 0; foreach (var (a, b) in new[] { (1, 2) }) s += a + b; s", "3")]
    [InlineData("var s = 0; do s++; while (s < 5); s", "5")]
    [InlineData("var s = 0; while (s < 5) while (s < 3) s++; s", null)]
    [InlineData("int Fib(int n) => n < 2 ? n : Fib(n - 1) + Fib(n - 2); Fib(10)", "55")]
    [InlineData("int[] few = [7]; ref int First() => ref few[0]; First() = 8; few[0]", "8")]
    [InlineData("int Never() => throw new Exception(); void Add(List<int> to) => to.Add(1); var l = new List<int>(); Add(l); l.Count", "1")]
    [InlineData("async Task Wait() => await Task.Yield(); async Task<int> One() => await Task.FromResult(1); await Wait(); await One()", "1")]
    [InlineData("async ValueTask Wait() => await Task.Yield(); Task Plain() => Task.CompletedTask; await Wait(); await Plain(); 2", "2")]
    [InlineData("void Back() { var n = 0; again: n++; if (n < 3) goto again; Console.Write(n); } Back(); 1", "1")]
    [InlineData("class P { public int this[int i] => i; public static P operator +(P a, P b) { while (false) ; return a; } public P() { for (;;) break; } } new P()[4]", "4")]
    [InlineData("System.Linq.Expressions.Expression<Func<int, int>> e = x => x + 1; e.Compile()(1)", "2")]
    [InlineData("Func<int, int> f = delegate(int x) { return x; }; Action<int> g = x => { }; g(1); f(3)", "3")]
    [InlineData("IEnumerable<int> Up() { for (var i = 0; i < 3; i++) yield return i; } Up().Sum()", "3")]
    public async Task A_cell_means_the_same_with_its_checks(string code, string? result)
    {
        var checks = StopChecks.Into(code);
        Assert.Equal(code.Count(c => c == '\n'), checks.Code.Count(c => c == '\n'));
        if (result is not null)
        {
            Assert.Equal(result, (await Run(code)).ResultText);
        }

        // What the engine would fall back to silently.
        var diagnostics = Microsoft.CodeAnalysis.CSharp.CSharpSyntaxTree.ParseText(checks.Code, CellParser.ParseOptions).GetDiagnostics();
        Assert.Empty(diagnostics);
    }

    [Fact]
    public void Columns_lead_back_to_the_text()
    {
        const string code = "int F() => 1; while (F() > 0) Stop(\"here\"); After();";
        var checks = StopChecks.Into(code);
        Assert.Equal(4, checks.Edits.Count);
        foreach (var word in new[] { "F()", "while", "Stop(\"here", "After" })
        {
            var column = checks.Code.IndexOf(word, StringComparison.Ordinal);
            Assert.Equal(code.IndexOf(word, StringComparison.Ordinal), checks.OriginalColumn(SourceText.From(code), 0, column));
        }
    }

    [Fact]
    public async Task The_caret_stands_under_the_throwing_statement_of_a_loop()
    {
        var error = await Fail("for (var i = 0; i < 3; i++) int.Parse(\"x\" + i);");
        var at = error.Traceback.ToList().FindIndex(l => l.Contains("> for", StringComparison.Ordinal));
        Assert.Equal(error.Traceback[at].IndexOf("int.Parse", StringComparison.Ordinal), error.Traceback[at + 1].IndexOf('^', StringComparison.Ordinal));
        Assert.DoesNotContain("CellStop", Text(error), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_compile_error_in_a_loop_is_about_the_users_text()
    {
        var error = await Fail("while (true) missing++;");
        Assert.Equal("    while (true) missing++;", error.Traceback[1]);
        Assert.Equal(error.Traceback[1].IndexOf("missing", StringComparison.Ordinal), error.Traceback[2].IndexOf('^', StringComparison.Ordinal));
    }
}
