using System.Text.Json.Nodes;
using Sparseland.Kernel.Jupyter;

namespace Sparseland.Kernel.Tests.Jupyter;

public sealed class KernelSpecTests : IDisposable
{
    private static readonly string[] Launcher = ["/opt/with space/ü/sparseland"];
    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("kernel spec ü ");
    private readonly Dictionary<string, string> variables = [];

    private JupyterPaths Paths => new(variables.GetValueOrDefault, In("home"), [In("system")]);

    public void Dispose() => root.Delete(recursive: true);

    [Fact]
    public void Installs_under_the_shared_name_where_nobody_has_it()
    {
        var kernel = KernelSpec.Install(new KernelSpecOptions(Paths.User), Paths, Launcher);
        Assert.Equal(".net-csharp", kernel.Name);
        var json = JsonNode.Parse(File.ReadAllText(Path.Combine(kernel.Folder, "kernel.json")))!;
        Assert.Equal(["/opt/with space/ü/sparseland", "kernel", "start", "-f", "{connection_file}"], json["argv"]!.AsArray().Select(a => (string?)a));
        Assert.Equal("C#", (string?)json["language"]);
        Assert.Equal(".NET (C#)", (string?)json["display_name"]);
        Assert.Equal("message", (string?)json["interrupt_mode"]);
        Assert.False((bool)json["metadata"]!["debugger"]!);
        Assert.Equal(["kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg"], Directory.GetFiles(kernel.Folder).Select(Path.GetFileName).Order());
        Assert.Equal(new InstalledKernel(".net-csharp", kernel.Folder, ".NET (C#)", true), Assert.Single(KernelSpec.Find(Paths)));
    }

    [Theory]
    [InlineData("system")]
    [InlineData("extra")]
    [InlineData("venv/share/jupyter")]
    [InlineData("home/.local/share/jupyter")]
    public void A_foreign_kernel_anywhere_keeps_the_shared_name(string where)
    {
        variables["JUPYTER_PATH"] = In("extra");
        variables["VIRTUAL_ENV"] = In("venv");
        var foreign = Foreign(where, ".net-csharp");
        var before = File.ReadAllText(foreign);
        var kernel = KernelSpec.Install(new KernelSpecOptions(Paths.User), Paths, Launcher);
        Assert.Equal("sparseland-csharp", kernel.Name);
        Assert.Equal(before, File.ReadAllText(foreign));
        KernelSpec.Uninstall(Paths);
        Assert.Equal(before, File.ReadAllText(foreign));
        Assert.False(Directory.Exists(kernel.Folder));
    }

    [Fact]
    public void Installing_again_is_an_update()
    {
        KernelSpec.Install(new KernelSpecOptions(Paths.User), Paths, ["/old"]);
        var kernel = KernelSpec.Install(new KernelSpecOptions(Paths.User), Paths, Launcher);
        Assert.Equal(".net-csharp", kernel.Name);
        Assert.Contains("with space", File.ReadAllText(Path.Combine(kernel.Folder, "kernel.json")), StringComparison.Ordinal);
        Assert.Single(KernelSpec.Find(Paths));
    }

    [Theory]
    [InlineData("""{"argv":[],"display_name":"other"}""")]
    [InlineData("not json")]
    [InlineData("[]")]
    public void A_named_foreign_kernel_is_never_overwritten(string content)
    {
        var file = Foreign("system", "mine", content);
        var error = Assert.Throws<InvalidOperationException>(() => KernelSpec.Install(new KernelSpecOptions(Paths.User, "Mine"), Paths, Launcher));
        Assert.Contains("'mine'", error.Message, StringComparison.Ordinal);
        Assert.Equal(content, File.ReadAllText(file));
    }

    [Fact]
    public void A_prefix_outside_of_the_search_path_is_looked_at_too()
    {
        Foreign("prefix/share/jupyter", ".net-csharp");
        var kernel = KernelSpec.Install(new KernelSpecOptions(JupyterPaths.InPrefix(In("prefix"))), Paths, Launcher);
        Assert.Equal("sparseland-csharp", kernel.Name);
        Assert.StartsWith(In("prefix"), kernel.Folder, StringComparison.Ordinal);
        Assert.Single(KernelSpec.Uninstall(Paths, dataFolder: JupyterPaths.InPrefix(In("prefix"))));
    }

    [Fact]
    public void Uninstall_leaves_files_that_a_user_added()
    {
        var kernel = KernelSpec.Install(new KernelSpecOptions(Paths.User), Paths, Launcher);
        var own = Path.Combine(kernel.Folder, "kernel.js");
        File.WriteAllText(own, "");
        Assert.Single(KernelSpec.Uninstall(Paths));
        Assert.Equal([own], Directory.GetFiles(kernel.Folder));
        Assert.Empty(KernelSpec.Uninstall(Paths));
    }

    [Theory]
    [InlineData("a b")]
    [InlineData("../evil")]
    [InlineData("")]
    public void A_name_that_Jupyter_does_not_allow_is_refused(string name) =>
        Assert.Throws<ArgumentException>(() => KernelSpec.Install(new KernelSpecOptions(Paths.User, name), Paths, Launcher));

    [Fact]
    public void Folders_follow_the_environment()
    {
        variables["JUPYTER_PATH"] = $"{In("a")}{Path.PathSeparator}{In("b")}";
        variables["VIRTUAL_ENV"] = In("venv");
        Assert.Equal([In("a"), In("b"), Paths.User, Path.Combine(In("venv"), "share", "jupyter"), In("system")], Paths.All);
        variables["JUPYTER_DATA_DIR"] = In("data");
        Assert.Equal(In("data"), Paths.User);
    }

    [Fact]
    public void The_python_on_the_path_gives_the_prefix()
    {
        var bin = Directory.CreateDirectory(In("conda/bin")).FullName;
        File.WriteAllText(Path.Combine(bin, OperatingSystem.IsWindows() ? "python.exe" : "python3"), "");
        variables["PATH"] = bin;
        Assert.Equal(JupyterPaths.InPrefix(OperatingSystem.IsWindows() ? bin : In("conda")), Paths.PythonEnvironment);
    }

    private string In(string path) => Path.Combine(root.FullName, path.Replace('/', Path.DirectorySeparatorChar));

    private string Foreign(string dataFolder, string name, string content = """{"argv":["x"],"display_name":"other","metadata":{}}""")
    {
        var file = Path.Combine(Directory.CreateDirectory(Path.Combine(In(dataFolder), "kernels", name)).FullName, "kernel.json");
        File.WriteAllText(file, content);
        return file;
    }
}
