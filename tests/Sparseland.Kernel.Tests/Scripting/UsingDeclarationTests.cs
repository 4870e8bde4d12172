namespace Sparseland.Kernel.Tests.Scripting;

/// <summary><c>using var</c> at the top level of a cell.</summary>
public sealed class UsingDeclarationTests : EngineTest
{
    private const string Resource = "class Held(string name) : IDisposable { public string Name => name; public void Dispose() => Log.Add(name); } static class Log { public static List<string> All = new(); public static void Add(string s) => All.Add(s); }";

    [Fact]
    public async Task The_value_lives_until_the_name_gets_another()
    {
        await Run(Resource);
        await Run("int before = 1;\nusing var a = new Held(\"first\");\nusing Held b = new(\"other\"), c = new(\"third\");");
        Assert.Equal("first 0", (await Run("$\"{a.Name} {Log.All.Count}\"")).ResultText);
        await Run("using var a = new Held(\"second\");");
        Assert.Equal("second first", (await Run("$\"{a.Name} {string.Join(\" \", Log.All)}\"")).ResultText);
        await Run("var b = 5;");
        Assert.Equal("first other", (await Run("string.Join(\" \", Log.All)")).ResultText);
    }

    [Fact]
    public async Task Await_using_works_as_well()
    {
        await Run("using System.Collections.Generic;\nstatic class Log { public static List<string> All = new(); }\nclass Slow(string name) : IAsyncDisposable { public async ValueTask DisposeAsync() { await Task.Delay(1); Log.All.Add(name); } }");
        await Run("await using var a = new Slow(\"first\");\nawait using Slow b = new(\"other\");");
        Assert.Equal("0", (await Run("Log.All.Count")).ResultText);
        await Run("await using var a = new Slow(\"second\");");
        Assert.Equal("first", (await Run("string.Join(\" \", Log.All)")).ResultText);
    }

    [Fact]
    public async Task Blocks_and_statements_mean_what_they_always_did()
    {
        await Run(Resource);
        await Run("using System.Text;\n{ using var inner = new Held(\"inner\"); }\nusing (new Held(\"statement\")) { }");
        Assert.Equal("inner statement", (await Run("string.Join(\" \", Log.All)")).ResultText);
    }

    [Fact]
    public async Task A_dispose_that_throws_is_told_and_the_engine_goes_on()
    {
        await Run("class Bad : IDisposable { public void Dispose() => throw new InvalidOperationException(\"no\"); }\nusing var bad = new Bad();");
        await Run("var bad = 1;");
        Assert.Equal("1", (await Run("bad")).ResultText);
    }
}
