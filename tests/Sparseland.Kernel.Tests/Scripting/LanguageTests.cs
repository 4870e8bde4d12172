namespace Sparseland.Kernel.Tests.Scripting;

public sealed class LanguageTests : EngineTest
{
    [Theory]
    [InlineData("Console.Wri|", "WriteLine")]
    [InlineData("earlier.Spl|", "Split")]
    [InlineData("ear|", "earlier")]
    [InlineData("new Own().Mem|", "Member")]
    [InlineData("disp|", "display")]
    [InlineData("var here = 1; her|", "here")]
    [InlineData("#!im|", "#!import")]
    [InlineData("#r \"nuget: Torch|", "TorchSharp")]
    [InlineData("using System.Te|", "Text")]
    [InlineData("#!time\nConsole.Wri|", "WriteLine")]
    public async Task Completion_finds(string marked, string expected)
    {
        await Run("var earlier = \"a b\"; class Own { public int Member; }");
        var position = marked.IndexOf('|', StringComparison.Ordinal);
        var code = marked.Remove(position, 1);
        var found = await Engine.CompleteAsync(code, position);
        Assert.Contains(expected, found.Matches);
        Assert.InRange(found.Start, 0, position);
        Assert.Equal(position, found.End);
    }

    [Fact]
    public async Task Inspection_shows_signature_and_documentation()
    {
        await Run("/// <summary>Doubles.</summary>\nint Twice(int n) => 2 * n; List<int> list = [1];");
        Assert.Contains("int Twice(int n)", Plain(await Engine.InspectAsync("Twice(3)", 3)), StringComparison.Ordinal);
        Assert.Contains("Doubles.", Plain(await Engine.InspectAsync("Twice(3)", 3)), StringComparison.Ordinal);
        Assert.Contains("Add(int item)", Plain(await Engine.InspectAsync("list.Add(1)", 8)), StringComparison.Ordinal);
        Assert.Contains("Shows a value now", Plain(await Engine.InspectAsync("display(1)", 3)), StringComparison.Ordinal);
        Assert.Contains("square root", Plain(await Engine.InspectAsync("Math.Sqrt(2)", 9)), StringComparison.OrdinalIgnoreCase);
        Assert.Null(await Engine.InspectAsync("   ", 1));
    }

    [Fact]
    public async Task Completion_works_before_any_cell_ran() => Assert.Contains("Sqrt", (await Engine.CompleteAsync("Math.Sq", 7)).Matches);

    private static string Plain(Sparseland.Notebooks.Hosting.MimeBundle? bundle) => (string)bundle!.Data["text/plain"]!;
}
