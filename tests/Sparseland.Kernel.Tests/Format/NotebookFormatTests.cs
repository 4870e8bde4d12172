using System.Text.Json.Nodes;
using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Tests.Format;

public class NotebookFormatTests
{
    // Written by nbformat 5.5 (Debian 12): v4.new_notebook with the cells below and unknown metadata, nbformat.write.
    private const string WrittenByJupyter = """
        {
         "cells": [
          {
           "cell_type": "markdown",
           "id": "a1b2c3d4",
           "metadata": {
            "tags": []
           },
           "source": [
            "# Ünïcode — 𝛼 \"quoted\" \\ back\n",
            "\n",
            "second / line\tand tab"
           ]
          },
          {
           "cell_type": "code",
           "execution_count": 3,
           "id": "e5f60718",
           "metadata": {
            "zeta": {
             "a": 1e-05,
             "b": 1.0,
             "c": null,
             "d": true
            }
           },
           "outputs": [
            {
             "name": "stdout",
             "output_type": "stream",
             "text": [
              "\u001b[31mred\u001b[0m <b>&'+\n"
             ]
            },
            {
             "data": {
              "application/vnd.x+json": {
               "k": [
                1,
                2.5
               ]
              },
              "text/plain": [
               "5"
              ]
             },
             "execution_count": 3,
             "metadata": {},
             "output_type": "execute_result"
            }
           ],
           "source": [
            "2 + 3"
           ]
          }
         ],
         "metadata": {
          "kernelspec": {
           "display_name": ".NET (C#)",
           "language": "C#",
           "name": ".net-csharp"
          },
          "some_tool": {
           "unknown": [
            1,
            {}
           ]
          }
         },
         "nbformat": 4,
         "nbformat_minor": 5
        }

        """;

    [Fact]
    public void Reading_and_writing_gives_the_same_bytes()
    {
        Assert.Equal(WrittenByJupyter.ReplaceLineEndings("\n"), Notebook.Parse(WrittenByJupyter, "a.ipynb").ToText());
    }

    [Fact]
    public void A_file_of_nbformat_comes_back_byte_by_byte()
    {
        // Written by nbformat 5.5.0 (Debian 12) with nbformat.write: control characters, non-BMP letters, numbers of every
        // spelling, attachments, all kinds of cells and outputs.
        var file = Path.Combine(Kernel.Running.NotebookFiles.RepositoryRoot()!, "tests", "Sparseland.Kernel.Tests", "Format", "written-by-jupyter.ipynb");
        Assert.Equal(File.ReadAllBytes(file), System.Text.Encoding.UTF8.GetBytes(Notebook.Load(file).ToText()));
    }

    [Fact]
    public void Sources_are_joined_and_split_without_change()
    {
        var notebook = Notebook.Parse(WrittenByJupyter, "a.ipynb");
        var cell = notebook.Cells[0];
        Assert.Equal("# Ünïcode — 𝛼 \"quoted\" \\ back\n\nsecond / line\tand tab", cell.Source);
        cell.Source = cell.Source;
        Assert.Equal(WrittenByJupyter.ReplaceLineEndings("\n"), notebook.ToText());
    }

    [Fact]
    public void Older_minor_versions_get_ids_that_are_always_the_same()
    {
        const string old = """{"cells":[{"cell_type":"code","metadata":{},"source":"1","outputs":[],"execution_count":null},{"cell_type":"code","metadata":{},"source":"1","outputs":[],"execution_count":null}],"metadata":{},"nbformat":4,"nbformat_minor":2}""";
        var first = Notebook.Parse(old, "old.ipynb");
        Assert.Equal(2, first.Cells.Select(c => c.Id).Distinct().Count());
        Assert.All(first.Cells, c => Assert.Matches("^[0-9a-f]{8}$", c.Id));
        Assert.Equal(first.ToText(), Notebook.Parse(old, "old.ipynb").ToText());
        Assert.Contains("\"nbformat_minor\": 5", first.ToText(), StringComparison.Ordinal);
        Assert.Equal(first.ToText(), Notebook.Parse(first.ToText(), "old.ipynb").ToText());
    }

    [Fact]
    public void A_double_id_is_replaced_and_the_first_one_kept()
    {
        const string text = """{"cells":[{"cell_type":"raw","id":"x","metadata":{},"source":[]},{"cell_type":"raw","id":"x","metadata":{},"source":[]}],"metadata":{},"nbformat":4,"nbformat_minor":5}""";
        var cells = Notebook.Parse(text, "a.ipynb").Cells;
        Assert.Equal("x", cells[0].Id);
        Assert.NotEqual("x", cells[1].Id);
    }

    [Theory]
    [InlineData("", "not valid JSON")]
    [InlineData("{\"cells\": [", "not valid JSON")]
    [InlineData("[1]", "a notebook is a JSON object")]
    [InlineData("null", "a notebook is a JSON object")]
    [InlineData("{}", "'nbformat'")]
    [InlineData("{\"nbformat\": 3, \"nbformat_minor\": 0, \"worksheets\": []}", "format 3 is not supported")]
    [InlineData("{\"nbformat\": \"4\", \"nbformat_minor\": 0, \"cells\": []}", "'nbformat'")]
    [InlineData("{\"nbformat\": 4, \"cells\": []}", "'nbformat_minor'")]
    [InlineData("{\"nbformat\": 4, \"nbformat_minor\": 5, \"metadata\": {}}", "'cells'")]
    [InlineData("{\"nbformat\": 4, \"nbformat_minor\": 5, \"metadata\": 7, \"cells\": []}", "'metadata' must be an object")]
    [InlineData("{\"nbformat\": 4, \"nbformat_minor\": 5, \"cells\": [{\"cell_type\": \"code\", \"source\": []}, 5]}", "cell 2: a cell is a JSON object")]
    [InlineData("{\"nbformat\": 4, \"nbformat_minor\": 5, \"cells\": [{\"source\": []}]}", "cell 1: 'cell_type' is missing")]
    [InlineData("{\"nbformat\": 4, \"nbformat_minor\": 5, \"cells\": [{\"cell_type\": \"heading\", \"source\": []}]}", "not 'heading'")]
    [InlineData("{\"nbformat\": 4, \"nbformat_minor\": 5, \"cells\": [{\"cell_type\": \"code\"}]}", "cell 1: 'source' is missing")]
    [InlineData("{\"nbformat\": 4, \"nbformat_minor\": 5, \"cells\": [{\"cell_type\": \"code\", \"source\": [1]}]}", "'source' must be")]
    [InlineData("{\"nbformat\": 4, \"nbformat_minor\": 5, \"cells\": [{\"cell_type\": \"code\", \"source\": \"\", \"outputs\": {}}]}", "'outputs' must be a list")]
    [InlineData("{\"nbformat\": 4, \"nbformat_minor\": 5, \"cells\": [{\"cell_type\": \"code\", \"source\": \"\", \"outputs\": [{}]}]}", "output 1: 'output_type'")]
    [InlineData("{\"nbformat\": 4, \"nbformat_minor\": 5, \"nbformat\": 4, \"cells\": []}", "not valid JSON")]
    [InlineData("{\"nbformat\": 4, \"nbformat_minor\": 5, \"cells\": [{\"cell_type\": \"markdown\", \"source\": [\"# \\ud800 alone\"]}]}", "half of a surrogate pair")]
    [InlineData("{\"nbformat\": 4, \"nbformat_minor\": 5, \"metadata\": {\"x\": [{\"y\": \"\\udc00\"}]}, \"cells\": []}", "half of a surrogate pair")]
    public void A_malformed_file_is_refused_with_its_name_and_the_rule(string text, string rule)
    {
        var error = Assert.Throws<InvalidDataException>(() => Notebook.Parse(text, "folder/bad.ipynb"));
        Assert.StartsWith("folder/bad.ipynb", error.Message, StringComparison.Ordinal);
        Assert.Contains(rule, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bytes_that_are_not_UTF8_are_refused()
    {
        var path = Path.Combine(Directory.CreateTempSubdirectory().FullName, "latin.ipynb");
        File.WriteAllBytes(path, [0x7b, 0xe9, 0x7d]);
        Assert.Contains("UTF-8", Assert.Throws<InvalidDataException>(() => Notebook.Load(path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{}", "kernelspec is missing")]
    [InlineData("{\"kernelspec\": {\"name\": \"python3\", \"language\": \"python\"}}", "'python3'")]
    public void Only_a_notebook_that_says_it_is_CSharp_can_be_run(string metadata, string rule)
    {
        var notebook = Notebook.Parse($$"""{"cells":[],"metadata":{{metadata}},"nbformat":4,"nbformat_minor":5}""", "k.ipynb");
        Assert.Contains(rule, Assert.Throws<InvalidDataException>(notebook.RequireCSharp).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_dib_file_becomes_cells()
    {
        var path = Path.Combine(Directory.CreateTempSubdirectory().FullName, "a.dib");
        File.WriteAllText(path, "#!meta\n{\"x\":1}\n\n#!csharp\n\nvar a = 1;\n#!time\na\n\n#!markdown\n\n# Title\n\n#!fsharp\n\nlet b = 2\n");
        var notebook = Notebook.Load(path);
        Assert.Equal(["code", "markdown", "code"], notebook.Cells.Select(c => c.Type));
        Assert.Equal("var a = 1;\n#!time\na", notebook.Cells[0].Source);
        Assert.Equal("#!fsharp\nlet b = 2", notebook.Cells[2].Source);
        Assert.Equal("Title", notebook.Title);
        notebook.RequireCSharp();
    }

    [Fact]
    public void The_first_lines_indent_belongs_to_its_cell()
    {
        var notebook = DibFormat.Parse("#!python\r\n\r\n    if x:\r\n        y()\r\n\r\n#!markdown\r\n\r\n    indented code\r\n", "a.dib");
        Assert.Equal(["#!python\n    if x:\n        y()", "    indented code"], notebook.Cells.Select(c => c.Source));
        Assert.Equal(notebook.Cells.Select(c => c.Source), DibFormat.Parse(DibFormat.Write(notebook), "a.dib").Cells.Select(c => c.Source));
    }

    [Fact]
    public void Cells_of_every_language_survive_the_way_to_dib_and_back()
    {
        var notebook = Notebook.Create("a.ipynb");
        notebook.Add("markdown", "# Title\n\n#!csharp is a directive");
        notebook.Add("code", "#!time\n#r \"nuget: X\"\nvar a = 1;\n\n\na");
        notebook.Add("code", "#!fsharp\nlet b = 2");
        notebook.Add("code", "Get-Item .").Metadata["dotnet_interactive"] = new JsonObject { ["language"] = "powershell" };
        notebook.Add("code", "#!mermaid\ngraph TD\n  A --> B");
        var back = DibFormat.Parse(DibFormat.Write(notebook), "a.dib");
        Assert.Equal(["markdown", "csharp", "fsharp", "pwsh", "mermaid"], back.Cells.Select(DibFormat.LanguageOf));
        Assert.Equal(notebook.Cells.Select(c => c.Source), back.Cells.Select(c => c.Source.Replace("#!pwsh\n", "", StringComparison.Ordinal)));
        Assert.Equal(DibFormat.Write(notebook), DibFormat.Write(back));
    }

    [Fact]
    public void New_metadata_goes_where_Jupyter_sorts_it()
    {
        var notebook = Notebook.Parse(WrittenByJupyter, "a.ipynb");
        notebook.Metadata.Set("sparseland", new JsonObject());
        Assert.Equal(["kernelspec", "some_tool", "sparseland"], notebook.Metadata.Select(m => m.Key));
    }

    [Fact]
    public void A_failed_write_leaves_the_old_file_and_no_temporary_one()
    {
        var folder = Directory.CreateTempSubdirectory("sparse land ü ").FullName;
        var path = Path.Combine(folder, "n.ipynb");
        AtomicFile.Write(path, "old");
        Assert.ThrowsAny<Exception>(() => AtomicFile.Write(Path.Combine(path, "below-a-file.ipynb"), "new"));
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Equal([path], Directory.GetFiles(folder));
    }
}
