using System.Diagnostics;

namespace Mutations;

internal static class Shell
{
    public static void Run(string folder, params string[] command)
    {
        if (Try(folder, out string output, command) != 0) throw new InvalidOperationException($"{string.Join(" ", command)}: {output}");
    }

    public static int Try(string folder, out string output, params string[] command)
    {
        var start = new ProcessStartInfo(command[0], command[1..]) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        output = process.StandardOutput.ReadToEnd() + errors.Result;
        process.WaitForExit();
        return process.ExitCode;
    }
}
