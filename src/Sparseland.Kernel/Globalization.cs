using System.Globalization;
using System.Runtime.InteropServices;

namespace Sparseland.Kernel;

/// <summary>
/// Cultures of this process. ICU where the machine has it; else invariant mode, in which any culture can be made (with invariant data):
/// the runtime by itself would end the process. What the project writes is the same in every culture.
/// </summary>
internal static class Globalization
{
    private const int Newest = 120, Oldest = 50;

    /// <summary>To be called before anything that knows cultures: first of all in the program.</summary>
    public static void Begin()
    {
        if (OperatingSystem.IsLinux() && !AppContext.TryGetSwitch("System.Globalization.Invariant", out _)
            && Environment.GetEnvironmentVariable("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT") is null && !HasIcu())
        {
            AppContext.SetSwitch("System.Globalization.Invariant", true);
            if (Environment.GetEnvironmentVariable("SPARSELAND_QUIET") != "1")
                Console.Error.WriteLine("sparseland: this machine has no ICU library (Debian: libicu72 or later); cultures can be made, all with invariant formats.");
        }

        CultureInfo.DefaultThreadCurrentCulture = CultureInfo.DefaultThreadCurrentUICulture = CultureInfo.InvariantCulture;
        CultureInfo.CurrentCulture = CultureInfo.CurrentUICulture = CultureInfo.InvariantCulture;
    }

    // The runtime looks for the same names.
    private static bool HasIcu()
    {
        if (Environment.GetEnvironmentVariable("CLR_ICU_VERSION_OVERRIDE") is { Length: > 0 } wanted) return Loads(wanted);
        if (Loads("")) return true;
        for (int version = Newest; version >= Oldest; version--)
        {
            if (Loads(version.ToString(NumberFormatInfo.InvariantInfo))) return true;
        }

        return false;
    }

    private static bool Loads(string version)
    {
        if (!NativeLibrary.TryLoad(version.Length == 0 ? "libicuuc.so" : "libicuuc.so." + version, out nint handle)) return false;
        NativeLibrary.Free(handle);
        return true;
    }
}
