using Sparseland.Kernel.Scripting;

namespace Sparseland.Kernel.Tests.Scripting;

public sealed class MagicTests : EngineTest
{
    [Fact]
    public async Task Who_and_whos_name_the_variables_once_with_type_and_value()
    {
        Assert.Equal("No variables.", Shown(await Run("#!who")));
        await Run("var x = 1; var matrix = new double[2, 2]; List<(int, string)> pairs = [];");
        await Run("var x = \"again\";");
        Assert.Equal("matrix  pairs  x", Shown(await Run("#!who")));
        var lines = Shown(await Run("#!whos")).Split('\n').Select(l => string.Join('|', l.Split("  ", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))).ToList();
        Assert.Equal("name|type|value", lines[0]);
        Assert.StartsWith("matrix|double[,]|double[2, 2]; 0", lines[1], StringComparison.Ordinal);
        Assert.StartsWith("pairs|List<(int, string)>|", lines[2], StringComparison.Ordinal);
        Assert.Equal("x|string|again", lines[3]);
    }

    [Fact]
    public async Task Claims_shows_the_table_so_far()
    {
        Assert.Contains("No claims so far", Shown(await Run("#!claims")), StringComparison.Ordinal);
        await Run("using Sparseland.Evaluation;\nvar claims = new Claims(\"T\", \"a paper\");\nclaims.Identity(\"one is one\", \"algebra\", 1, Relation.Equal, 1);");
        Assert.Contains("one is one", Shown(await Run("#!claims")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Scale_is_shown_and_set_for_the_next_start()
    {
        string? before = Environment.GetEnvironmentVariable("SPARSELAND_SCALE");
        try
        {
            Assert.Contains("Scale quick", Shown(await Run("#!scale quick")), StringComparison.Ordinal);
            Assert.StartsWith("Scale quick", Shown(await Run("#!scale")), StringComparison.Ordinal);
            Assert.Equal("Quick", (await Run("using Sparseland.Notebooks;\nLesson.Start().Scale.ToString()")).ResultText);
            Assert.Contains("tiny", (await Fail("#!scale tiny")).Message, StringComparison.Ordinal);
        }
        finally
        {
            Environment.SetEnvironmentVariable("SPARSELAND_SCALE", before);
        }
    }

    [Fact]
    public async Task Javascript_is_handed_to_the_page()
    {
        var display = Assert.Single((await Run("#!javascript\nalert(1);")).Displays);
        Assert.Equal("alert(1);", display.Data["application/javascript"].ToString());
    }

    [Theory]
    [InlineData("#!fsharp\nlet x = 1")]
    [InlineData("#!pwsh\nls")]
    [InlineData("#!share --from fsharp x")]
    public async Task Other_languages_are_refused_with_the_host_that_has_them(string code)
    {
        var error = await Fail(code);
        Assert.Contains(".NET Interactive", error.Message, StringComparison.Ordinal);
    }

    private static string Shown(RecordedOutput output) => output.Events.Single().Text;
}
