using System.Globalization;

namespace Sparseland.Kernel.Jupyter;

/// <summary>
/// Log lines on the standard error of the process. The stream is taken at construction, so that a cell which
/// redirects Console.Error does not catch them. Silent unless asked for.
/// </summary>
internal sealed class KernelLog(TextWriter? target)
{
    /// <summary>Environment variable that turns logging on when it is set to anything but 0.</summary>
    public const string Variable = "SPARSELAND_KERNEL_LOG";

    private readonly Lock gate = new();

    /// <summary>A log on standard error when asked for by argument or environment.</summary>
    public static KernelLog Create(bool enabled) =>
        enabled || Environment.GetEnvironmentVariable(Variable) is not (null or "" or "0")
            ? new KernelLog(new StreamWriter(Console.OpenStandardError()) { AutoFlush = true })
            : new KernelLog(null);

    public void Write(string line)
    {
        if (target is null)
            return;
        lock (gate)
            target.WriteLine($"{DateTime.UtcNow.ToString("HH:mm:ss.fff", CultureInfo.InvariantCulture)} sparseland kernel: {line}");
    }
}
