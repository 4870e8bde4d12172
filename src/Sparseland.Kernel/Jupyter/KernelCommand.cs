using System.CommandLine;
using NetMQ;
using Sparseland.Kernel.Commands;
using Sparseland.Kernel.Scripting;

namespace Sparseland.Kernel.Jupyter;

/// <summary>The command <c>sparseland kernel install|uninstall|start</c>.</summary>
public static class KernelCommand
{
    /// <summary>Makes the command.</summary>
    /// <param name="engineFactory">Makes the engine of a started kernel.</param>
    public static Command Create(Func<IScriptEngine> engineFactory)
    {
        ArgumentNullException.ThrowIfNull(engineFactory);
        return new Command("kernel", "Install or remove the C# kernel for Jupyter.") { Install(), Uninstall(), Start(engineFactory) };
    }

    private static Command Install()
    {
        var place = new PlaceOptions();
        var name = new Option<string?>("--name") { Description = "Name of the kernel; by default .net-csharp, or sparseland-csharp where .net-csharp belongs to another kernel." };
        var display = new Option<string>("--display-name") { Description = "Name that front ends show.", DefaultValueFactory = _ => KernelSpec.DefaultDisplayName };
        var command = new Command("install", "Install the kernel, or update an earlier installation.") { place.User, place.SysPrefix, place.Prefix, name, display };
        command.SetAction((parsed, _) => GuardedAsync(() =>
        {
            var paths = JupyterPaths.Current;
            var kernel = KernelSpec.Install(new KernelSpecOptions(place.Folder(parsed, paths) ?? paths.User, parsed.GetValue(name), parsed.GetValue(display)!), paths);
            Console.WriteLine($"Installed the kernel '{kernel.Name}' ({kernel.DisplayName}) in {kernel.Folder}");
            if (parsed.GetValue(name) is null && kernel.Name == KernelSpec.OwnName)
                Console.WriteLine($"'{KernelSpec.SharedName}' belongs to another kernel on this machine; choose '{kernel.DisplayName}' in the front end's kernel menu.");
        }));
        return command;
    }

    private static Command Uninstall()
    {
        var place = new PlaceOptions();
        var name = new Option<string?>("--name") { Description = "Only the kernel of this name." };
        var command = new Command("uninstall", "Remove what 'kernel install' installed.") { place.User, place.SysPrefix, place.Prefix, name };
        command.SetAction((parsed, _) => GuardedAsync(() =>
        {
            var paths = JupyterPaths.Current;
            var removed = KernelSpec.Uninstall(paths, parsed.GetValue(name), place.Folder(parsed, paths));
            foreach (var kernel in removed)
                Console.WriteLine($"Removed the kernel '{kernel.Name}' from {kernel.Folder}");
            if (removed.Count == 0)
                Console.WriteLine("No kernel installed by Sparseland was found; nothing was removed.");
        }));
        return command;
    }

    private static Command Start(Func<IScriptEngine> engineFactory)
    {
        var file = new Option<string>("--file", "-f") { Description = "Connection file written by the front end.", Required = true };
        var log = new Option<bool>("--log") { Description = $"Write a log to standard error ({KernelLog.Variable}=1 does too)." };
        var command = new Command("start", "Start the kernel (front ends do this).") { file, log };
        command.Hidden = true;
        command.SetAction(async (parsed, cancel) =>
        {
            var code = await Guard.RunAsync("kernel", async () =>
            {
                await JupyterKernel.RunAsync(parsed.GetValue(file)!, engineFactory, cancel, parsed.GetValue(log)).ConfigureAwait(false);

                // Gives the last messages the time that the sockets' linger allows.
                NetMQConfig.Cleanup(block: true);
                return Guard.Good;
            }).ConfigureAwait(false);

            // Threads that a cell left behind must not keep the process.
            Environment.Exit(code);
            return code;
        });
        return command;
    }

    private static Task<int> GuardedAsync(Action action) => Guard.RunAsync("kernel", () =>
    {
        action();
        return Task.FromResult(Guard.Good);
    });

    /// <summary>The three ways to say where.</summary>
    private sealed class PlaceOptions
    {
        public Option<bool> User { get; } = new("--user") { Description = "For the current user (the default of install)." };

        public Option<bool> SysPrefix { get; } = new("--sys-prefix") { Description = "In the active Python environment." };

        public Option<string?> Prefix { get; } = new("--prefix") { Description = "Below this folder, in share/jupyter." };

        public string? Folder(ParseResult parsed, JupyterPaths paths)
        {
            var (user, system, prefix) = (parsed.GetValue(User), parsed.GetValue(SysPrefix), parsed.GetValue(Prefix));
            if ((user ? 1 : 0) + (system ? 1 : 0) + (prefix is null ? 0 : 1) > 1)
                throw new ArgumentException("--user, --sys-prefix and --prefix exclude each other.");
            if (prefix is not null)
                return JupyterPaths.InPrefix(prefix);
            if (system)
            {
                return paths.PythonEnvironment
                    ?? throw new InvalidOperationException("--sys-prefix: no Python environment is active and no python is on the PATH.");
            }

            return user ? paths.User : null;
        }
    }
}
