using System.Diagnostics;

namespace Sparseland.Tests.Native;

/// <summary>The loader in processes of its own: an ordinary program, two at once, and a script host.</summary>
public sealed class NativeHostsTests : IDisposable
{
    private static readonly string Root = FindRoot();
    private readonly string _folder = Directory.CreateTempSubdirectory("home with Ünïcode ").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_module_can_be_made_before_anything_else_of_torch() => Assert.Equal("2x3", (await Console("module")).Output);

    [Fact]
    public async Task No_libtorch_without_a_tensor()
    {
        if (OperatingSystem.IsLinux())
        {
            Assert.Equal("not loaded", (await Console("none")).Output);
        }
    }

    [Fact]
    public async Task Two_programs_that_start_at_once_share_one_copy_and_at_most_each_says_so()
    {
        (string Output, string Errors)[] runs = await Task.WhenAll(Console("describe"), Console("describe"));
        Assert.All(runs, run => Assert.StartsWith("True|", run.Output));
        Assert.Single(runs.Select(run => run.Output).Distinct());
        string copy = runs[0].Output.Split('|')[1];
        (string Output, string Errors) later = await Console("describe");
        Assert.Equal(runs[0].Output, later.Output);
        Assert.Empty(later.Errors);
        if (copy.Length > 0)
        {
            Assert.StartsWith(_folder, copy);
            Assert.Contains(runs, run => run.Errors.Contains(copy, StringComparison.Ordinal));
            Assert.Single(Directory.GetFiles(Path.GetDirectoryName(copy)!));
        }
    }

    /// <summary>Without ICU, .NET leaves a text as it is where a normal form is asked for: such a tokenizer is refused when it is read, others work.</summary>
    [Fact]
    public async Task Without_ICU_a_tokenizer_that_needs_it_is_refused_by_name()
    {
        Assert.Equal(["NFC read", "NFKD read", "BertNormalizer read", "Lowercase read"], (await Console("tokenizers")).Output.Split(Environment.NewLine));
        string[] lines = (await Console("tokenizers", ("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1"))).Output.Split(Environment.NewLine);
        Assert.All(lines[..3], line => Assert.Contains("without (invariant globalization): install it (Debian and Ubuntu: libicu", line, StringComparison.Ordinal));
        Assert.Contains("The tokenizer's normalizer 'NFC' needs the Unicode form FormC", lines[0], StringComparison.Ordinal);
        Assert.Contains("The tokenizer's normalizer 'BertNormalizer' needs the Unicode form FormD", lines[2], StringComparison.Ordinal);
        Assert.Equal("Lowercase read", lines[3]);
    }

    [Fact]
    public async Task Quiet_is_quiet() => Assert.Empty((await Console("describe", ("SPARSELAND_QUIET", "1"))).Errors);

    [Fact]
    public async Task A_cache_that_cannot_be_written_falls_back_to_the_temporary_folder()
    {
        string blocked = Path.Combine(_folder, "file"), temporary = Directory.CreateDirectory(Path.Combine(_folder, "tmp")).FullName;
        File.WriteAllText(blocked, "");
        string[] parts = (await Console("describe", ("XDG_CACHE_HOME", blocked), ("TMPDIR", temporary))).Output.Split('|');
        Assert.Equal("True", parts[0]);
        Assert.True(parts[1].Length == 0 || parts[1].StartsWith(temporary, StringComparison.Ordinal), parts[1]);
    }

    [Fact]
    public async Task With_no_place_at_all_the_report_says_why_and_what_to_do()
    {
        string blocked = Path.Combine(_folder, "file");
        File.WriteAllText(blocked, "");
        string[] parts = (await Console("describe", ("XDG_CACHE_HOME", blocked), ("TMPDIR", Path.Combine(blocked, "tmp")))).Output.Split('\n')[^1].Split('|');
        if (parts[0] == "False") // a system with a newer libstdc++ needs no place
        {
            Assert.Contains("No folder can hold", parts[2]);
            Assert.Contains("XDG_CACHE_HOME", parts[3]);
        }
    }

    [Fact]
    public async Task A_damaged_library_is_named_with_what_to_do()
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }
        // The program elsewhere, with a library that ends in the middle; the large files are links.
        string source = Path.GetDirectoryName(Built("tests/Sparseland.Tests/Native/ConsoleProgram", "ConsoleProgram.dll"))!;
        string target = Path.Combine(_folder, "program");
        foreach (string file in Directory.EnumerateFiles(source, "*", SearchOption.AllDirectories))
        {
            string copy = Path.Combine(target, Path.GetRelativePath(source, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            if (Path.GetFileName(file) == "libLibTorchSharp.so")
            {
                File.WriteAllBytes(copy, File.ReadAllBytes(file).AsSpan(0, 100_000));
            }
            else if (Path.GetRelativePath(source, file).StartsWith("runtimes", StringComparison.Ordinal))
            {
                File.CreateSymbolicLink(copy, file);
            }
            else
            {
                File.Copy(file, copy);
            }
        }
        string[] parts = (await Run(Path.Combine(target, "ConsoleProgram.dll"), ["describe"], "")).Output.Split('|');
        Assert.Equal("False", parts[0]);
        Assert.Contains(Path.Combine(target, "runtimes"), parts[2]);
        Assert.Contains("truncated", parts[2]);
        Assert.Contains("Delete that file", parts[3]);
    }

    [Fact]
    public async Task A_script_host_that_knows_nothing_of_Sparseland_gets_tensors()
    {
        string library = Path.GetDirectoryName(Built("src/Sparseland", "Sparseland.dll"))!;
        const string code = """
            using TorchSharp;
            Sparseland.Native.NativeLibraries.Register();
            var linear = torch.nn.Linear(3, 2);
            torch.ones(2, 3).sum().item<float>() + linear.weight.shape[0]
            """;
        (string Output, string Errors) run = await Run(Built("tests/Sparseland.Tests/Native/ScriptHost", "ScriptHost.dll"), [],
            $"#r \"{library}/Sparseland.dll\"\n#r \"{library}/TorchSharp.dll\"\n{code}");
        Assert.Equal("8", run.Output);
    }

    private Task<(string Output, string Errors)> Console(string what, params (string Name, string Value)[] environment) =>
        Run(Built("tests/Sparseland.Tests/Native/ConsoleProgram", "ConsoleProgram.dll"), [what], "", environment);

    private async Task<(string Output, string Errors)> Run(string program, string[] arguments, string input, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(program);
        Array.ForEach(arguments, start.ArgumentList.Add);
        start.Environment["XDG_CACHE_HOME"] = _folder;
        start.Environment.Remove("SPARSELAND_QUIET");
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"exit {process.ExitCode}\n{await output}\n{await errors}");
        return ((await output).Trim(), (await errors).Trim());
    }

    /// <summary>What the build of this test's configuration made of another project.</summary>
    private static string Built(string project, string file)
    {
        string target = Path.GetFileName(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));
        string configuration = Path.GetFileName(Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..")));
        return Path.Combine(Root, project, "bin", configuration, target, file);
    }

    private static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Notebooks.sln")))
        {
            folder = folder.Parent;
        }
        return folder?.FullName ?? throw new DirectoryNotFoundException($"No Notebooks.sln above {AppContext.BaseDirectory}.");
    }
}
