using System.Diagnostics;
using System.IO.Compression;
using System.Text.RegularExpressions;

namespace Sparseland.Tests.Native;

/// <summary>The packed package in console programs of a user: plain TorchSharp as the first call, and the program of the house page.</summary>
public sealed partial class PackageTests : IDisposable
{
    private static readonly string Root = Rooms.ArchitectureTests.RepositoryRoot();
    private static readonly string Version = $"0.1.0-test.{Environment.ProcessId}";
    private readonly string _folder = Directory.CreateTempSubdirectory("package ").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_program_may_call_plain_TorchSharp_first_and_the_house_page_is_right()
    {
        string feed = Path.Combine(_folder, "feed"), packages = await PackagesFolder();
        await Dotnet(Root, "pack", "src/Sparseland", "--no-build", "-c", Configuration(), "-o", feed, $"-p:PackageVersion={Version}");
        Assert.Equal((true, false), (Documents(feed, "T:Sparseland.Solvers.CoordinateDescent\""), Documents(feed, "T:Sparseland.Tensors.TensorMemory\"")));
        Assert.Equal(["LICENSE", "README.md", "build/Sparseland.targets", "lib/net10.0/Sparseland.dll"], Entries(feed, "nupkg", "LICENSE", "README.md", "build/Sparseland.targets", "lib/net10.0/Sparseland.dll"));
        Assert.Equal(["lib/net10.0/Sparseland.pdb"], Entries(feed, "snupkg", "lib/net10.0/Sparseland.pdb"));
        try
        {
            string plain = await Program("plain", "using static TorchSharp.torch;\nGo(randn(4, 8));\nstatic void Go(Tensor x) => System.Console.WriteLine(string.Join(\"x\", x.shape));", feed);
            Assert.Equal("4x8", plain);

            string page = await File.ReadAllTextAsync(Path.Combine(Root, "src", "Sparseland", "README.md"));
            string code = CSharpBlock().Match(page).Groups[1].Value;
            Assert.Contains("CoordinateDescent", code);
            string support = await Program("page", code, feed);
            Assert.Contains("70", support.Split(' '));
        }
        finally
        {
            string kept = Path.Combine(packages, "sparseland", Version);
            if (Directory.Exists(kept)) Directory.Delete(kept, recursive: true);
        }
    }

    /// <summary>Public members only: the compiler documents internal ones too.</summary>
    private static bool Documents(string feed, string member)
    {
        using ZipArchive zip = ZipFile.OpenRead(Path.Combine(feed, $"Sparseland.{Version}.nupkg"));
        using var docs = new StreamReader(zip.GetEntry("lib/net10.0/Sparseland.xml")!.Open());
        return docs.ReadToEnd().Contains(member, StringComparison.Ordinal);
    }

    /// <summary>Which of some entries a package has.</summary>
    private static string[] Entries(string feed, string kind, params string[] wanted)
    {
        using ZipArchive zip = ZipFile.OpenRead(Path.Combine(feed, $"Sparseland.{Version}.{kind}"));
        return [.. wanted.Where(name => zip.GetEntry(name) is not null)];
    }

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex CSharpBlock();

    private static string Configuration() => Path.GetFileName(Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..")));

    private static async Task<string> PackagesFolder() =>
        (await Dotnet(Root, "nuget", "locals", "global-packages", "--list")).Split("global-packages: ")[^1].Trim();

    private async Task<string> Program(string name, string code, string feed)
    {
        string folder = Directory.CreateDirectory(Path.Combine(_folder, name)).FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "Program.cs"), code);
        await File.WriteAllTextAsync(Path.Combine(folder, $"{name}.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <CreateHardLinksForCopyLocalIfPossible>true</CreateHardLinksForCopyLocalIfPossible>
                <RestoreAdditionalProjectSources>{feed}</RestoreAdditionalProjectSources>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="Sparseland" Version="{Version}" />
              </ItemGroup>
            </Project>
            """);
        await Dotnet(folder, "build", "-v", "q");
        string output = (await Dotnet(folder, Path.Combine("bin", "Debug", "net10.0", $"{name}.dll"))).Trim();

        // TorchSharp that fails to load copies all of libtorch beside the program first.
        string[] folders = [.. Directory.GetDirectories(Path.Combine(folder, "bin", "Debug", "net10.0"), "*", SearchOption.AllDirectories).Select(d => Path.GetFileName(d)!)];
        Assert.DoesNotContain(folders, found => found.StartsWith("cpu", StringComparison.Ordinal));
        return output;
    }

    private static async Task<string> Dotnet(string folder, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["SPARSELAND_QUIET"] = "1";
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"dotnet {string.Join(" ", arguments)}: exit {process.ExitCode}\n{await output}\n{await errors}");
        return await output;
    }
}
