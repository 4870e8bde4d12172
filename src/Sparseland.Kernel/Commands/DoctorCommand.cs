using System.CommandLine;
using Sparseland.Kernel.Doctor;
using Spectre.Console;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland doctor</c>.</summary>
internal static class DoctorCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var command = new Command("doctor", "Say what works on this machine, and what to do about what does not.");
        command.SetAction((_, cancel) => Guard.RunAsync("doctor", () => RunAsync(cancel)));
        return command;
    }

    private static async Task<int> RunAsync(CancellationToken cancel)
    {
        var findings = await Examination.RunAsync(cancel).ConfigureAwait(false);
        var table = new Table { Border = TableBorder.Rounded };
        table.AddColumns("", "what", "found", "what to do");
        foreach (var finding in findings)
        {
            var mark = finding.Health switch
            {
                Health.Works => "[green]works[/]",
                Health.Optional => "[yellow]optional[/]",
                _ => "[red]FAILS[/]",
            };
            table.AddRow(mark, Markup.Escape(finding.Thing), Markup.Escape(finding.Found), Markup.Escape(finding.Remedy));
        }

        // A file or a pipe has no width; at Spectre's default of 80 a path would be cut into pieces.
        if (Console.IsOutputRedirected)
            AnsiConsole.Profile.Width = 160;
        AnsiConsole.Write(table);
        var failing = findings.Count(f => f.Health == Health.Fails);
        Console.WriteLine(failing == 0 ? "Notebooks run on this machine." : $"{failing} of the essential things do not work; see above.");
        return failing == 0 ? Guard.Good : Guard.Bad;
    }
}
