using Sparseland.Kernel.Scripting;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Tests.Scripting;

public sealed class OutputTests : EngineTest
{
    [Fact]
    public async Task Streams_and_displays_come_in_order()
    {
        var output = await Run("Console.WriteLine(\"1\"); display(2); Console.Error.Write(3); 4.Display(); Console.Write(\"{0}-{1}\", 5, 6); 7");
        Assert.Equal(
            [("stdout", "1\n"), ("display", "2"), ("stderr", "3"), ("display", "4"), ("stdout", "5-6"), ("result", "7")],
            output.Events.Select(e => (e.Kind, e.Text)));
    }

    [Fact]
    public async Task Writes_of_every_kind_reach_the_cell()
    {
        var output = await Run(
            """
            Console.Write('c'); Console.Write(1.5); Console.Write(new[] { 'x', 'y' }); Console.Write(true);
            Console.WriteLine(); Console.WriteLine("{0}", "f"); await Console.Out.WriteAsync("w"); await Console.Out.WriteLineAsync("l");
            Console.Out.Write("span".AsSpan()); Console.Out.Flush();
            """);
        Assert.Equal("c1.5xyTrue\nf\nwl\nspan", output.Stdout);
    }

    [Fact]
    public async Task A_receiver_may_itself_write_to_the_console()
    {
        var printing = new PrintingOutput();
        var result = await Engine.ExecuteAsync("Console.Write(1); display(2); 3", printing);
        Assert.Equal(CellStatus.Ok, result.Status);
        Assert.Equal(3, printing.Calls);
    }

    [Fact]
    public async Task Console_input_is_refused_clearly()
    {
        var error = await Fail("Console.ReadLine()");
        Assert.Equal("NotSupportedException", error.Name);
        Assert.Contains("nobody can answer", error.Message, StringComparison.Ordinal);
        Assert.Contains("nobody can answer", (await Fail("password()")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_display_at_the_end_is_shown_once()
    {
        var output = await Run("display(3)");
        Assert.Equal(("display", "3"), (output.Events.Single().Kind, output.Events.Single().Text));
        Assert.Null((await Run("3.Display()")).ResultBundle);
    }

    [Fact]
    public async Task A_display_can_be_updated_from_a_later_cell()
    {
        var first = await Run("var shown = display(\"before\");");
        var second = await Run("shown.Update(\"after\"); shown.DisplayId");
        var display = Assert.Single(first.Events);
        var update = second.Events[0];
        Assert.Equal(("update", "after", display.Id), (update.Kind, update.Text, update.Id));
        Assert.Equal(display.Id, second.ResultText);
    }

    [Fact]
    public async Task Html_is_html_and_has_a_plain_form()
    {
        var output = await Run("display(HTML(\"<b>x</b>\")); HTML(\"<i>y</i>\")");
        Assert.Equal("<b>x</b>", (string?)output.Displays[0].Data["text/html"]);
        Assert.Equal("<i>y</i>", (string?)output.ResultBundle!.Data["text/html"]);
        Assert.True(output.ResultBundle.Data.ContainsKey("text/plain"));
    }

    [Theory]
    [InlineData("1")]
    [InlineData("1.5f")]
    [InlineData("2.5m")]
    [InlineData("true")]
    [InlineData("'c'")]
    [InlineData("\"text\"")]
    public async Task Numbers_and_strings_are_plain(string code) =>
        Assert.Equal(["text/plain"], (await Run(code)).ResultBundle!.Data.Keys);

    [Fact]
    public async Task Text_can_be_shown_as_a_type_of_ones_own_choice()
    {
        var output = await Run("\"<b>1</b>\".DisplayAs(\"text/html\"); \"# t\".DisplayAs(\"text/markdown\");");
        Assert.Equal("<b>1</b>", (string?)output.Displays[0].Data["text/html"]);
        Assert.Equal("# t", (string?)output.Displays[1].Data["text/markdown"]);
    }

    [Fact]
    public async Task Pocket_views_render()
    {
        var output = await Run("using static Microsoft.DotNet.Interactive.Formatting.PocketViewTags;\nb[id: \"q\"](\"a<b\")");
        Assert.Equal("<b id=\"q\">a&lt;b</b>", (string?)output.ResultBundle!.Data["text/html"]);
    }

    [Fact]
    public async Task Records_and_lists_have_html_and_text()
    {
        var output = await Run("record Row(string Name, double Value);\nnew[] { new Row(\"one\", 1), new Row(\"two\", 2) }");
        Assert.Contains("<table>", (string?)output.ResultBundle!.Data["text/html"], StringComparison.Ordinal);
        Assert.Contains("one", output.ResultText, StringComparison.Ordinal);
        Assert.DoesNotContain("<script", (string?)output.ResultBundle.Data["text/html"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_users_formatter_and_preferred_types_are_honoured()
    {
        var output = await Run(
            """
            using Microsoft.DotNet.Interactive.Formatting;
            class Chart { }
            Formatter.SetPreferredMimeTypesFor(typeof(Chart), "text/html", "image/svg+xml", "text/plain");
            Formatter.Register<Chart>((c, w) => w.Write("<p>chart</p>"), "text/html");
            Formatter.Register<Chart>((c, w) => w.Write("<svg/>"), "image/svg+xml");
            Formatter.Register<Chart>((c, w) => w.Write("a chart"), "text/plain");
            new Chart()
            """);
        Assert.Equal("<p>chart</p>", (string?)output.ResultBundle!.Data["text/html"]);
        Assert.Equal("<svg/>", (string?)output.ResultBundle.Data["image/svg+xml"]);
        Assert.Equal("a chart", output.ResultText);
    }

    [Fact]
    public async Task A_type_formatter_source_is_honoured()
    {
        var output = await Run(
            """
            using Microsoft.DotNet.Interactive.Formatting;
            public class Source : ITypeFormatterSource
            {
                public IEnumerable<ITypeFormatter> CreateTypeFormatters() => [new HtmlFormatter<Sourced>((v, c) => c.Writer.Write("<u>sourced</u>"))];
            }
            [TypeFormatterSource(typeof(Source))]
            public class Sourced { }
            new Sourced()
            """);
        Assert.Equal("<u>sourced</u>", (string?)output.ResultBundle!.Data["text/html"]);
    }

    [Fact]
    public async Task Json_is_sent_as_json_and_images_as_base64()
    {
        var output = await Run(
            """
            using Microsoft.DotNet.Interactive.Formatting;
            class Plot { }
            Formatter.SetPreferredMimeTypesFor(typeof(Plot), "application/vnd.plotly.v1+json", "image/png");
            Formatter.Register<Plot>((c, w) => w.Write("{\"data\":[1,2]}"), "application/vnd.plotly.v1+json");
            Formatter.Register<Plot>((c, w) => w.Write(Convert.ToBase64String(new byte[] { 1, 2, 3 })), "image/png");
            new Plot()
            """);
        Assert.Equal(2, (int)output.ResultBundle!.Data["application/vnd.plotly.v1+json"]["data"]![1]!);
        Assert.Equal("AQID", (string?)output.ResultBundle.Data["image/png"]);
    }

    [Fact]
    public async Task A_bundle_is_shown_as_it_is()
    {
        var output = await Run(
            """
            using Sparseland.Notebooks.Hosting; using System.Text.Json.Nodes;
            MimeBundle Bundle(string text) => new(new Dictionary<string, JsonNode> { ["text/plain"] = JsonValue.Create(text), ["application/x"] = JsonValue.Create(1) });
            class Picture : IMimeRenderable { public MimeBundle Render() => new(new Dictionary<string, JsonNode> { ["text/plain"] = JsonValue.Create("rendered") }); }
            display(Bundle("bundle"));
            new Picture()
            """);
        Assert.Equal(1, (int)output.Displays[0].Data["application/x"]);
        Assert.Equal("rendered", output.ResultText);
    }

    [Fact]
    public async Task A_throwing_formatter_is_reported_and_does_not_end_the_cell()
    {
        var output = await Run(
            """
            using Microsoft.DotNet.Interactive.Formatting;
            class Broken { }
            Formatter.Register<Broken>((c, w) => throw new InvalidOperationException("broken inside"), "text/html");
            display(new Broken());
            "after"
            """);
        Assert.Contains("broken inside", (string?)output.Displays[0].Data["text/plain"], StringComparison.Ordinal);
        Assert.Equal("after", output.ResultText);
    }

    [Fact]
    public async Task A_value_whose_members_throw_is_still_shown()
    {
        var output = await Run("class Odd { public int Good => 1; public int Bad => throw new Exception(\"no\"); public override string ToString() => throw new Exception(\"neither\"); }\nnew Odd()");
        Assert.NotNull(output.ResultText);
    }

    [Fact]
    public async Task Tensors_and_data_frames_show_without_any_directive()
    {
        var output = await Run("using Microsoft.Data.Analysis;\nnew DataFrame(new DoubleDataFrameColumn(\"col\", new[] { 1.0, 2.0 }))");
        Assert.Contains("col", output.ResultText, StringComparison.Ordinal);
        output = await Run("using TorchSharp; using static TorchSharp.torch;\nones(2, 3).sum().item<float>()");
        Assert.Equal("6", output.ResultText);
    }

    private sealed class PrintingOutput : ICellOutput
    {
        public int Calls { get; private set; }

        public void Stream(string name, string text) => Print(text);

        public void Display(MimeBundle bundle, string displayId) => Print(displayId);

        public void Update(MimeBundle bundle, string displayId) => Print(displayId);

        public void Result(MimeBundle bundle) => Print("result");

        private void Print(string text)
        {
            Calls++;
            Console.Out.Write(text.Length > 1000 ? "" : " ");
        }
    }
}
