using System.IO.Compression;

namespace Sparseland.Kernel.Tests.Scripting;

/// <summary>Packages from outside, restored by the SDK. A local folder serves as feed, so no network is needed for most.</summary>
public sealed class PackageTests : EngineTest
{
    [Fact]
    public async Task A_package_of_a_local_folder_is_restored_with_its_dependency()
    {
        Package("Engine.Test.Inner", "1.0.0", "public static class PackedInner { public static int Value => 20; }");
        Package("Engine.Test.Outer", "1.2.0", "public static class PackedOuter { public static int Value => 2; }", "Engine.Test.Inner");
        var output = await Run("#i \"nuget: feed\"\n#r \"nuget: Engine.Test.Outer\"\nPackedOuter.Value + PackedInner.Value");
        Assert.Equal("22", output.ResultText);
        Assert.Contains("Engine.Test.Outer 1.2.0", output.Stdout, StringComparison.Ordinal);

        // Asked for again, also by another engine: nothing new to restore.
        Assert.Empty((await Run("#r \"nuget: Engine.Test.Outer\"")).Events);
        Assert.Contains("restart", (await Fail("#r \"nuget: Engine.Test.Outer, 1.0.0\"")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_package_that_does_not_exist_is_named_with_NuGets_own_error()
    {
        Directory.CreateDirectory(Path.Combine(Folder, "feed"));
        var error = await Fail("#i \"nuget: feed\"\n#r \"nuget: Engine.Test.Absent.Package, 1.0.0\"");
        Assert.Equal("DirectiveError", error.Name);
        Assert.Contains("Engine.Test.Absent.Package", error.Message, StringComparison.Ordinal);
        Assert.Contains("NU1", error.Message, StringComparison.Ordinal);
        Assert.Equal("2", (await Run("1 + 1")).ResultText);
    }

    // A package as NuGet packs it, made here: a zip of a nuspec and one assembly.
    private void Package(string id, string version, string code, string? dependency = null)
    {
        var trusted = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator);
        using var assembly = new MemoryStream();
        var compiled = Microsoft.CodeAnalysis.CSharp.CSharpCompilation.Create(
            id,
            [Microsoft.CodeAnalysis.CSharp.CSharpSyntaxTree.ParseText(code)],
            trusted.Where(f => Path.GetFileName(f) is "System.Runtime.dll" or "System.Private.CoreLib.dll").Select(f => Microsoft.CodeAnalysis.MetadataReference.CreateFromFile(f)),
            new(Microsoft.CodeAnalysis.OutputKind.DynamicallyLinkedLibrary)).Emit(assembly);
        Assert.True(compiled.Success);
        var folder = Directory.CreateDirectory(Path.Combine(Folder, "feed")).FullName;
        using var zip = ZipFile.Open(Path.Combine(folder, $"{id}.{version}.nupkg"), ZipArchiveMode.Create);
        using (var nuspec = new StreamWriter(zip.CreateEntry(id + ".nuspec").Open()))
        {
            var needs = dependency is null ? "" : $"<dependencies><group targetFramework=\"net8.0\"><dependency id=\"{dependency}\" version=\"1.0.0\" /></group></dependencies>";
            nuspec.Write($"<?xml version=\"1.0\"?><package xmlns=\"http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd\"><metadata><id>{id}</id><version>{version}</version><authors>tests</authors><description>tests</description>{needs}</metadata></package>");
        }

        using var entry = zip.CreateEntry($"lib/net8.0/{id}.dll").Open();
        entry.Write(assembly.ToArray());
    }
}
