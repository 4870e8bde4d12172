using System.CommandLine;
using Sparseland.Kernel.Running;
using Sparseland.Kernel.Workshops;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland workshop</c>.</summary>
internal static class WorkshopCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var folder = new Option<string>("--out") { Description = "The folder to make, for example on a stick; it must not exist.", Required = true };
        var systems = new Option<string[]>("--systems")
        {
            Description = $"Systems of the laptops: {string.Join(", ", WorkshopFolder.Known)}. [default: this machine's]",
            AllowMultipleArgumentsPerToken = true,
        };
        var command = new Command("workshop", "Make a folder for a room without a network: notebooks, all packages, reading copies, start scripts, the instructor's pages.") { folder, systems };
        command.SetAction((parsed, cancel) => Guard.RunAsync("workshop", async () =>
        {
            string root = NotebookFiles.RepositoryRoot() ?? throw new DirectoryNotFoundException("No clone of Sparseland (Notebooks.sln) is above the current folder.");
            WorkshopFolder workshop = new(root, Path.GetFullPath(parsed.GetValue(folder)!), parsed.GetValue(systems) is { Length: > 0 } wanted ? [.. wanted.Distinct()] : [ThisSystem()]);
            workshop.Check();
            await workshop.MakeAsync(step => Console.WriteLine(step + " ..."), cancel).ConfigureAwait(false);
            long bytes = Directory.EnumerateFiles(workshop.Target, "*", SearchOption.AllDirectories).Sum(f => new FileInfo(f).Length);
            Console.WriteLine($"Made {workshop.Target} ({bytes / 1e6:0} MB). On a laptop: {(OperatingSystem.IsWindows() ? "start.cmd" : "sh start.sh")}. For you: instructor.html, solutions.html. Beside it the SDK's installers must lie; try one laptop with its Wi-Fi off.");
            return Guard.Good;
        }));
        return command;
    }

    private static string ThisSystem()
    {
        bool arm = System.Runtime.InteropServices.RuntimeInformation.OSArchitecture == System.Runtime.InteropServices.Architecture.Arm64;
        return (OperatingSystem.IsWindows(), OperatingSystem.IsMacOS(), arm) switch
        {
            (true, _, false) => "win-x64",
            (_, true, true) => "osx-arm64",
            (false, false, false) => "linux-x64",
            _ => throw new ArgumentException($"libtorch has no package for this machine; say with --systems which laptops the folder is for: {string.Join(", ", WorkshopFolder.Known)}."),
        };
    }
}
