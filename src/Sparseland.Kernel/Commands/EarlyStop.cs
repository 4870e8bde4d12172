using System.Runtime.InteropServices;

namespace Sparseland.Kernel.Commands;

/// <summary>Ctrl+C while the command line is still read: nothing has begun, and that is said.</summary>
internal static class EarlyStop
{
    private static int s_begun;

    /// <summary>Watches until a command has begun.</summary>
    public static PosixSignalRegistration Watch() => PosixSignalRegistration.Create(PosixSignal.SIGINT, static _ =>
    {
        if (Volatile.Read(ref s_begun) != 0)
            return;
        Console.Error.WriteLine("sparseland: stopped before it began.");
        Environment.Exit(Guard.Stopped);
    });

    /// <summary>From here on the command is told of Ctrl+C.</summary>
    public static void Begun() => Volatile.Write(ref s_begun, 1);
}
