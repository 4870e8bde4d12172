using System.Text.Json.Nodes;
using System.Xml.Linq;
using Sparseland.Kernel.Gallery;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Tests.Running;

namespace Sparseland.Kernel.Tests.Cli;

public class GalleryTests
{
    [Theory]
    [InlineData(@"x^2_i", "<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>")]
    [InlineData(@"\frac{1}{2}", "<mfrac><mrow><mn>1</mn></mrow><mrow><mn>2</mn></mrow></mfrac>")]
    [InlineData(@"\lambda \le 0.5", "<mi>λ</mi><mo stretchy=\"false\">≤</mo><mn>0.5</mn>")]
    [InlineData(@"\mathbb{R}^n", "<mi mathvariant=\"normal\">ℝ</mi>")]
    [InlineData(@"\mathcal{N}(0,1)", "𝒩")]
    [InlineData(@"\sum_{i=1}^n", "<munderover><mo movablelimits=\"true\">∑</mo>")]
    [InlineData(@"\operatorname{sign}(z)", "<mi>sign</mi>")]
    [InlineData(@"\|x\|_2", "‖")]
    [InlineData(@"\left(\frac{a}{b}\right)^{1/3}", "<mo fence=\"true\" stretchy=\"true\">(</mo>")]
    [InlineData(@"\begin{cases} 0 & |z|\le\tau \\ z & \text{else} \end{cases}", "<mtable>")]
    [InlineData(@"\hat{x} = \arg\min_x \tfrac12 \|y - \Phi x\|_2^2 + \lambda \|x\|_1", "<mover accent=\"true\">")]
    [InlineData(@"a < b & c", null)]
    [InlineData(@"\unknowncommand{x}", null)]
    [InlineData(@"\frac{1}", null)]
    [InlineData(@"{x", null)]
    [InlineData(@"\begin{cases} 1", null)]
    [InlineData(@"x^", null)]
    [InlineData(@"\", null)]
    [InlineData(@"\left( x", null)]
    public void Formulas_become_well_formed_MathML_or_stay_TeX(string tex, string? expected)
    {
        foreach (var display in (bool[])[false, true])
        {
            var html = TexMath.ToHtml(tex, display);
            XElement.Parse(html.Replace("&nbsp;", " ", StringComparison.Ordinal));
            if (expected is null)
                Assert.Contains("class=\"tex\"", html, StringComparison.Ordinal);
            else
                Assert.Contains(expected, html, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("var x = \"<b>\"; // note\nreturn 1.5;")]
    [InlineData("#r \"nuget: A, 1\"\nusing B;\n#!time\nfoo(")]
    [InlineData("$\"a {b:0.0} c\" + \"\"\"raw \"x\" \"\"\"")]
    [InlineData("unclosed \"string\n } ) ≤ 𝛼")]
    public void Highlighted_code_says_the_same(string code) =>
        Assert.Equal(code, XElement.Parse($"<pre>{CodeHtml.Render(code)}</pre>", LoadOptions.PreserveWhitespace).Value);

    [Fact]
    public void Pictures_are_found_whole_and_can_stand_alone()
    {
        var output = new JsonObject
        {
            ["output_type"] = "display_data",
            ["data"] = new JsonObject { ["text/html"] = "<div><svg width='1'><svg x='>'/><svg><g/></svg></svg> and <svg xmlns='http://www.w3.org/2000/svg'/> <svg broken" },
        };
        var pictures = OutputHtml.Pictures(output).ToList();
        Assert.Equal(2, pictures.Count);
        Assert.All(pictures, p => Assert.Equal("http://www.w3.org/2000/svg", XElement.Parse(p).Name.NamespaceName));
    }

    [Fact]
    public void The_picture_of_a_chart_is_found_in_its_image()
    {
        var chart = Sparseland.Notebooks.Charts.Chart.Curve(new double[] { 3, 1, 2 }, x: "step", title: "A < B");
        var html = (string)chart.Render().Data["text/html"]!;
        JsonObject Output(string text) => new() { ["output_type"] = "display_data", ["data"] = new JsonObject { ["text/html"] = text } };
        Assert.Equal(chart.ToSvg(), Assert.Single(OutputHtml.Pictures(Output(html))));
        Assert.Empty(OutputHtml.Pictures(Output(html.Replace("base64,", "base64,=", StringComparison.Ordinal))));
    }

    [Fact]
    public void Markdown_pictures_and_attachments_are_put_into_the_page()
    {
        var folder = Notes.Folder();
        File.WriteAllBytes(Path.Combine(folder, "p ü.png"), [1, 2, 3]);
        var attachments = new JsonObject { ["a.png"] = new JsonObject { ["image/png"] = "QUJD" } };
        var html = MarkdownHtml.Render("![x](p%20ü.png) ![y](attachment:a.png) ![z](missing.png) [n](other.ipynb)", folder, u => u == "other.ipynb" ? "other.html" : null, attachments);
        Assert.Contains("data:image/png;base64,AQID", html, StringComparison.Ordinal);
        Assert.Contains("data:image/png;base64,QUJD", html, StringComparison.Ordinal);
        Assert.Contains("missing.png", html, StringComparison.Ordinal);
        Assert.Contains("href=\"other.html\"", html, StringComparison.Ordinal);
    }

    [Fact]
    public void The_ledger_is_written_once_and_then_current()
    {
        var root = Notes.Folder();
        var chapter = Directory.CreateDirectory(Path.Combine(root, "notebooks", "01-sparse-coding")).FullName;
        File.WriteAllText(Path.Combine(root, "README.md"), $"before\n{Ledger.Start}\nold\n{Ledger.End}\nafter\n");
        var notebook = Notebook.Load(Notes.Write(chapter, "a | b.ipynb", "1"));
        notebook.CodeCells.Single().SetOutputs(1, [new JsonObject { ["output_type"] = "display_data", ["metadata"] = new JsonObject(), ["data"] = new JsonObject { ["text/html"] = "<svg width='1'/>" } }]);
        notebook.Metadata["sparseland"] = new JsonObject { ["paper"] = "A. Author | 2023", ["room"] = "Coding", ["type"] = "KSvd" };
        var cards = new[] { new Card(notebook, "01-sparse-coding/a | b.ipynb") };
        Directory.CreateDirectory(Path.Combine(root, "notebooks", Ledger.Thumbnails));
        File.WriteAllText(Path.Combine(root, "notebooks", Ledger.Thumbnails, "gone.svg"), "");

        Assert.Equal(6, Ledger.Write(root, cards).Count);
        Assert.Empty(Ledger.Write(root, cards));
        var readme = File.ReadAllText(Path.Combine(root, "README.md"));
        Assert.StartsWith("before\n" + Ledger.Start, readme, StringComparison.Ordinal);
        Assert.EndsWith(Ledger.End + "\nafter\n", readme, StringComparison.Ordinal);
        Assert.DoesNotContain("old", readme, StringComparison.Ordinal);
        Assert.Contains("notebooks/01-sparse-coding/a%20%7C%20b.ipynb", readme, StringComparison.Ordinal);
        var index = File.ReadAllText(Path.Combine(root, "notebooks", "README.md"));
        Assert.Contains("## Sparse coding", index, StringComparison.Ordinal);
        Assert.Contains(@"<br>A. Author \| 2023 | [Coding](../src/Sparseland/Coding), [`KSvd`](../src/Sparseland/Coding/KSvd.cs) |", index, StringComparison.Ordinal);
        Assert.Equal(2, Directory.GetFiles(Path.Combine(root, "notebooks", Ledger.Thumbnails)).Length);
        Assert.StartsWith("# What held", File.ReadAllText(Path.Combine(root, "notebooks", "RESULTS.md")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("no marks")]
    [InlineData("<!-- ledger:end --> <!-- ledger:start -->")]
    public void A_README_without_both_marks_is_left_alone(string readme) =>
        Assert.Throws<InvalidDataException>(() => Ledger.WithSummary(readme, "x"));

    [Fact]
    public void Seventy_notebooks_make_a_small_page_of_chapters_with_pictures_beside_it()
    {
        var chart = Sparseland.Notebooks.Charts.Chart.Curve([.. Enumerable.Range(0, 500).Select(i => Math.Sin(i))], x: "step", title: "A curve");
        Card[] cards = [.. Enumerable.Range(0, 70).Select(i =>
        {
            var notebook = Notebook.Create($"n{i}.ipynb");
            notebook.Add("markdown", $"# Title {i}\n\n**The question.** {new string('w', 300)} word{i}?");
            for (int picture = 0; picture < 6; picture++)
                notebook.Add("code", "x").SetOutputs(1, [new() { ["output_type"] = "display_data", ["metadata"] = new JsonObject(), ["data"] = new JsonObject { ["text/html"] = chart.Render().Data["text/html"].DeepClone() } }]);
            return new Card(notebook, i < 2 ? $"n{i}.ipynb" : $"{i / 10:00}-chapter-{i / 10}/n{i}.ipynb");
        })];
        var page = GalleryPage.Render(cards);
        Assert.InRange(page.Length, 10_000, 500_000);
        Assert.Equal(8, page.Split("<section class=\"chapter\"").Length - 1);
        Assert.Contains("<a href=\"#03-chapter-3\">Chapter 3 <span class=\"meta\">10</span></a>", page, StringComparison.Ordinal);
        var pictures = GalleryPage.Pictures(cards).ToList();
        Assert.Equal(70 * 5, pictures.Select(p => p.Path).Distinct().Count());
        Assert.All(pictures, p => Assert.Contains($"src=\"{p.Path}\"", page, StringComparison.Ordinal));
        XElement.Parse(pictures[^1].Svg);
    }

    [Fact]
    public void A_reading_copy_links_its_neighbours_and_its_chapter()
    {
        var notebook = Notebook.Create("b.ipynb");
        notebook.Add("markdown", "# B");
        var page = ReadingCopy.Render(notebook, new ReadingCopyOptions(Place: new("Chapter", [new("A < 1", "a.html"), new("B", null)], new("A < 1", "a.html"), null)));
        Assert.Equal(2, page.Split("rel=\"prev\"").Length - 1);
        Assert.DoesNotContain("rel=\"next\"", page, StringComparison.Ordinal);
        Assert.Contains("<li><a href=\"a.html\">A &lt; 1</a></li>", page, StringComparison.Ordinal);
        Assert.Contains("aria-current=\"page\"", page, StringComparison.Ordinal);
    }

    [Fact]
    public void Tags_in_a_title_are_text_on_other_pages()
    {
        Assert.Equal("A &lt;b onclick=&quot;x&quot;&gt;bold&lt;/b&gt; <em>title</em>", Gallery.MarkdownHtml.Line("A <b onclick=\"x\">bold</b> *title*"));
        Assert.Contains("&lt;script&gt;", Gallery.MarkdownHtml.Line("<script>alert(1)</script>"), StringComparison.Ordinal);
        Assert.DoesNotContain("<div", Gallery.MarkdownHtml.Line("<div>block</div>"), StringComparison.Ordinal);
    }
}
