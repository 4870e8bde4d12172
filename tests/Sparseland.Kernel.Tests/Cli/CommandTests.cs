using System.Text.Json.Nodes;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;
using Sparseland.Kernel.Tests.Running;

namespace Sparseland.Kernel.Tests.Cli;

public class CommandTests
{
    [Fact]
    public async Task Run_goes_on_after_a_notebook_that_cannot_be_run_and_reports_all()
    {
        var folder = Notes.Folder();
        Notes.Write(folder, "1 throws.ipynb", "throw new Exception(\"boom\");");
        File.WriteAllText(Path.Combine(folder, "2 malformed.ipynb"), "{\"cells\": [");
        File.WriteAllText(Path.Combine(folder, "3 kernel.ipynb"), """{"cells":[],"metadata":{},"nbformat":4,"nbformat_minor":5}""");
        Directory.CreateDirectory(Path.Combine(folder, "sub ü"));
        Notes.Write(Path.Combine(folder, "sub ü"), "4 good.ipynb", "1 + 1");

        var (code, text, _) = await Command.RunAsync(folder, "run", ".", "--json", "report ü.json");
        Assert.Equal(1, code);
        Assert.Contains("FAILED in cell [1]", text, StringComparison.Ordinal);
        Assert.Contains("System.Exception: boom", text, StringComparison.Ordinal);
        Assert.Contains("2 malformed.ipynb: not valid JSON", text, StringComparison.Ordinal);
        Assert.Contains("3 kernel.ipynb: metadata.kernelspec is missing", text, StringComparison.Ordinal);
        Assert.Contains("4 good.ipynb: ok", text, StringComparison.Ordinal);
        Assert.Contains("Exception: boom", Notebook.Load(Path.Combine(folder, "1 throws.ipynb")).CodeCells.Single().Shown(), StringComparison.Ordinal);
        Assert.Equal("{\"cells\": [", File.ReadAllText(Path.Combine(folder, "2 malformed.ipynb")));
        Assert.Equal("2", Notebook.Load(Path.Combine(folder, "sub ü", "4 good.ipynb")).CodeCells.Single().Shown());
        var statuses = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "report ü.json")))!["notebooks"]!.AsArray().Select(n => (string?)n!["status"]);
        Assert.Equal(["failed", "passed", "refused", "refused"], statuses);

        var (verify, stale, _) = await Command.RunAsync(folder, "verify", "sub ü", "1 throws.ipynb");
        Assert.Equal(1, verify);
        Assert.Contains("4 good.ipynb: current", stale, StringComparison.Ordinal);
        Assert.Contains("1 throws.ipynb: STALE: no completed run", stale, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_quick_run_and_no_save_write_nothing()
    {
        var path = Notes.Single("1");
        var before = File.ReadAllText(path);
        foreach (var arguments in (string[][])[["--scale", "quick"], ["--no-save"]])
        {
            var (code, text, _) = await Command.RunAsync(Path.GetDirectoryName(path)!, ["run", path, .. arguments]);
            Assert.Equal(0, code);
            Assert.Contains("No notebook was written", text, StringComparison.Ordinal);
            Assert.Equal(before, File.ReadAllText(path));
        }
    }

    [Theory]
    [InlineData("out")]
    [InlineData("out/")]
    [InlineData("./out/../out//")]
    public async Task A_folder_for_outputs_may_be_written_in_any_way(string output)
    {
        var path = Notes.Single("1");
        var folder = Path.GetDirectoryName(path)!;
        var (code, _, error) = await Command.RunAsync(folder, "run", path, "--output", output);
        Assert.True(code == 0, error);
        Assert.True(File.Exists(Path.Combine(folder, "out", Path.GetFileName(path))));
    }

    [Fact]
    public async Task Outputs_and_reading_copies_go_to_folders()
    {
        var path = Notes.Single("\"<&>\"", "HTML(\"<svg viewBox='0 0 1 1'></svg><script>1</script>\")");
        var before = File.ReadAllText(path);
        var folder = Path.GetDirectoryName(path)!;
        var (code, _, error) = await Command.RunAsync(folder, "run", path, "--output", "out é", "--html", "copy é");
        Assert.True(code == 0, error);
        Assert.Equal(before, File.ReadAllText(path));
        Assert.Equal("<&>", Notebook.Load(Path.Combine(folder, "out é", "a b ü.ipynb")).CodeCells.First().Shown());
        var html = File.ReadAllText(Path.Combine(folder, "copy é", "a b ü.html"));
        Assert.Contains("&lt;&amp;&gt;", html, StringComparison.Ordinal);
        Assert.Contains("<svg viewBox", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<script", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_lost_claim_fails_the_run_and_keeps_the_notebook_until_accepted()
    {
        var path = Notes.Single(Notes.ClaimCell(1));
        var folder = Path.GetDirectoryName(path)!;
        var first = await Command.RunAsync(folder, "run", path);
        Assert.Equal(0, first.Code);
        Assert.Contains("identities 1 of 1 held", first.Out, StringComparison.Ordinal);
        var notebook = Notebook.Load(path);
        notebook.CodeCells.Single().Source = Notes.ClaimCell(3);
        AtomicFile.Write(path, notebook.ToText());
        var edited = File.ReadAllText(path);

        var second = await Command.RunAsync(folder, "run", path);
        Assert.Equal(1, second.Code);
        Assert.Contains("held before, not now: one is one", second.Out, StringComparison.Ordinal);
        Assert.Equal(edited, File.ReadAllText(path));
        Assert.True(File.Exists(Path.Combine(folder, "a b ü.run.ipynb")));

        Assert.Equal(1, (await Command.RunAsync(folder, "run", path, "--accept")).Code);
        Assert.Equal(0, (await Command.RunAsync(folder, "run", path)).Code);
    }

    [Fact]
    public async Task Of_two_runs_at_once_the_second_says_who_has_the_notebook()
    {
        var path = Notes.Single("File.WriteAllText(\"started\", \"\"); while (!File.Exists(\"go on\")) Thread.Sleep(20);");
        var folder = Path.GetDirectoryName(path)!;
        using var first = Command.Start(folder, "run", path);
        var firstOut = first.StandardOutput.ReadToEndAsync();
        while (!File.Exists(Path.Combine(folder, "started")))
        {
            Assert.False(first.HasExited, "the first run ended early");
            await Task.Delay(50);
        }

        var (code, text, _) = await Command.RunAsync(folder, "run", path);
        Assert.Equal(1, code);
        Assert.Contains($"is being run already by process {first.Id}", text, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(folder, "go on"), "");
        await first.WaitForExitAsync();
        Assert.True(first.ExitCode == 0, await firstOut);
    }

    [Fact]
    public async Task The_time_limit_stops_a_cell()
    {
        var path = Notes.Single("while (true) { }");
        var (code, text, _) = await Command.RunAsync(Path.GetDirectoryName(path)!, "run", path, "--timeout", "2s");
        Assert.Equal(1, code);
        Assert.Contains("STOPPED in cell [1]", text, StringComparison.Ordinal);
        Assert.Contains("took longer than 2 s", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, "does not exist", "run", "missing ü.ipynb")]
    [InlineData(2, "holds no notebook", "run", "empty")]
    [InlineData(2, "must end in .ipynb", "run", "a-file.txt")]
    [InlineData(2, "cannot be written", "run", "a.ipynb", "--output", "a-file.txt/below")]
    [InlineData(2, "cannot be written", "run", "a.ipynb", "--html", "a-file.txt/below")]
    [InlineData(2, "cannot be written", "gallery", "a.ipynb", "--out", "a-file.txt/below")]
    [InlineData(2, "two notebooks have the name 'a'", "run", "a.ipynb", "empty/../b/a.ipynb", "--output", "x")]
    [InlineData(2, "does not exist", "verify", "nowhere")]
    [InlineData(2, "exists already", "new", "a.ipynb")]
    [InlineData(2, "must end in .ipynb", "new", "a.py")]
    [InlineData(1, "exclude each other", "run", "a.ipynb", "--no-save", "--in-place")]
    [InlineData(1, "not a length of time", "run", "a.ipynb", "--timeout", "soon")]
    [InlineData(1, "enormous", "run", "a.ipynb", "--scale", "enormous")]
    [InlineData(1, "give no paths", "gallery", "a.ipynb", "--ledger")]
    [InlineData(1, "'bogus'", "bogus")]
    public async Task Mistakes_are_refused_before_any_work_with_the_reason(int expected, string reason, params string[] arguments)
    {
        var folder = Notes.Folder();
        Directory.CreateDirectory(Path.Combine(folder, "empty"));
        Directory.CreateDirectory(Path.Combine(folder, "b"));
        File.WriteAllText(Path.Combine(folder, "a-file.txt"), "");
        var a = Notes.Write(folder, "a.ipynb", "File.WriteAllText(\"ran\", \"\");");
        Notes.Write(Path.Combine(folder, "b"), "a.ipynb", "1");
        var before = File.ReadAllText(a);
        var (code, text, error) = await Command.RunAsync(folder, arguments);
        Assert.Equal(expected, code);
        Assert.Contains(reason, error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", text + error, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllText(a));
        Assert.False(File.Exists(Path.Combine(folder, "ran")));
    }

    [Fact]
    public async Task A_folder_without_write_permission_is_refused_before_the_run()
    {
        if (OperatingSystem.IsWindows() || Environment.UserName == "root")
            return; // Permissions do not bind the superuser; the theory above covers an unwritable place for every user.
        var path = Notes.Single("File.WriteAllText(\"/tmp/ran\", \"\");");
        var folder = Path.GetDirectoryName(path)!;
        File.SetUnixFileMode(folder, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        var (code, _, error) = await Command.RunAsync(Path.GetTempPath(), "run", path);
        File.SetUnixFileMode(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Assert.Equal(2, code);
        Assert.Contains("cannot be written", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_template_runs_as_it_is_and_its_gallery_needs_nothing_from_outside()
    {
        var folder = Notes.Folder();
        Assert.Equal(0, (await Command.RunAsync(folder, "new", "my notes/soft-threshold", "--title", "Soft $\\lambda$")).Code);
        var path = Path.Combine(folder, "my notes", "soft-threshold.ipynb");
        var before = File.ReadAllText(path);
        var (code, text, error) = await Command.RunAsync(folder, "gallery", "my notes", "--out", "pages");
        Assert.True(code == 0, text + error);
        Assert.Equal(before, File.ReadAllText(path));
        Assert.Contains(Path.Combine(folder, "pages", "index.html"), text, StringComparison.Ordinal);
        foreach (var page in Directory.GetFiles(Path.Combine(folder, "pages"), "*.html", SearchOption.AllDirectories))
        {
            var html = File.ReadAllText(page);
            Assert.DoesNotMatch(@"(src|href)\s*=\s*[""'](https?:)?//", html);
            foreach (System.Text.RegularExpressions.Match script in System.Text.RegularExpressions.Regex.Matches(html, "<script[^>]*>"))
            {
                // The page's own search stands in it.
                if (script.Value == "<script>" && Path.GetFileName(page) == "index.html") continue;
                Assert.Equal("<script defer src=\"charts.js\">", script.Value);
                Assert.True(File.Exists(Path.Combine(Path.GetDirectoryName(page)!, "charts.js")));
            }

            Assert.DoesNotMatch(@"@import|url\(\s*[""']?http", html);
        }

        Assert.Equal(3, Directory.GetFiles(Path.Combine(folder, "pages"), "*.html", SearchOption.AllDirectories).Length);
        Assert.Contains("<math>", File.ReadAllText(Path.Combine(folder, "pages", "soft-threshold.html")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Help_and_version_are_there_for_every_command()
    {
        var folder = Notes.Folder();
        Assert.StartsWith(RunRecord.CurrentVersion, (await Command.RunAsync(folder, "--version")).Out, StringComparison.Ordinal);
        foreach (var name in (string[])["run", "verify", "gallery", "new", "doctor", "kernel"])
        {
            Assert.Contains(name, (await Command.RunAsync(folder, "--help")).Out, StringComparison.Ordinal);
            var (code, text, _) = await Command.RunAsync(folder, name, "--help");
            Assert.Equal(0, code);
            Assert.Contains($"sparseland {name}", text, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Doctor_says_how_each_thing_stands()
    {
        var (code, text, _) = await Command.RunAsync(Notes.Folder(), "doctor");
        foreach (var thing in (string[])[".NET SDK", "libtorch", "processor", "memory", "disk", "Jupyter", "Chromium"])
            Assert.Contains(thing, text, StringComparison.Ordinal);
        Assert.Equal(text.Contains("FAILS", StringComparison.Ordinal) ? 1 : 0, code);
    }

    [Theory]
    [InlineData("run", "--scle", "quick", "x.ipynb")]
    [InlineData("run", "x.ipynb", "-q")]
    [InlineData("run", "x.ipynb", "--html", "--scle")]
    [InlineData("gallery", "--scle", "quick")]
    [InlineData("verify", "--scle")]
    [InlineData("new", "--scle")]
    public async Task An_unknown_option_is_named(params string[] arguments)
    {
        var folder = Notes.Folder();
        var (code, _, error) = await Command.RunAsync(folder, arguments);
        Assert.Equal(2, code);
        Assert.Contains(arguments.Contains("-q") ? "no option '-q'" : "no option '--scle'", error, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder));
    }

    [Fact]
    public void The_start_of_the_series_stands_first()
    {
        var folder = Notes.Folder();
        foreach (var name in (string[])["00-models.ipynb", "00-start-here.ipynb", "01.ipynb"])
            Notes.Write(folder, name, "1");
        Assert.Equal(["00-start-here.ipynb", "00-models.ipynb", "01.ipynb"], NotebookFiles.Expand([folder]).Select(Path.GetFileName));
    }

    [Fact]
    public async Task Convert_makes_a_notebook_of_a_dib_file_and_back_and_names_what_is_not_run()
    {
        var folder = Directory.CreateTempSubdirectory("convert ü ").FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "old.dib"), "\uFEFF#!csharp\r\n\r\n1 + 1\r\n\r\n#!fsharp\r\n\r\nlet x = 1\r\n\r\n#!markdown\r\n\r\n# Hello\r\n");
        var (code, text, error) = await Command.RunAsync(folder, "convert", "old.dib");
        Assert.True(code == 0, error);
        Assert.Contains("old.ipynb: 3 cells; kept, but not run here: fsharp (1).", text, StringComparison.Ordinal);
        var notebook = Sparseland.Kernel.Notebooks.Notebook.Load(Path.Combine(folder, "old.ipynb"));
        Assert.Equal(["1 + 1", "#!fsharp\nlet x = 1", "# Hello"], notebook.Cells.Select(c => c.Source));

        (code, _, error) = await Command.RunAsync(folder, "convert", "old.ipynb");
        Assert.True(code != 0 && error.Contains("exists already", StringComparison.Ordinal), error);
        (code, _, error) = await Command.RunAsync(folder, "convert", "old.ipynb", "--output", "new.dib");
        Assert.True(code == 0, error);
        Assert.Contains("#!fsharp\n\nlet x = 1", await File.ReadAllTextAsync(Path.Combine(folder, "new.dib")), StringComparison.Ordinal);
        (code, _, error) = await Command.RunAsync(folder, "convert", "old.txt");
        Assert.True(code != 0 && error.Contains(".dib or .ipynb", StringComparison.Ordinal), error);
        (code, _, error) = await Command.RunAsync(folder, "convert", "missing.dib");
        Assert.True(code != 0 && error.Contains("missing.dib", StringComparison.Ordinal), error);
    }
}
