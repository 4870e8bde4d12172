using System.CommandLine;
using System.CommandLine.Help;
using Sparseland.Kernel;
using Sparseland.Kernel.Commands;
using Sparseland.Kernel.Doctor;
using Sparseland.Kernel.Jupyter;
using Sparseland.Kernel.Running;
using Sparseland.Kernel.Scripting;

Globalization.Begin();

// The worker needs no command line parser, and a second parsing would cost its start.
if (args is [Worker.CommandName, var pipe])
    return await Worker.RunAsync(pipe);
if (args is [Examination.NativesCommandName])
{
    Console.WriteLine(Examination.DescribeNatives());
    return 0;
}

// A kernel takes Ctrl+C itself: it interrupts its cell.
var isKernel = args is ["kernel", "start", ..];
using var early = isKernel ? null : EarlyStop.Watch();

// A plain command, since a RootCommand would call itself after the program's file.
var root = new Command("sparseland", "Sparseland: C# notebooks on sparsity. Runs them, checks them, shows them.")
{
    new HelpOption(),
    new VersionOption(),
    RunCommand.Create(),
    VerifyCommand.Create(),
    GalleryCommand.Create(),
    NewCommand.Create(),
    WorkshopCommand.Create(),
    ConvertCommand.Create(),
    TrainCommand.Create(),
    SaeCommand.Create(),
    PruneCommand.Create(),
    EncodeCommand.Create(),
    IndexCommand.Create(),
    SearchCommand.Create(),
    DoctorCommand.Create(),
    KernelCommand.Create(() => new ScriptEngine()),
};
NamedValues.Require(root);
return await Guard.RunAsync("", async () =>
{
    var parsed = root.Parse(args);
    if (UnknownOptions.Find(parsed) is { } mistake)
    {
        await Console.Error.WriteLineAsync($"sparseland: {mistake}");
        return Guard.Refused;
    }

    // After Ctrl+C a command writes down what it has done so far.
    return await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = isKernel ? null : TimeSpan.FromSeconds(30), EnableDefaultExceptionHandler = false });
});
